"""The honest world: people, households, offices, carriers and merchants.

A population is a function, not a table: whoever is asked for is derived from the seed and an index, so that
memory does not grow with the number of people. Households share an address, an internet connection, often a
device and sometimes a phone; an office shares a connection and a few machines; a carrier puts hundreds to
thousands of people behind one address; merchants follow a Zipf law.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ringwatch.simulation import values
from ringwatch.simulation.chance import derived, lognormal, mix, zipf_rank
from ringwatch.simulation.places import (
    CATEGORIES,
    CITIES,
    CITY_WEIGHTS,
    COUNTRIES,
    MERCHANT_WEIGHTS,
    Category,
    City,
    Country,
)
from ringwatch.simulation.rhythm import DAY_MS

# What a derivation is for keeps equal indices apart.
_PERSON, _HOUSEHOLD, _MERCHANT, _OFFICE = range(1, 5)

#: Ways to split a block of twelve people into households.
_BLOCK = 12
_SPLITS = ((1, 1, 2, 2, 1, 5), (1, 2, 1, 4, 2, 2), (3, 1, 1, 2, 4, 1), (1, 2, 2, 3, 1, 2, 1))

#: (share of the people, share of the purchases): few people buy much.
_ACTIVITY = ((0.2, 0.55), (0.4, 0.35), (0.4, 0.10))

_CARD_LIFE_MS = 1_100 * DAY_MS
_DEVICE_LIFE_MS = 800 * DAY_MS
_CARRIER_CELL = 20_000
_POPULARITY_EXPONENT = 1.05


@dataclass(frozen=True, slots=True)
class Household:
    """People at one address; ``key`` is the slot of the first of them."""

    key: int
    size: int
    city: City
    address: str
    ip: str
    network: str
    device: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """An honest customer; ``created`` (epoch ms) is when the account was opened."""

    slot: int
    token: int
    household: Household
    account: str
    created: int
    email: str
    phone: str | None
    cards: int
    credit_limit: int | None
    spending: float
    office: int | None
    carrier: int
    favourites: tuple[int, ...]

    def card(self, number: int, time: int) -> str:
        """The PAN that a card of theirs has at a time (epoch ms): cards are replaced when they expire."""
        generation = (time + self.token % _CARD_LIFE_MS) // _CARD_LIFE_MS
        serial = mix(self.token, number, generation)
        return values.pan(mix(self.token, number), serial)

    def device(self, time: int) -> str:
        """Their own device at a time: devices are replaced, too."""
        generation = (time + self.token % _DEVICE_LIFE_MS) // _DEVICE_LIFE_MS
        return values.device(mix(self.token, -1, generation))


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


class Population:
    """Everybody honest in a simulation that starts at ``start`` (epoch ms) and lasts ``span_ms``."""

    def __init__(self, seed: int, people: int, start: int, span_ms: int) -> None:
        self.seed = seed
        self.people = people
        self.start = start
        self.span_ms = span_ms
        self.merchants = max(80, people // 6)
        self._offices = max(4, people // 60)
        # Coprime to the number of people: walks through all of them, far from one household to the next.
        self._stride = next(step for step in itertools.count(people * 5 // 8) if math.gcd(step, people) == 1)
        self.person: Callable[[int], Person] = lru_cache(maxsize=60_000)(self._person)
        self.merchant: Callable[[int], Merchant] = lru_cache(maxsize=60_000)(self._merchant)
        self._household: Callable[[int, int], Household] = lru_cache(maxsize=30_000)(self._make_household)

    def customer(self, rng: random.Random, time: int) -> Person:
        """Somebody who buys at a time, the active ones more often."""
        while True:
            share, floor = rng.random(), 0.0
            for people, purchases in _ACTIVITY:
                if share < purchases:
                    break
                share -= purchases
                floor += people
            rank = int((floor + rng.random() * people) * self.people)
            person = self.person(rank * self._stride % self.people)
            if person.created < time:
                return person

    def shop(self, rng: random.Random, person: Person) -> Merchant:
        """Where a person buys: a regular place, or any that popularity suggests."""
        if rng.random() < 0.6:
            return self.merchant(rng.choice(person.favourites))
        return self.merchant(self._reachable_rank(rng, person.household.city))

    def popular(self, rng: random.Random) -> Merchant:
        """An online merchant that everybody knows."""
        while (merchant := self.merchant(rng.randrange(40))).category.channel != "ecommerce":
            pass
        return merchant

    def online(self, rng: random.Random) -> Merchant:
        """Any online merchant, popular or not."""
        while (merchant := self.merchant(rng.randrange(self.merchants))).category.channel != "ecommerce":
            pass
        return merchant

    def new_merchant(self, rng: random.Random, country: Country) -> Merchant:
        """A merchant that no honest person would come by."""
        category = rng.choice([each for each in CATEGORIES if each.channel == "ecommerce"])
        return self._open(rng, rng.getrandbits(40), category, country)

    def office_ip(self, office: int) -> str:
        """The address behind which an office works."""
        return values.office_ip(office)

    def office_device(self, rng: random.Random, office: int) -> str:
        """One of an office's shared machines."""
        return values.device(mix(self.seed, _OFFICE, office, rng.randrange(2)))

    def _person(self, slot: int) -> Person:
        rng = derived(self.seed, _PERSON, slot)
        household = self._household(*self._home_of(slot))
        if rng.random() < 0.08:
            created = self.start + int(rng.random() * self.span_ms)
        else:
            created = self.start - int(lognormal(rng, 700, 1.0) * DAY_MS)
        token = rng.getrandbits(63)
        own_phone = values.phone(slot) if slot < values.PHONE_NUMBERS * 3 // 4 else None
        return Person(
            slot=slot,
            token=token,
            household=household,
            account=values.account(mix(token)),
            created=created,
            email=values.email(mix(token, 1)),
            phone=household.phone if household.phone and rng.random() < 0.5 else own_phone,
            cards=rng.choices((1, 2, 3), (62, 28, 10))[0],
            credit_limit=500 * rng.randint(1, 20) if rng.random() < 0.6 else None,
            spending=lognormal(rng, 1.0, 0.35),
            office=int(self._offices * rng.random() ** 2) if rng.random() < 0.35 else None,
            carrier=self._carrier_of(rng, slot),
            favourites=tuple(self._reachable_rank(rng, household.city) for _ in range(6)),
        )

    def _home_of(self, slot: int) -> tuple[int, int]:
        block, place = divmod(slot, _BLOCK)
        first = 0
        for size in _SPLITS[mix(self.seed, _HOUSEHOLD, block) % len(_SPLITS)]:
            if place < first + size:
                break
            first += size
        return block * _BLOCK + first, size

    def _make_household(self, key: int, size: int) -> Household:
        rng = derived(self.seed, _HOUSEHOLD, key, size)
        city = rng.choices(CITIES, CITY_WEIGHTS)[0]
        shares = size > 1
        return Household(
            key=key,
            size=size,
            city=city,
            address=values.address(rng.randint(1, 240), key, city.name),
            ip=values.home_ipv6(key) if rng.random() < 0.3 else values.home_ip(key),
            network=values.network(0, rng.randrange(4)),
            device=values.device(rng.getrandbits(64)) if shares and rng.random() < 0.7 else None,
            phone=values.phone(key) if shares and rng.random() < 0.4 else None,
        )

    def _carrier_of(self, rng: random.Random, slot: int) -> int:
        # A cell's eight addresses serve half, a quarter, … of its people: 10² to 10⁴ each in a full cell.
        place = min(7, int(rng.expovariate(0.7)))
        return slot // _CARRIER_CELL * 8 + place

    def _reachable_rank(self, rng: random.Random, city: City) -> int:
        while True:
            rank = zipf_rank(rng.random(), self.merchants, _POPULARITY_EXPONENT)
            merchant = self.merchant(rank)
            if merchant.category.channel == "ecommerce" or merchant.country is city.country:
                return rank

    def _merchant(self, rank: int) -> Merchant:
        rng = derived(self.seed, _MERCHANT, rank)
        category = rng.choices(CATEGORIES, [each.weight for each in CATEGORIES])[0]
        country = rng.choices(COUNTRIES, MERCHANT_WEIGHTS)[0]
        return self._open(rng, mix(self.seed, rank), category, country)

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
            decline_rate=min(0.25, lognormal(rng, 0.035, 0.5)),
            promotes=online and rng.random() < 0.3,
            collects=frozenset(field for field, share in wishes if rng.random() < share),
        )
