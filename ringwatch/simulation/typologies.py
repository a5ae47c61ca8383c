"""The six kinds of rings. Sizes, durations, prices and habits are drawn anew for every ring.

None of the figures here is a rule's threshold: they say what such rings do, and some do too little to be seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, usual_euros
from ringwatch.simulation.plot import Kind, Plot
from ringwatch.simulation.records import Typology
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


def card_testing(plot: Plot) -> None:
    """Stolen cards are tried with small amounts from a few devices or addresses; most are declined."""
    rng = plot.rng
    cards = plot.cards(plot.size(5), hijacked_share=rng.random() * 0.6)
    devices = plot.devices(1 + len(cards) // rng.randint(8, 40))
    connections = plot.connections(1 + len(cards) // rng.randint(5, 30))
    mailboxes = plot.emails(1 + len(cards) // 10)
    merchants = plot.merchants(rng.choices((1, 2, 3), (70, 20, 10))[0])
    decline_rate = rng.betavariate(7, 3)
    price = lognormal(rng, 2.2, 0.6)
    for time, card in zip(plot.times(len(cards), plot.duration_ms(18 * MINUTE_MS, 1.0)), cards, strict=True):
        ip, network = rng.choice(connections)
        buyer = Buyer(card=card, device=rng.choice(devices), ip=ip, network=network, email=rng.choice(mailboxes))
        for attempt in range(rng.choices((1, 2, 3), (60, 30, 10))[0]):
            moment = time + int(attempt * lognormal(rng, 12 * SECOND_MS, 0.6))
            plot.commit(
                moment, buyer, rng.choice(merchants), lognormal(rng, price, 0.3), decline_rate=decline_rate
            )


def device_farm(plot: Plot) -> None:
    """A few machines or emulators run many new accounts, each with a card, often for promotions."""
    rng = plot.rng
    cards = plot.cards(plot.size(4), hijacked_share=0.1)
    devices = plot.devices(1 + len(cards) // rng.randint(4, 14))
    connections = plot.connections(1 + len(cards) // rng.randint(3, 12))
    drops = plot.addresses(1 + len(cards) // rng.randint(3, 8))
    merchants = plot.merchants(rng.randint(1, 4), "account", "device")
    duration = plot.duration_ms(16 * HOUR_MS, 1.0)
    discounts = rng.random() * 0.8
    decline_rate = rng.betavariate(2, 10)
    buyers = []
    for time, card in zip(plot.times(len(cards), duration), cards, strict=True):
        ip, network = rng.choice(connections)
        buyer = plot.identity(
            card,
            account=values.account(rng.getrandbits(64)),
            created=time - int(lognormal(rng, 5 * HOUR_MS, 1.5)),
            device=rng.choice(devices),
            ip=ip,
            network=network,
            home=rng.choice(drops),
        )
        buyers.append(buyer)
        for purchase in range(rng.choices((1, 2, 3, 4), (35, 35, 20, 10))[0]):
            moment = time + int(purchase * lognormal(rng, duration / 12, 0.8))
            merchant = rng.choice(merchants)
            euros = usual_euros(rng, merchant, 1.2)
            plot.commit(moment, buyer, merchant, euros, decline_rate=decline_rate, discounts=discounts)
    plot.camouflage(buyers, duration)


def account_takeover_fan_in(plot: Plot) -> None:
    """Somebody signs in to established accounts from a device that none of them knows, and buys on their cards."""
    rng = plot.rng
    victims: dict[int, None] = {}
    old_enough = plot.population.start - int(rng.uniform(60, 200) * DAY_MS)
    wanted = min(plot.size(3), plot.population.people // 8)
    while len(victims) < wanted:
        person = plot.population.customer(rng, plot.start)
        if person.created < old_enough:
            victims[person.slot] = None
    devices = plot.devices(1 + len(victims) // rng.randint(10, 40))
    connections = plot.connections(1 + len(victims) // rng.randint(3, 15))
    drops = plot.addresses(1 + len(victims) // rng.randint(3, 10))
    merchants = plot.merchants(rng.randint(1, 4), "account", "device")
    greed = lognormal(rng, 2.5, 0.5)
    decline_rate = rng.betavariate(3, 9)
    duration = plot.duration_ms(7 * HOUR_MS, 1.0)
    for time, slot in zip(plot.times(len(victims), duration), victims, strict=True):
        person = plot.population.person(slot)
        ip, network = rng.choice(connections)
        buyer = Buyer(
            card=person.card(rng.randrange(person.cards), time),
            account=person.account,
            created=person.created,
            email=person.email,
            phone=person.phone,
            device=rng.choice(devices),
            ip=ip,
            network=network,
            home=person.household.address,
            ship_to=rng.choice(drops),
            credit_limit=person.credit_limit,
        )
        for purchase in range(rng.choices((1, 2, 3), (45, 35, 20))[0]):
            moment = time + int(purchase * lognormal(rng, 7 * MINUTE_MS, 0.9))
            merchant = rng.choice(merchants)
            plot.commit(moment, buyer, merchant, usual_euros(rng, merchant, greed), decline_rate=decline_rate)


def synthetic_identity(plot: Plot) -> None:
    """Invented people who share mailboxes, phones or addresses build up a history, then spend."""
    rng = plot.rng
    cards = plot.cards(plot.size(3), hijacked_share=0.0)
    shared = rng.sample(("email", "phone", "home"), rng.choices((2, 3), (60, 40))[0])
    pool = 1 + len(cards) // rng.randint(3, 9)
    pools = {"email": plot.emails(pool), "phone": plot.phones(pool), "home": plot.addresses(pool)}
    merchants = plot.merchants(rng.randint(3, 8), "account", "email")
    merchants += plot.merchants(rng.randint(2, 4), "account", "phone", "billing")
    duration = plot.duration_ms(9 * DAY_MS, 0.7)
    greed = lognormal(rng, 4.0, 0.5)
    buyers = []
    for time, card in zip(plot.times(len(cards), duration // 2), cards, strict=True):
        buyer = plot.identity(
            card,
            account=values.account(rng.getrandbits(64)),
            created=time - int(lognormal(rng, 2 * DAY_MS, 1.0)),
            **{kind: rng.choice(pools[kind]) for kind in shared},
        )
        buyers.append(buyer)
        small, large = rng.randint(2, 5), rng.randint(0, 3)
        moments = sorted(time + int(rng.random() * (plot.start + duration - time)) for _ in range(small + large))
        for number, moment in enumerate(moments):
            merchant = rng.choice(merchants)
            euros = usual_euros(rng, merchant, 0.7 if number < small else greed)
            plot.commit(moment, buyer, merchant, euros, decline_rate=0.05)
    plot.camouflage(buyers, duration)


def merchant_collusion(plot: Plot) -> None:
    """A merchant charges many cards from a device or two of its own; few real customers ever come by."""
    rng = plot.rng
    country = rng.choice(plot.merchants(1)).country
    merchant = plot.population.new_merchant(rng, country)
    cards = plot.cards(plot.size(4), hijacked_share=rng.random() * 0.5)
    insistence = lognormal(rng, 2.8, 0.6)
    devices = plot.devices(rng.randint(1, 2))
    connections = plot.connections(rng.randint(1, 2))
    duration = plot.duration_ms(20 * HOUR_MS, 1.2)
    price = lognormal(rng, 85, 0.6)
    decline_rate = rng.betavariate(1, 12)
    buyers = []
    for time, card in zip(plot.times(len(cards), duration), cards, strict=True):
        ip, network = rng.choice(connections)
        buyers.append(plot.identity(card, email=None))
        charged = dataclasses.replace(buyers[-1], device=rng.choice(devices), ip=ip, network=network, home=None)
        for charge in range(1 + int(rng.expovariate(1 / insistence))):
            moment = time + int(charge * lognormal(rng, duration / 12, 0.8))
            plot.commit(moment, charged, merchant, lognormal(rng, price, 0.25), decline_rate=decline_rate)
    plot.attract(merchant, int(len(cards) * rng.random() * 0.5), duration)
    plot.camouflage(buyers, duration)


def bin_attack(plot: Plot) -> None:
    """Card numbers under one BIN are enumerated at a merchant, through many addresses; nearly all are declined."""
    rng = plot.rng
    count = plot.size(15, alpha=1.0)
    issuer, serial = rng.getrandbits(20), rng.getrandbits(30)
    connections = plot.connections(1 + count // rng.randint(2, 20))
    devices = plot.devices(1 + count // rng.randint(2, 30))
    headless = rng.random() < 0.4
    merchant = plot.merchants(1)[0]
    decline_rate = rng.betavariate(12, 2)
    price = lognormal(rng, 3.5, 0.8)
    for time in plot.times(count, plot.duration_ms(25 * MINUTE_MS, 0.9)):
        serial += 1 + int(rng.expovariate(0.4))
        ip, network = rng.choice(connections)
        buyer = Buyer(
            card=values.pan(issuer, serial),
            device=None if headless else rng.choice(devices),
            ip=ip,
            network=network,
        )
        plot.commit(time, buyer, merchant, lognormal(rng, price, 0.1), decline_rate=decline_rate)


class Staging(NamedTuple):
    """How a typology is staged, what belongs to its rings, and the share of the span before their start."""

    stage: Callable[[Plot], None]
    kinds: frozenset[Kind]
    earliest: float


STAGINGS: dict[Typology, Staging] = {
    "card_testing": Staging(card_testing, frozenset(("card", "device", "ip", "email")), 0.03),
    "device_farm": Staging(device_farm, frozenset(("card", "account", "device", "ip", "email", "address")), 0.03),
    # A takeover needs accounts that have been seen before.
    "account_takeover_fan_in": Staging(
        account_takeover_fan_in, frozenset(("card", "account", "device", "ip")), 0.35
    ),
    "synthetic_identity": Staging(
        synthetic_identity, frozenset(("card", "account", "device", "ip", "email", "phone", "address")), 0.03
    ),
    "merchant_collusion": Staging(merchant_collusion, frozenset(("card", "device", "ip", "merchant")), 0.03),
    "bin_attack": Staging(bin_attack, frozenset(("card", "device", "ip", "merchant")), 0.03),
}
