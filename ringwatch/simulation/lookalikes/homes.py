"""Families, flatmates and couples: what is shared at home."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import usual_euros
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.honest import banking, refund
from ringwatch.simulation.population import Person
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS


def family(gathering: Gathering, fewest: int = 2) -> list[Person]:
    """A household of at least so many, or the largest that a look around finds."""
    candidates = gathering.people(12)
    homes = [gathering.population.family(person) for person in candidates]
    fitting = [home for home in homes if len(home) >= fewest]
    home = fitting[0] if fitting else max(homes, key=len)
    return [person for person in home if person.created < gathering.start] or home


def family_tablet(gathering: Gathering) -> None:
    """One tablet on the sofa, several people with accounts and cards of their own."""
    rng = gathering.rng
    home = family(gathering, 3)
    tablet = values.device(rng.getrandbits(64))
    duration = gathering.duration_ms(12 * DAY_MS, 0.8)
    busy = rng.random() < 0.3  # the days before Christmas
    for time in gathering.times(rng.randint(5, 10 + 6 * len(home)), DAY_MS // 2 if busy else duration):
        person = rng.choice(home)
        merchant = rng.choice(gathering.merchants(3))
        buyer = gathering.buyer(person, merchant, time)
        own = person.household
        gathering.buy(time, dataclasses.replace(buyer, device=tablet, ip=own.ip, network=own.network), merchant)


def student_hall(gathering: Gathering) -> None:
    """One address for a house full of students, new accounts at the term's start, a landline in each flat."""
    rng = gathering.rng
    students = gathering.people(gathering.size(8))
    city = students[0].household.city
    address = values.address(rng.randint(1, 240), rng.getrandbits(31), city.name)
    lines = [values.phone(rng.choice(values.PHONES_OF_HALLS)) for _ in range(1 + len(students) // 3)]
    ip, network = values.home_ip(rng.getrandbits(23)), values.network(0, rng.randrange(4))
    term = gathering.duration_ms(10 * DAY_MS, 0.5)
    merchants = gathering.merchants(6)
    for number, (time, person) in enumerate(zip(gathering.times(len(students), term), students, strict=True)):
        freshman = _freshman(rng, time) if rng.random() < 0.6 else {}
        for order in range(1 + int(rng.expovariate(0.8))):
            merchant = rng.choice(merchants)
            moment = time + order * lognormal(rng, 2 * DAY_MS, 0.7)
            buyer = dataclasses.replace(
                gathering.buyer(person, merchant, moment),
                home=address,
                ship_to=None,
                phone=lines[number % len(lines)] if rng.random() < 0.4 else None if freshman else person.phone,
                **freshman,
            )
            if rng.random() < 0.5:
                buyer = dataclasses.replace(buyer, ip=ip, network=network)
            gathering.buy(moment, buyer, merchant)


def _freshman(rng: random.Random, time: int) -> dict[str, Any]:
    """Somebody whom nobody has seen before, with a first account, opened shortly before a time."""
    return {
        "card": values.pan(rng.getrandbits(20), rng.getrandbits(40)),
        "account": values.account(rng.getrandbits(64)),
        "created": time - int(lognormal(rng, 3 * HOUR_MS, 1.5)),
        "email": values.email(rng.getrandbits(63)),
        "device": values.device(rng.getrandbits(64)),
    }


def family_wallet(gathering: Gathering) -> None:
    """One account for the whole family, in which everybody's cards are kept."""
    rng = gathering.rng
    home = family(gathering, 2)
    owner = home[0]
    cards = [person.card(number, gathering.start) for person in home for number in range(person.cards)]
    cards += [values.pan(rng.getrandbits(20), rng.getrandbits(40)) for _ in range(max(0, 3 - len(cards)))]
    duration = gathering.duration_ms(3 * DAY_MS, 1.2)
    for time in gathering.times(rng.randint(5, 18), duration):
        merchant = gathering.merchants(1, "account")[0]
        buyer = dataclasses.replace(
            gathering.buyer(owner, merchant, time),
            account=owner.account,
            card=rng.choice(cards),
            device=rng.choice(home).device(time),
        )
        gathering.buy(time, buyer, merchant)


def holiday_spending(gathering: Gathering) -> None:
    """A family's week away, or the days before Christmas: several times what they spend otherwise."""
    rng = gathering.rng
    home = family(gathering, 2)
    duration = gathering.duration_ms(20 * DAY_MS, 0.4)
    spree = rng.uniform(2, 7) * DAY_MS
    for person in home:
        for _ in range(rng.randint(2, 6)):
            merchant = gathering.population.shop(rng, person)
            moment = gathering.start + rng.random() * duration
            gathering.buy(moment, gathering.buyer(person, merchant, moment), merchant)
        for _ in range(rng.randint(3, 9)):
            merchant = gathering.merchants(1, "account", codes=frozenset(("4722", "5311", "5651", "5732")))[0]
            moment = gathering.start + duration - rng.random() * min(spree, duration)
            buyer = dataclasses.replace(gathering.buyer(person, merchant, moment), account=person.account)
            gathering.buy(moment, buyer, merchant, usual_euros(rng, merchant, lognormal(rng, 2.2, 0.5)))


def couple(gathering: Gathering) -> None:
    """Two people who lend each other money and get it back: groceries, rent, a holiday."""
    rng = gathering.rng
    pair = gathering.people(2)
    both = [*pair, family(gathering)[0]] if rng.random() < 0.15 else pair
    country = both[0].household.city.country
    time: float = gathering.start
    euros = lognormal(rng, 70, 0.9)
    for turn in range(rng.randint(4, 16)):
        giver, taker = both[turn % len(both)], both[(turn + 1) % len(both)]
        sender = banking(gathering.population, rng, giver, gathering.moment(time))
        gathering.send(time, sender, taker.account, country, euros)
        time += lognormal(rng, 30 * HOUR_MS, 1.0)
        euros = euros * rng.uniform(0.9, 1.02) if rng.random() < 0.5 else lognormal(rng, 70, 0.9)


def clothing_returns(gathering: Gathering) -> None:
    """A household orders clothes in three sizes each and sends two of them back."""
    rng = gathering.rng
    home = family(gathering, 2)
    merchants = gathering.merchants(2, "account", codes=frozenset(("5651",)))
    duration = gathering.duration_ms(15 * DAY_MS, 0.5)
    for time in gathering.times(rng.randint(3, 14), duration):
        person, merchant = rng.choice(home), rng.choice(merchants)
        buyer = dataclasses.replace(gathering.buyer(person, merchant, time), account=person.account, ship_to=None)
        payment = gathering.buy(time, buyer, merchant)
        back = gathering.moment(time + lognormal(rng, 7 * DAY_MS, 0.5))
        if payment.status == "approved" and back > time and rng.random() < 0.6:
            gathering.take(back, refund(rng, payment, back))
