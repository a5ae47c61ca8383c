"""People whose connection, fingerprint or whereabouts say little about them."""

from __future__ import annotations

import dataclasses

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.connections import tunnel
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.places import CITIES
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS


def carrier_nat(gathering: Gathering) -> None:
    """Many strangers behind one of a carrier's addresses, within hours; some of them are declined."""
    rng = gathering.rng
    users = gathering.people(gathering.size(20))
    number = rng.getrandbits(22)
    ip, network = values.carrier_ip(number), values.network(1, number)
    for time, person in zip(
        gathering.times(len(users), gathering.duration_ms(8 * HOUR_MS, 0.6)), users, strict=True
    ):
        merchant = gathering.merchants(1, "ip")[0]
        buyer = dataclasses.replace(gathering.buyer(person, merchant, time), ip=ip, network=network)
        gathering.buy(time, buyer, merchant)


def mobile_churn(gathering: Gathering) -> None:
    """Somebody shops on a train: one card, one phone, an address after the other, and home Wi-Fi at the end."""
    rng = gathering.rng
    for person in gathering.people(rng.randint(1, 3)):
        time: float = gathering.start + rng.random() * HOUR_MS
        card = person.card(0, gathering.start)
        carrier = rng.getrandbits(20)
        for _ in range(rng.randint(4, 10)):
            number = carrier ^ rng.randrange(64)
            merchant = gathering.merchants(1, "ip")[0]
            shown = gathering.buyer(person, merchant, time)
            # Abroad or near a border there is another carrier's network.
            network = values.network(1, number if rng.random() < 0.3 else carrier)
            buyer = dataclasses.replace(
                shown,
                card=card,
                device=person.device(gathering.start),
                ip=values.carrier_ip(number),
                network=network,
            )
            gathering.buy(time, buyer, merchant)
            time += lognormal(rng, 11 * MINUTE_MS, 0.7)


def vpn(gathering: Gathering) -> None:
    """Somebody's VPN changes its exit every few minutes, to another data centre."""
    rng = gathering.rng
    for person in gathering.people(rng.randint(1, 4)):
        time: float = gathering.start + rng.random() * DAY_MS
        card, provider = person.card(0, gathering.start), rng.randrange(6)
        for _ in range(rng.randint(4, 10)):
            ip, network = tunnel(rng, provider)
            merchant = gathering.merchants(1, "ip")[0]
            shown = gathering.buyer(person, merchant, time)
            device = person.device(gathering.start)
            buyer = dataclasses.replace(shown, card=card, device=device, ip=ip, network=network)
            gathering.buy(time, buyer, merchant)
            time += lognormal(rng, 14 * MINUTE_MS, 0.8)


def colliding_fingerprint(gathering: Gathering) -> None:
    """A phone model whose fingerprint is the same for all its owners, in any city and at any shop."""
    rng = gathering.rng
    device = values.device(rng.getrandbits(64))
    owners = gathering.people(gathering.size(6))
    for time in gathering.times(int(len(owners) * rng.uniform(1, 2)), gathering.duration_ms(4 * DAY_MS, 0.8)):
        merchant = gathering.merchants(1)[0]
        buyer = gathering.buyer(rng.choice(owners), merchant, time)
        gathering.buy(time, dataclasses.replace(buyer, device=device), merchant)


def traveller(gathering: Gathering) -> None:
    """A flight between two cities, and tills that a chain has registered at its headquarters, a country away."""
    rng = gathering.rng
    for person in gathering.people(rng.randint(1, 4)):
        home = person.household.city
        away = rng.choice([city for city in CITIES if city is not home])
        headquarters = rng.choice([city for city in CITIES if city is not home])
        card = person.card(0, gathering.start)
        time = gathering.start + rng.random() * DAY_MS
        airline = gathering.merchants(1, codes=frozenset(("4722",)))[0]
        gathering.buy(time, dataclasses.replace(gathering.buyer(person, airline, time), card=card), airline)
        for leg, place in enumerate((home, away, away, home)):
            till = gathering.market.counter(rng, place.country)
            till = dataclasses.replace(till, collects=till.collects | {"location"})
            time += lognormal(rng, 5 * HOUR_MS, 0.2) + (9 * HOUR_MS if leg in (1, 3) else 0)
            buyer = dataclasses.replace(gathering.buyer(person, till, time), card=card, city=place)
            gathering.buy(time, buyer, till)
            if rng.random() < 0.6:
                chain = gathering.market.counter(rng, headquarters.country)
                chain = dataclasses.replace(chain, collects=chain.collects | {"location"})
                moment = time + lognormal(rng, 25 * MINUTE_MS, 0.6)
                shown = dataclasses.replace(gathering.buyer(person, chain, moment), card=card, city=headquarters)
                gathering.buy(moment, shown, chain)
