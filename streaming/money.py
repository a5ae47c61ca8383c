"""Amounts, from major units (12.34 EUR) to the integers that the graph keeps (1234) and back."""

from __future__ import annotations

from decimal import Decimal

from graph.errors import BadEvent

# ISO 4217: the currencies whose minor unit is not a hundredth.
_EXPONENTS = (
    dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    )
    | dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3)
    | dict.fromkeys(["CLF", "UYW"], 4)
)
LARGEST_AMOUNT = Decimal(10) ** 12


def to_minor(amount: Decimal, currency: str) -> int:
    """The amount in the currency's minor unit, rounded half to even.

    Raises:
        BadEvent: it is not finite, negative, or above ``LARGEST_AMOUNT`` major units.
    """
    if not amount.is_finite():
        raise BadEvent("bad_amount", "is not a finite number")
    if amount < 0:
        raise BadEvent("bad_amount", "is negative")
    if amount > LARGEST_AMOUNT:
        raise BadEvent("bad_amount", "is too large")
    return round(amount.scaleb(_EXPONENTS.get(currency, 2)))


def to_major(minor: int, currency: str) -> Decimal:
    """The exact inverse of :func:`to_minor`: the amount in major units, with the currency's decimals."""
    return Decimal(minor).scaleb(-_EXPONENTS.get(currency, 2))
