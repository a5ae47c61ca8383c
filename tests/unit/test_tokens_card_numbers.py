"""Card numbers in text: what is hidden, and what is taken for one."""

from __future__ import annotations

import json
import random
import re
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.card_numbers import holds_card_number, is_luhn_valid, mask, read_card_digits

VISA = "4242424242424242"
TEST_NUMBERS = [
    VISA,
    "5555555555554444",
    "4111111111111111",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6200000000000005",
]


@pytest.mark.parametrize("number", TEST_NUMBERS)
def test_every_network_is_known(number: str) -> None:
    assert is_luhn_valid(number)
    assert holds_card_number(f"paid with {number}, thanks")
    assert read_card_digits(number) == number


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "12 4242 4242 4242 4242 12/30",
        "CARD4242424242424242",
        "3782 822463 10005",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "４２４２４２４２４２４２４２４２",
    ],
)
def test_a_card_number_is_found_however_it_is_spelled(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "1750000000000",  # an epoch in milliseconds
        "1750000000000000003",  # in nanoseconds
        "4242424242424241",  # the check digit is wrong
        "device-123456789012",
        "123e4567-e89b-12d3-a456-426614174000",
        "a9f4242424242424242bcdefa9f42424",  # a digest that holds such digits by chance
        "424242******4242",
        "",
    ],
)
def test_other_long_numbers_are_left_alone(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        VISA,
        "4242424242424241",
        "4242 4242 4242 4242",
        "4242-4242 4242.4242",
        "4242\t4242\n4242\r4242",
        "4242\u20114242\u00a04242\u200b4242",
        "４２４２４２４２４２４２４２４２",
        "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
        json.dumps("４２４２４２４２４２４２４２４２"),
        r"\u0034242\u0032424242424242",
        r"\\\u0034242\\u00204242\u002d42424242",
        r"4242\t4242\n42424242",
        "4242424242424242=30125",
        "4.242424242424242e15",
    ],
)
def test_a_mask_leaves_nothing_of_a_number(text: str) -> None:
    assert "42" not in mask(f'{{"card": "{text}"}}')
    assert b"42" not in mask(f'{{"card": "{text}"}}'.encode())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_mask_sees_through_wide_characters(encoding: str) -> None:
    assert VISA[:4].encode(encoding) not in mask(VISA.encode(encoding))


def test_a_mask_hides_numbers_between_invalid_bytes_and_keeps_the_rest() -> None:
    assert mask(b"\xff4242\xa04242\xa04242\xa04242\xfe caf\xc3\xa9") == b"\xff****\xfe caf\xc3\xa9"
    assert mask('{"amount": 12.30, "device": "123456789012"}') == '{"amount": 12.30, "device": "123456789012"}'


@given(st.text(alphabet=st.sampled_from('0123456789４٤ -.\t\\u03ax"')))
def test_no_run_of_thirteen_digits_is_left(text: str) -> None:
    shown = "".join(character for character in mask(text) if unicodedata.category(character) != "Zs")
    assert not re.search(r"\d{13}", re.sub(r"[-.\t]", "", shown))


@given(st.binary())
def test_a_mask_takes_any_bytes_and_changes_nothing_twice(data: bytes) -> None:
    assert mask(mask(data)) == mask(data)


def test_masking_takes_time_in_proportion_to_the_text() -> None:
    for nasty in ("\\" * 200_000, "1" + " " * 200_000, "1 x" * 60_000, "12345678901 x" * 15_000):
        assert mask(nasty) == nasty  # a pattern that backtracks would not come back


def test_a_uuid_is_an_identifier_whatever_digits_it_holds() -> None:
    chance = random.Random(1)
    identifiers = (str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(20_000))
    assert not any(map(holds_card_number, identifiers))
    assert not holds_card_number("a1111111-1111-4111-8111-111111111111")
