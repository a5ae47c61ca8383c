"""The honest world: people, households, offices, carriers, and those who only pass by.

A population is a function, not a table: whoever is asked for is derived from the seed and an index, so that
memory does not grow with the number of people. Households share an address, an internet connection, often a
device and sometimes a phone; an office shares a connection and a few machines; a carrier puts hundreds to
thousands of people behind one address. Residents buy again and again; visitors come for a day or two, many of
them with an account that is minutes old, or with none.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ringwatch.simulation import values
from ringwatch.simulation.chance import derived, lognormal, mix
from ringwatch.simulation.merchants import Market, Merchant
from ringwatch.simulation.places import CITIES, CITY_WEIGHTS, City
from ringwatch.simulation.rhythm import DAY_MS, MINUTE_MS

# What a derivation is for keeps equal indices apart (3 is the market's).
_PERSON, _HOUSEHOLD, _OFFICE, _COLLISION = 1, 2, 4, 5

#: Ways to split a block of twelve people into households.
_BLOCK = 12
_SPLITS = ((1, 1, 2, 2, 1, 5), (1, 2, 1, 4, 2, 2), (3, 1, 1, 2, 4, 1), (1, 2, 2, 3, 1, 2, 1))

#: (share of the people, share of the purchases): few people buy much.
_ACTIVITY = ((0.2, 0.55), (0.4, 0.35), (0.4, 0.10))

_CARD_LIFE_MS = 1_100 * DAY_MS
_DEVICE_LIFE_MS = 800 * DAY_MS
_CARRIER_CELL = 20_000

_VISITOR_SHARE = 0.44
_NEW_VISITOR_SHARE = 0.6
#: Visitors of a day for each of their purchases: most of them buy once, some twice or more.
_VISITORS_PER_PURCHASE = 0.7
_VPN_SHARE = 0.16
_COLLIDING_SHARE = 0.02


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
    """An honest customer; ``created`` (epoch ms) is when the account was opened.

    ``guest`` is how likely they are to buy without signing in; ``collision`` is a fingerprint that they share
    with strangers.
    """

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
    vpn: bool
    guest: float
    collision: str | None
    favourites: tuple[int, ...]

    def card(self, number: int, time: int) -> str:
        """The PAN that a card of theirs has at a time (epoch ms): cards are replaced when they expire."""
        generation = (time + self.token % _CARD_LIFE_MS) // _CARD_LIFE_MS
        serial = mix(self.token, number, generation)
        return values.pan(mix(self.token, number), serial)

    def device(self, time: int) -> str:
        """Their own device's fingerprint at a time: devices are replaced, and some models all look the same."""
        if self.collision is not None:
            return self.collision
        generation = (time + self.token % _DEVICE_LIFE_MS) // _DEVICE_LIFE_MS
        return values.device(mix(self.token, -1, generation))


