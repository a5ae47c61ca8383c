"""Offices, company cards, clerks who type in orders, and those who travel to work together."""

from __future__ import annotations

import dataclasses

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, usual_euros
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS


def office(gathering: Gathering) -> None:
    """Colleagues behind one address who order lunch from the same few places, and parcels in between."""
    rng = gathering.rng
    staff = gathering.people(gathering.size(6))
    number = rng.getrandbits(20)
    ip, network = values.office_ip(number), values.network(2, number)
    terminal = values.device(rng.getrandbits(64)) if rng.random() < 0.4 else None
    kitchens = gathering.merchants(rng.randint(1, 3), codes=frozenset(("5814",)))
    morning = gathering.start - gathering.start % DAY_MS
    for day in range(1, 1 + rng.randint(1, 6)):
        noon = morning + day * DAY_MS + 11.5 * HOUR_MS
        for person in staff:
            if rng.random() < 0.55:
                merchant = rng.choice(kitchens) if rng.random() < 0.75 else gathering.merchants(1)[0]
                moment = noon + rng.gauss(0, 25 * MINUTE_MS)
                buyer = dataclasses.replace(gathering.buyer(person, merchant, moment), ip=ip, network=network)
                if terminal is not None and rng.random() < 0.3:
                    buyer = dataclasses.replace(buyer, device=terminal)
                gathering.buy(moment, buyer, merchant)


def corporate_cards(gathering: Gathering) -> None:
    """A company's purchasing account, on which many cards are kept: travel, software, supplies."""
    rng = gathering.rng
    account, created = (
        values.account(rng.getrandbits(64)),
        gathering.start - int(lognormal(rng, 500, 0.8) * DAY_MS),
    )
    cards = [values.pan(rng.getrandbits(4), rng.getrandbits(40)) for _ in range(gathering.size(5))]
    number = rng.getrandbits(20)
    buyers = [values.device(rng.getrandbits(64)) for _ in range(1 + len(cards) // 4)]
    merchants = gathering.merchants(5, "account", codes=frozenset(("4722", "5732", "5815", "4899")))
    mailbox, address = values.email(rng.getrandbits(63)), values.address(rng.randint(1, 240), number, "Berlin")
    duration = gathering.duration_ms(3 * DAY_MS, 0.9)
    for time in gathering.times(len(cards) * rng.randint(1, 3), duration):
        buyer = Buyer(
            card=rng.choice(cards),
            account=account,
            created=created,
            email=mailbox,
            device=rng.choice(buyers),
            ip=values.office_ip(number),
            network=values.network(2, number),
            home=address,
            credit_limit=10_000,
        )
        gathering.buy(time, buyer, rng.choice(merchants))


def call_centre(gathering: Gathering) -> None:
    """Agents take orders by phone: a few machines, and every customer's card, account and address."""
    rng = gathering.rng
    machines = [values.device(rng.getrandbits(64)) for _ in range(rng.randint(1, 4))]
    _typed_in(gathering, machines, gathering.merchants(rng.randint(1, 3), "account", "device"), 9 * HOUR_MS)


def mail_order(gathering: Gathering) -> None:
    """A small shop keys in what comes by post: nearly all its payments come from the machine in its back room."""
    rng = gathering.rng
    shop = gathering.market.opened(rng, gathering.city().country)
    shop = dataclasses.replace(shop, collects=shop.collects | {"device", "ip"})
    _typed_in(gathering, [values.device(rng.getrandbits(64))], [shop], gathering.duration_ms(3 * DAY_MS, 0.6))


def commuters(gathering: Gathering) -> None:
    """The same people at the same kiosks at the same times, every working day."""
    rng = gathering.rng
    some = gathering.people(1)[0].household.city
    travellers = gathering.people(rng.randint(4, 14), lambda person: person.household.city == some)
    country = some.country
    stops = [gathering.market.counter(rng, country) for _ in range(rng.randint(3, 5))]
    morning = gathering.start - gathering.start % DAY_MS
    for day in range(1, 1 + rng.randint(1, 5)):
        for person in travellers:
            train = morning + day * DAY_MS + 6.4 * HOUR_MS + rng.gauss(0, 6 * MINUTE_MS)
            for number, stop in enumerate(stops):
                if rng.random() < 0.7:
                    moment = train + number * 14 * MINUTE_MS + rng.gauss(0, 3 * MINUTE_MS)
                    euros = usual_euros(rng, stop, 0.25)
                    gathering.buy(moment, gathering.buyer(person, stop, moment), stop, euros)


def _typed_in(gathering: Gathering, machines: list[str], shops: list[Merchant], shift_ms: float) -> None:
    rng = gathering.rng
    number = rng.getrandbits(20)
    customers = gathering.people(gathering.size(8))
    for time, person in zip(gathering.times(len(customers), int(shift_ms)), customers, strict=True):
        shop = rng.choice(shops)
        buyer = dataclasses.replace(
            gathering.buyer(person, shop, time),
            account=person.account if rng.random() < 0.7 else None,
            device=rng.choice(machines),
            ip=values.office_ip(number),
            network=values.network(2, number),
        )
        gathering.buy(time, buyer, shop)
