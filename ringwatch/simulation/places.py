"""Where people live and what shops sell: countries, currencies, cities and merchant categories."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Country(NamedTuple):
    """A country, its currency, the currency's number of decimals and its units per euro (roughly)."""

    code: str
    currency: str
    decimals: int
    per_euro: float


class City(NamedTuple):
    """A city and its centre in degrees."""

    name: str
    country: Country
    latitude: float
    longitude: float


class Category(NamedTuple):
    """What a merchant sells: its ISO 18245 code, how it is paid, and lognormal amounts in euros."""

    code: str
    channel: Literal["ecommerce", "pos", "atm"]
    median_euros: float
    sigma: float
    weight: float
    refund_share: float
    ships: bool


_DE = Country("DE", "EUR", 2, 1.0)
_FR = Country("FR", "EUR", 2, 1.0)
_NL = Country("NL", "EUR", 2, 1.0)
_GB = Country("GB", "GBP", 2, 0.85)
_CH = Country("CH", "CHF", 2, 0.95)
_SE = Country("SE", "SEK", 2, 11.3)
_PL = Country("PL", "PLN", 2, 4.3)
_US = Country("US", "USD", 2, 1.08)
_JP = Country("JP", "JPY", 0, 162.0)

COUNTRIES = (_DE, _FR, _NL, _GB, _CH, _SE, _PL, _US, _JP)
MERCHANT_WEIGHTS = (27, 20, 10, 18, 6, 6, 6, 5, 2)

CITIES = (
    City("Berlin", _DE, 52.52, 13.40),
    City("Hamburg", _DE, 53.55, 9.99),
    City("Paris", _FR, 48.86, 2.35),
    City("Lyon", _FR, 45.76, 4.84),
    City("Amsterdam", _NL, 52.37, 4.90),
    City("London", _GB, 51.51, -0.13),
    City("Manchester", _GB, 53.48, -2.24),
    City("Zürich", _CH, 47.37, 8.54),
    City("Stockholm", _SE, 59.33, 18.07),
    City("Warszawa", _PL, 52.23, 21.01),
    City("New York", _US, 40.71, -74.01),
    City("Tokyo", _JP, 35.68, 139.69),
)
CITY_WEIGHTS = (17, 13, 16, 7, 11, 15, 6, 5, 5, 5, 3, 1)

CATEGORIES = (
    Category("5411", "pos", 27.0, 0.8, 20, 0.003, False),  # groceries
    Category("5541", "pos", 52.0, 0.4, 7, 0.001, False),  # fuel
    Category("5812", "pos", 24.0, 0.6, 12, 0.002, False),  # restaurants
    Category("5912", "pos", 15.0, 0.7, 5, 0.004, False),  # pharmacies
    Category("6011", "atm", 90.0, 0.6, 4, 0.0, False),  # cash
    Category("5311", "ecommerce", 31.0, 1.0, 14, 0.03, True),  # marketplaces
    Category("5651", "ecommerce", 46.0, 0.7, 9, 0.09, True),  # clothing
    Category("5732", "ecommerce", 120.0, 1.0, 6, 0.04, True),  # electronics
    Category("5814", "ecommerce", 26.0, 0.4, 7, 0.01, True),  # food delivery
    Category("4121", "ecommerce", 14.0, 0.5, 5, 0.01, False),  # rides
    Category("5815", "ecommerce", 9.0, 0.8, 5, 0.01, False),  # digital goods
    Category("4899", "ecommerce", 11.0, 0.3, 3, 0.005, False),  # subscriptions
    Category("4722", "ecommerce", 220.0, 0.9, 3, 0.05, False),  # travel
)
