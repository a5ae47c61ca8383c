"""Crowds at a till: sales, concerts, fixed prices, presents, and an issuer that is down."""

from __future__ import annotations

import dataclasses

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import usual_euros
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS

_CARD_ISSUER_DIGITS = 6


def flash_sale(gathering: Gathering) -> None:
    """A shop's offer goes round, and everybody comes at once, with its code; what is sold out is declined."""
    rng = gathering.rng
    merchant = gathering.merchants(1)[0]
    crowd = gathering.people(gathering.size(15))
    sold_out = rng.uniform(0.05, 0.35)
    for time, person in zip(
        gathering.times(len(crowd), gathering.duration_ms(25 * MINUTE_MS, 0.8)), crowd, strict=True
    ):
        buyer = gathering.buyer(person, merchant, time)
        euros = usual_euros(rng, merchant, 0.6)
        gathering.buy(time, buyer, merchant, euros, decline_rate=sold_out, discounts=0.9)


def concert(gathering: Gathering) -> None:
    """An evening's visitors: the same bar, the same stall, the same garage, all within hours."""
    rng = gathering.rng
    city = gathering.people(1)[0].household.city
    visitors = gathering.people(gathering.size(10), lambda person: person.household.city is city)
    places = [gathering.market.counter(rng, city.country) for _ in range(rng.randint(3, 6))]
    doors = gathering.start + rng.random() * 8 * HOUR_MS
    for person in visitors:
        for number, place in enumerate(places):
            if rng.random() < 0.6:
                moment = doors + number * 35 * MINUTE_MS + rng.gauss(0, 15 * MINUTE_MS)
                buyer = dataclasses.replace(gathering.buyer(person, place, moment), city=city)
                gathering.buy(moment, buyer, place)


def gift_cards(gathering: Gathering) -> None:
    """A shop with a few fixed prices, for vouchers, tickets or subscriptions: the same sum from many cards."""
    rng = gathering.rng
    merchant = gathering.merchants(1, codes=frozenset(("5815", "4899", "5311")))[0]
    prices = [round(lognormal(rng, 25, 0.7) / 5 + 1) * 5.0 for _ in range(rng.choices((1, 2, 4), (50, 30, 20))[0])]
    customers = gathering.people(gathering.size(10))
    duration = gathering.duration_ms(4 * HOUR_MS, 1.0)
    for time, person in zip(gathering.times(len(customers), duration), customers, strict=True):
        gathering.buy(time, gathering.buyer(person, merchant, time), merchant, rng.choice(prices))


def gift_buyer(gathering: Gathering) -> None:
    """One person sends presents to everybody they know, from one device and a card or two."""
    rng = gathering.rng
    person = gathering.people(1)[0]
    merchants = gathering.merchants(4, codes=frozenset(("5311", "5651", "5732")))
    for time in gathering.times(rng.randint(5, 18), gathering.duration_ms(DAY_MS, 0.8)):
        merchant = rng.choice(merchants)
        friend = gathering.population.resident(rng, time).household.address
        buyer = gathering.buyer(person, merchant, time)
        gathering.buy(time, dataclasses.replace(buyer, device=person.device(time), ship_to=friend), merchant)


def personal_shopper(gathering: Gathering) -> None:
    """An agent shops for customers, with their cards, from one device, to their addresses."""
    rng = gathering.rng
    agent, *clients = gathering.people(gathering.size(5))
    merchants = gathering.merchants(4, codes=frozenset(("5651", "5732", "5311")))
    duration = gathering.duration_ms(6 * DAY_MS, 0.7)
    for time in gathering.times(2 + int(len(clients) * rng.uniform(1, 2.5)), duration):
        client, merchant = rng.choice(clients or [agent]), rng.choice(merchants)
        seen = gathering.buyer(agent, merchant, time)
        buyer = dataclasses.replace(
            seen,
            card=client.card(0, time),
            account=agent.account,
            created=agent.created,
            device=agent.device(time),
            ship_to=client.household.address,
        )
        gathering.buy(time, buyer, merchant)


def issuer_outage(gathering: Gathering) -> None:
    """A bank's systems are down: whoever has a card of its BIN is declined, wherever they are, and tries again."""
    rng = gathering.rng
    issuer = gathering.people(1)[0].card(0, gathering.start)[:_CARD_ISSUER_DIGITS]
    clients = gathering.people(
        min(60, gathering.size(10)), lambda person: person.card(0, gathering.start).startswith(issuer)
    )
    # Where most of them are customers: a local bank's favourite shop.
    favourite = gathering.merchants(1)[0]
    for time, person in zip(
        gathering.times(len(clients), gathering.duration_ms(40 * MINUTE_MS, 0.6)), clients, strict=True
    ):
        merchant = favourite if rng.random() < 0.4 else gathering.population.shop(rng, person)
        buyer = dataclasses.replace(gathering.buyer(person, merchant, time), card=person.card(0, gathering.start))
        euros = usual_euros(rng, merchant)
        for attempt in range(rng.choices((1, 2, 3), (50, 30, 20))[0]):
            moment = time + attempt * lognormal(rng, MINUTE_MS, 0.6)
            gathering.buy(moment, buyer, merchant, euros, decline_rate=0.93)


def internet_cafe(gathering: Gathering) -> None:
    """A public machine, in a library, a café or a hostel: a stranger every half hour."""
    rng = gathering.rng
    machines = [values.device(rng.getrandbits(64)) for _ in range(rng.randint(1, 4))]
    ip, network = values.home_ip(rng.getrandbits(23)), values.network(0, rng.randrange(4))
    guests = gathering.people(gathering.size(6))
    regulars = rng.sample(guests, len(guests) // 2)
    duration = gathering.duration_ms(2 * DAY_MS, 0.8)
    for time in gathering.times(int(len(guests) * rng.uniform(1, 2.5)), duration):
        person = rng.choice(regulars if regulars and rng.random() < 0.5 else guests)
        merchant = gathering.merchants(1)[0]
        buyer = gathering.buyer(person, merchant, time)
        seat = rng.choice(machines)
        gathering.buy(time, dataclasses.replace(buyer, device=seat, ip=ip, network=network), merchant)
