"""From where people buy: at home, at work, on the move, or through a tunnel."""

from __future__ import annotations

import random

from ringwatch.simulation import values
from ringwatch.simulation.checkout import Buyer
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.population import Person, Population
from ringwatch.simulation.rhythm import hour_and_weekday

#: The exits of one tunnel provider, and how many providers there are.
_EXITS, _PROVIDERS = 40, 6


def mobile(rng: random.Random, carrier: int) -> tuple[str, str]:
    """A carrier's address and network; phones roam between their carrier's addresses."""
    roaming = carrier ^ rng.randrange(8) if rng.random() < 0.15 else carrier
    return values.carrier_ip(roaming), values.network(1, roaming)


def tunnel(rng: random.Random, provider: int) -> tuple[str, str]:
    """Some exit of a VPN provider, in a data centre, and its network."""
    provider %= _PROVIDERS
    exit_number = rng.randrange(_EXITS)
    return values.hosting_ip(provider * _EXITS + exit_number), values.network(3, provider + exit_number % 3)


def connection(population: Population, rng: random.Random, person: Person, time: int) -> tuple[str, str, str]:
    """The device, IP and network from which a person buys online at a time."""
    device = person.device(time)
    if person.vpn and rng.random() < 0.6:
        return device, *tunnel(rng, person.token)
    hour, weekday = hour_and_weekday(time)
    at_work = person.office is not None and weekday < 5 and 8 <= hour < 17
    if person.office is not None and at_work and rng.random() < 0.6:
        if rng.random() < 0.03:
            device = population.office_device(rng, person.office)
        return device, population.office_ip(person.office), values.network(2, person.office)
    if rng.random() < 0.4:
        return device, *mobile(rng, person.carrier)
    home = person.household
    if home.device is not None and rng.random() < 0.25:
        device = home.device
    return device, home.ip, home.network


def shopper(population: Population, rng: random.Random, person: Person, merchant: Merchant, time: int) -> Buyer:
    """A person as they appear at one merchant's checkout."""
    card = person.card(min(person.cards - 1, int(rng.expovariate(1.2))), time)
    account = person.account if rng.random() >= person.guest else None
    if not merchant.online:
        return Buyer(
            card=card,
            account=account,
            created=person.created,
            credit_limit=person.credit_limit,
            city=person.household.city,
        )
    device, ip, network = connection(population, rng, person, time)
    gift = rng.random() < 0.03
    return Buyer(
        card=card,
        account=account,
        created=person.created,
        email=person.email,
        phone=person.phone,
        device=device,
        ip=ip,
        network=network,
        home=person.household.address,
        ship_to=population.customer(rng, time).household.address if gift else None,
        credit_limit=person.credit_limit,
    )
