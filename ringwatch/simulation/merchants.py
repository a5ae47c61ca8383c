"""Shops: a market follows a Zipf law, and a merchant is derived from its rank whenever it is asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ringwatch.simulation.chance import derived, lognormal, mix, zipf_rank
from ringwatch.simulation.places import CATEGORIES, COUNTRIES, MERCHANT_WEIGHTS, Category, City, Country

_MERCHANT = 3
_POPULARITY_EXPONENT = 1.05
_WEIGHTS = [category.weight for category in CATEGORIES]
#: After so many looks in vain anything that is nearly right will do: a small market does not have everything.
_LOOKS = 400


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop; ``collects`` names the optional fields that it passes on."""

    id: str
    category: Category
    country: Country
    price_level: float
    decline_rate: float
    promotes: bool
    collects: frozenset[str]

    @property
    def online(self) -> bool:
        """Whether it sells from afar."""
        return self.category.channel == "ecommerce"


class Market:
    """``size`` merchants in order of popularity."""

    def __init__(self, seed: int, size: int) -> None:
        self.size = size
        self._seed = seed
        self.merchant: Callable[[int], Merchant] = lru_cache(maxsize=60_000)(self._merchant)

    def reachable_rank(self, rng: random.Random, city: City) -> int:
        """A merchant that somebody in a city can buy from, popular ones more often."""
        while True:
            rank = zipf_rank(rng.random(), self.size, _POPULARITY_EXPONENT)
            merchant = self.merchant(rank)
            if merchant.online or merchant.country is city.country:
                return rank

    def popular(self, rng: random.Random) -> Merchant:
        """An online merchant that everybody knows."""
        while not (merchant := self.merchant(rng.randrange(40))).online:
            pass
        return merchant

    def online(self, rng: random.Random, *needs: str, codes: frozenset[str] = frozenset()) -> Merchant:
        """An online merchant that collects the named fields, of a category with one of the codes if any are given.

        Popular ones come up more often, small ones often enough.
        """
        found = None
        for _ in range(_LOOKS):
            small = rng.random() < 0.3
            rank = rng.randrange(self.size) if small else zipf_rank(rng.random(), self.size, _POPULARITY_EXPONENT)
            merchant = self.merchant(rank)
            if not merchant.online:
                continue
            found = merchant
            if merchant.collects.issuperset(needs) and (not codes or merchant.category.code in codes):
                break
        return found or self.popular(rng)

    def counter(self, rng: random.Random, country: Country, channel: str = "pos") -> Merchant:
        """A shop (or a cash machine, for ``atm``) in a country, where customers stand in front of it."""
        found = self.merchant(0)
        for _ in range(_LOOKS):
            merchant = self.merchant(rng.randrange(self.size))
            if merchant.online:
                continue
            if merchant.category.channel == channel or found.online:
                found = merchant
                if merchant.country is country and merchant.category.channel == channel:
                    break
        return found

    def opened(self, rng: random.Random, country: Country, category: Category | None = None) -> Merchant:
        """A merchant that no customer would come by on their own; online, unless a category says otherwise."""
        own = category or rng.choice([each for each in CATEGORIES if each.channel == "ecommerce"])
        return self._open(rng, rng.getrandbits(40), own, country)

    def _merchant(self, rank: int) -> Merchant:
        rng = derived(self._seed, _MERCHANT, rank)
        category = rng.choices(CATEGORIES, _WEIGHTS)[0]
        country = rng.choices(COUNTRIES, MERCHANT_WEIGHTS)[0]
        return self._open(rng, mix(self._seed, rank), category, country)

    def _open(self, rng: random.Random, token: int, category: Category, country: Country) -> Merchant:
        online = category.channel == "ecommerce"
        wishes = (
            (("account", 0.85), ("device", 0.9), ("ip", 0.95), ("email", 0.9), ("phone", 0.5), ("billing", 0.7))
            if online
            else (("account", 0.3), ("location", 0.8))
        )
        return Merchant(
            id=f"merchant-{token & 0xFFFFFFFFFF:010x}",
            category=category,
            country=country,
            price_level=lognormal(rng, 1.0, 0.3),
            decline_rate=min(0.4, lognormal(rng, 0.075 if online else 0.03, 0.5)),
            promotes=online and rng.random() < 0.3,
            collects=frozenset(field for field, share in wishes if rng.random() < share),
        )
