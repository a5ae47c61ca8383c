"""Identifiers that belong to nobody: every one lies in a range reserved for tests, documentation or fiction.

Cards: Luhn-valid numbers under the BINs of card numbers that networks and processors publish for testing.
E-mail: example.com, example.net, example.org (RFC 2606). Phones: the six French blocks that ARCEP keeps for
fiction. IPs: private (10/8, 172.16/12), shared (100.64/10), benchmarking (198.18/15) and documentation
(2001:db8::/32) ranges. Networks: documentation AS numbers (RFC 5398).
"""

from __future__ import annotations

from functools import lru_cache

#: BIN and length of a published test card each.
TEST_BINS = (
    ("424242", 16), ("400000", 16), ("400005", 16), ("401288", 16), ("411111", 16), ("400934", 16),
    ("400011", 16), ("555555", 16), ("510510", 16), ("520082", 16), ("222300", 16), ("520474", 16),
    ("378282", 15), ("371449", 15), ("601111", 16), ("601100", 16), ("305693", 14), ("356600", 16),
)  # fmt: skip

#: An odd factor permutes what a power of two bounds, one without 2, 3 and 5 what 60,000 does: neighbours in number
#: are no neighbours in what is seen, so that nothing seen tells who has which numbers, and none collide.
_SPREAD = 0x9E3779B1
_SPREAD_PHONES = 23_333

_PHONE_BLOCKS = ("+3319900", "+3326191", "+3335301", "+3346571", "+3353649", "+3363998")
#: Who has which of the numbers that there are, so that nobody has another's by chance.
PHONES_OF_PEOPLE, PHONES_OF_HALLS, PHONES_OF_RINGS = range(37_500), range(37_500, 45_000), range(45_000, 60_000)

_EMAIL_DOMAINS = ("example.com", "example.org", "example.net")
_NETWORKS = tuple(f"AS{number}" for number in range(64496, 64512))

# A letter in the middle keeps an id in hexadecimal from holding what looks like a card number.
_LETTER = 0xA << 32

#: A digit's contribution to the Luhn sum at a doubled place.
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


@lru_cache(maxsize=100_000)
def pan(issuer: int, serial: int) -> str:
    """The ``serial``-th Luhn-valid card number under a test BIN."""
    prefix, length = TEST_BINS[issuer % len(TEST_BINS)]
    free = length - len(prefix) - 1
    body = f"{prefix}{serial % 10**free:0{free}d}"
    digits = [ord(digit) - 48 for digit in reversed(body)]
    total = sum(_DOUBLED[digit] for digit in digits[::2]) + sum(digits[1::2])
    return f"{body}{-total % 10}"


def email(number: int) -> str:
    """A mailbox that cannot exist."""
    return f"user-{number & 0xFFFFFFFFFF:010x}@{_EMAIL_DOMAINS[number % len(_EMAIL_DOMAINS)]}"


def phone(number: int) -> str:
    """One of 60,000 numbers that are never assigned."""
    block, line = divmod(number * _SPREAD_PHONES % 60_000, 10_000)
    return f"{_PHONE_BLOCKS[block]}{line:04d}"


def device(number: int) -> str:
    """A device fingerprint."""
    return f"dev-{number | _LETTER:016x}"


def account(number: int) -> str:
    """An account id."""
    return f"acct-{number | _LETTER:016x}"


def address(number: int, street: int, city: str) -> str:
    """A postal address in one of the 2**31 streets that exist nowhere."""
    return f"{number} Example Street {street * _SPREAD % 2**31}, {city}"


def network(kind: int, number: int) -> str:
    """One of four networks of a kind (0 home, 1 mobile, 2 office, 3 hosting)."""
    return _NETWORKS[4 * kind + number % 4]


def _ipv4(base: int, bits: int, number: int) -> str:
    value = base | (number * _SPREAD) & ((1 << bits) - 1)
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def home_ip(number: int) -> str:
    """A residential address in 10.0.0.0/8; distinct for numbers below 2**24."""
    return _ipv4(10 << 24, 24, number)


def home_ipv6(number: int) -> str:
    """A residential address in 2001:db8::/32."""
    return f"2001:db8:{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}::{1 + number % 13:x}"


def office_ip(number: int) -> str:
    """A company's address in 172.16.0.0/12."""
    return _ipv4(172 << 24 | 16 << 16, 20, number)


def carrier_ip(number: int) -> str:
    """A carrier's shared address in 100.64.0.0/10."""
    return _ipv4(100 << 24 | 64 << 16, 22, number)


def hosting_ip(number: int) -> str:
    """A data centre's address in 198.18.0.0/15."""
    return _ipv4(198 << 24 | 18 << 16, 17, number)


def is_carrier_ip(address: str) -> bool:
    """Whether an address is a carrier's shared one, behind which anybody may be."""
    return address.startswith("100.")