class Population:
    """Everybody honest in a simulation that starts at ``start`` (epoch ms) and lasts ``span_ms``."""

    def __init__(self, seed: int, people: int, start: int, span_ms: int, purchases_per_day: float) -> None:
        self.seed = seed
        self.people = people
        self.start = start
        self.span_ms = span_ms
        self.market = Market(seed, max(80, people // 6))
        self._visitors_per_day = max(20, int(_VISITORS_PER_PURCHASE * _VISITOR_SHARE * purchases_per_day))
        self._offices = max(4, people // 60)
        # Coprime to the number of people: walks through all of them, far from one household to the next.
        self._stride = next(step for step in itertools.count(people * 5 // 8) if math.gcd(step, people) == 1)
        self.person: Callable[[int], Person] = lru_cache(maxsize=60_000)(self._person)
        self._household: Callable[[int, int], Household] = lru_cache(maxsize=30_000)(self._make_household)

    def customer(self, rng: random.Random, time: int) -> Person:
        """Somebody who buys at a time: an active resident, a rarer one, or a visitor."""
        if rng.random() >= _VISITOR_SHARE:
            return self.resident(rng, time)
        first = self.people + (time - self.start) // DAY_MS * self._visitors_per_day
        while True:
            visitor = self.person(first + rng.randrange(self._visitors_per_day))
            if visitor.created < time:
                return visitor

    def resident(self, rng: random.Random, time: int) -> Person:
        """Somebody who lives here and has an account at a time, the active ones more often."""
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

    def family(self, person: Person) -> list[Person]:
        """Everybody in a resident's household."""
        home = person.household
        return [self.person(slot) for slot in range(home.key, min(home.key + home.size, self.people))]

    def shop(self, rng: random.Random, person: Person) -> Merchant:
        """Where a person buys: a regular place, or any that popularity suggests."""
        if person.favourites and rng.random() < 0.6:
            return self.market.merchant(rng.choice(person.favourites))
        return self.market.merchant(self.market.reachable_rank(rng, person.household.city))

    def office_ip(self, office: int) -> str:
        """The address behind which an office works."""
        return values.office_ip(office)

    def office_device(self, rng: random.Random, office: int) -> str:
        """One of an office's shared machines."""
        return values.device(mix(self.seed, _OFFICE, office, rng.randrange(2)))

    def colliding_device(self, rng: random.Random) -> str:
        """The fingerprint of a model whose devices cannot be told apart."""
        number = int(rng.random() ** 2 * max(4, self.people // 800))
        return values.device(mix(self.seed, _COLLISION, number))

    def _person(self, slot: int) -> Person:
        rng = derived(self.seed, _PERSON, slot)
        household = self._household(*self._home_of(slot))
        visits = slot >= self.people
        if visits:
            # A slot of a visitor names the day of the visit.
            day = self.start + (slot - self.people) // self._visitors_per_day * DAY_MS
            created = day + int(rng.random() ** 2 * DAY_MS) - 2 * MINUTE_MS
            if rng.random() >= _NEW_VISITOR_SHARE:
                created = day - int(lognormal(rng, 120, 1.5) * DAY_MS)
        elif rng.random() < 0.08:
            created = self.start + int(rng.random() * self.span_ms)
        else:
            created = self.start - int(lognormal(rng, 700, 1.0) * DAY_MS)
        token = rng.getrandbits(63)
        own_phone = values.phone(slot) if slot in values.PHONES_OF_PEOPLE else None
        return Person(
            slot=slot,
            token=token,
            household=household,
            account=values.account(mix(token)),
            created=created,
            email=values.email(mix(token, 1)),
            phone=household.phone if household.phone and rng.random() < 0.5 else own_phone,
            cards=rng.choices((1, 2, 3), (62, 28, 10))[0],
            credit_limit=500 * rng.randint(1, 20) if rng.random() < 0.4 else None,
            spending=lognormal(rng, 1.0, 0.35),
            office=int(self._offices * rng.random() ** 2) if not visits and rng.random() < 0.35 else None,
            carrier=self._carrier_of(rng, slot % self.people),
            vpn=rng.random() < _VPN_SHARE,
            guest=0.2 if visits else 0.1,
            collision=self.colliding_device(rng) if rng.random() < _COLLIDING_SHARE else None,
            favourites=() if visits else tuple(self.market.reachable_rank(rng, household.city) for _ in range(6)),
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
            ip=values.home_ipv6(key) if rng.random() < 0.3 else values.home_ip(key % 2**23),
            network=values.network(0, rng.randrange(4)),
            device=values.device(rng.getrandbits(64)) if shares and rng.random() < 0.7 else None,
            phone=values.phone(key) if shares and key in values.PHONES_OF_PEOPLE and rng.random() < 0.4 else None,
        )

    def _carrier_of(self, rng: random.Random, slot: int) -> int:
        # A cell's eight addresses serve half, a quarter, … of its people: 10² to 10⁴ each in a full cell.
        place = min(7, int(rng.expovariate(0.7)))
        return slot // _CARRIER_CELL * 8 + place
