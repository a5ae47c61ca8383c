"""Card numbers (PANs) in text: finding them, and masking whatever might be one.

Two questions, answered with different care. :func:`mask` is for bytes that nobody will look up again, so it
hides every run of 13 or more digits. :func:`holds_card_number` is for values that are kept, where most long
numbers are honest ids, so it wants an issuer's prefix, a length that goes with it, and the Luhn check.
This module refuses to hash anything: that takes a key, and is :mod:`streaming.tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import AnyStr

_SEPARATOR = r"\s\x00\-._/·\u00ad\u2010-\u2015\u2212\u200b-\u200d\u2060\ufeff\udc80-\udcff"
_SEPARATORS = re.compile(f"[{_SEPARATOR}]")

# In raw bytes a digit or a separator may also be spelled as a JSON escape, itself escaped any number of times.
_DIGIT = r"(?:\d|\\{1,8}u(?:003[0-9]|ff1[0-9]))"
_GAP = (
    rf"(?:[{_SEPARATOR}]|\\{{1,8}}(?:[ntrf/]|u(?:0000|0009|0020|00a0|00ad|002[def]|201[0-5]|2212|200[b-d]|feff)))"
)
_MASKED = re.compile(f"{_DIGIT}(?:{_GAP}*{_DIGIT}){{12,}}", re.IGNORECASE)
MASK = "****"

_LONG_NUMBER = re.compile(rf"\d(?:[{_SEPARATOR}]*\d){{12}}")
_GROUPED_NUMBER = re.compile(rf"\d+(?:[{_SEPARATOR}]+\d+)*")
# An identifier in hexadecimal (an object id, UUID, MD5, SHA-1, SHA-256) holds long runs of digits by chance.
_HEX_IDENTIFIER = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9-]*[A-Fa-f])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|[0-9A-Fa-f]{24}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})"
    r"(?![0-9A-Za-z])"
)
# Issuer prefixes and the lengths that they are issued with (ISO/IEC 7812).
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:5[0678]|6\d)\d{11,17}"  # Maestro, Discover, UnionPay, RuPay, Verve
    r"|8[12]\d{14,17}"  # UnionPay, RuPay
)
_DOUBLED = {str(digit): digit * 2 % 10 + digit * 2 // 10 for digit in range(10)}


def is_luhn_valid(digits: str) -> bool:
    """Whether the last of these ASCII digits is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    return (sum(map(int, digits[-1::-2])) + sum(_DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0


def read_card_digits(text: str) -> str | None:
    """The 12 to 19 ASCII digits that ``text`` consists of, separators aside; None if it is anything else.

    A trailing ``.0``, which spreadsheets and data frames add to numbers, is not part of the number.
    """
    digits = _SEPARATORS.sub("", text.removesuffix(".0"))
    if 12 <= len(digits) <= 19 and digits.isdecimal():
        return _ascii_digits(digits)
    return None


def holds_long_number(text: str) -> bool:
    """Whether 13 digits stand in a row somewhere in ``text``, separators between them or not."""
    return _LONG_NUMBER.search(text) is not None


def holds_card_number(text: str) -> bool:
    """Whether a card number stands somewhere in ``text``, in one run of digits or in groups with separators."""
    if not holds_long_number(text):
        return False
    return any(
        _ISSUED.fullmatch(candidate) and is_luhn_valid(candidate)
        for run in _GROUPED_NUMBER.findall(_HEX_IDENTIFIER.sub("x", text))
        for candidate in _candidates(re.findall(r"\d+", run))
    )


def mask(data: AnyStr) -> AnyStr:
    """The same text with every run of 13 or more digits hidden, separators between them included.

    Digits and separators of any script count, and so do those spelled as JSON escapes. Luhn is not asked.
    """
    if isinstance(data, bytes):
        return _mask(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return _mask(data)


def _mask(text: str) -> str:
    return _MASKED.sub(MASK, text)


def _candidates(groups: list[str]) -> Iterator[str]:
    """What a run of digit groups may be as one number of 13 to 19 digits: a whole group, or short ones joined."""
    for start, group in enumerate(groups):
        joined = ""
        for following in groups[start:]:
            if len(following) > 7 and following is not group:
                break
            joined += following
            if len(joined) > 19:
                break
            if len(joined) >= 13:
                yield _ascii_digits(joined)
            if len(group) > 7:
                break


def _ascii_digits(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)
