"""Single values as JSON, CSV and Parquet spell them, read into what our fields need.

Each reader takes a value that is neither null nor an empty string, returns None where it turns out to mean
"nothing" (white space, ``n/a`` and the like, or the NaN by which data frames mark a gap), and raises
:class:`~graph.errors.BadEvent` with a message that goes on from the field's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from graph.errors import BadEvent
from streaming.words import is_nothing

LONGEST_TEXT = 512
"""Characters; a longer value is a broken sender's, and would not fit the graph's index keys."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
# A number with a decimal point that is an id after all is written out within these bounds.
_SPELLED_OUT = Decimal(10) ** 18
_DECIMALS = 18


def read_text(value: Any) -> str:
    """Text as it stands, a number as its shortest decimal without exponent; "" for NaN."""
    kind = type(value)
    if kind is int and abs(value) < 10**LONGEST_TEXT:
        value = str(value)
    elif kind is float or kind is Decimal:
        number = Decimal(repr(value)) if kind is float else value
        if number.is_nan():
            return ""
        if not -_SPELLED_OUT < number < _SPELLED_OUT or number.adjusted() < -_DECIMALS:
            raise BadEvent("wrong_type", "is not a number that could be an id")
        value = str(int(number)) if number == int(number) else format(number, "f")
    elif kind is not str:
        raise BadEvent("wrong_type", "is neither text nor a number")
    if len(value) > LONGEST_TEXT:
        raise BadEvent("too_long", f"is longer than {LONGEST_TEXT} characters")
    return str(value)


def read_number(value: Any) -> Decimal | None:
    """A number, or a string that spells one with a decimal point; exact, since binary fractions are not."""
    kind = type(value)
    if kind is Decimal or kind is int:
        return Decimal(value)
    if kind is float:
        return Decimal(repr(value))
    if kind is not str:
        raise BadEvent("wrong_type", "is not a number")
    text = read_text(value).strip()
    if is_nothing(text):
        return None
    if not _NUMBER.fullmatch(text):
        raise BadEvent("wrong_type", "is not a number")
    return Decimal(text)


def read_coordinate(value: Any, limit_degrees: int) -> float | None:
    """Degrees between -limit and +limit."""
    number = value if type(value) is Decimal else read_number(value)
    if number is None or number.is_nan():
        return None
    degrees = float(number) + 0.0  # no negative zero
    if not -limit_degrees <= degrees <= limit_degrees:
        raise BadEvent("bad_value", f"is not within ±{limit_degrees} degrees")
    return degrees


def read_currency(value: Any) -> str | None:
    """An ISO 4217 code of three letters, in upper case."""
    code = read_text(value).strip().upper()
    if is_nothing(code):
        return None
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise BadEvent("bad_currency", "is not a code of three letters")
    return code


def read_word(value: Any, meanings: Mapping[str, str]) -> str | None:
    """What one of a few words means, in any case, however its parts are joined."""
    text = read_text(value)
    if is_nothing(text):
        return None
    meaning = meanings.get("_".join(re.split(r"[\s_-]+", text.strip().lower())))
    if meaning is None:
        raise BadEvent("bad_value", f"is none of {', '.join(sorted({*meanings.values()}))}")
    return meaning


def read_bin(value: Any) -> str | None:
    """A card's first six digits, of as many as are given."""
    text = read_text(value).strip()
    if is_nothing(text):
        return None
    digits = text[:6]
    if not (len(digits) == 6 and digits.isascii() and digits.isdecimal()):
        raise BadEvent("bad_value", "does not begin with six digits")
    return digits
