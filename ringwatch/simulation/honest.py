"""Honest traffic: who buys what, where, from which device and connection, and what becomes of it."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator

import msgspec

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.checkout import Buyer, pay, transaction_id, usual_euros
from ringwatch.simulation.population import Merchant, Person, Population
from ringwatch.simulation.records import Event, Payment
from ringwatch.simulation.rhythm import DAY_MS, MINUTE_MS, SECOND_MS, hour_and_weekday, rfc3339


def connection(population: Population, rng: random.Random, person: Person, time: int) -> tuple[str, str, str]:
    """The device, IP and network from which a person buys online at a time."""
    device = person.device(time)
    hour, weekday = hour_and_weekday(time)
    at_work = person.office is not None and weekday < 5 and 8 <= hour < 17
    if person.office is not None and at_work and rng.random() < 0.6:
        if rng.random() < 0.03:
            device = population.office_device(rng, person.office)
        return device, population.office_ip(person.office), values.network(2, person.office)
    if rng.random() < 0.4:
        # Phones roam between their carrier's addresses.
        roaming = person.carrier ^ rng.randrange(8) if rng.random() < 0.15 else person.carrier
        return device, values.carrier_ip(roaming), values.network(1, roaming)
    home = person.household
    if home.device is not None and rng.random() < 0.25:
        device = home.device
    return device, home.ip, home.network


def shopper(population: Population, rng: random.Random, person: Person, merchant: Merchant, time: int) -> Buyer:
    """A person as they appear at one merchant's checkout."""
    card = person.card(min(person.cards - 1, int(rng.expovariate(1.2))), time)
    if merchant.category.channel != "ecommerce":
        return Buyer(
            card=card,
            account=person.account,
            created=person.created,
            credit_limit=person.credit_limit,
            city=person.household.city,
        )
    device, ip, network = connection(population, rng, person, time)
    gift = rng.random() < 0.03
    return Buyer(
        card=card,
        account=person.account,
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


def purchase(population: Population, rng: random.Random, person: Person, merchant: Merchant, time: int) -> Payment:
    """One ordinary purchase."""
    buyer = shopper(population, rng, person, merchant, time)
    draw = rng.random()
    status = "declined" if draw < merchant.decline_rate else "reversed" if draw > 0.998 else "approved"
    return pay(rng, time, buyer, merchant, usual_euros(rng, merchant, person.spending), status)


def traffic(population: Population, rng: random.Random, times: Iterator[int]) -> Iterator[Event]:
    """One event for each time: mostly purchases, and the refunds and second tries that follow from them."""
    follow_ups: list[tuple[int, int, Payment]] = []
    order = itertools.count()
    for time in times:
        if follow_ups and follow_ups[0][0] <= time:
            payment = msgspec.structs.replace(heapq.heappop(follow_ups)[2], event_time=rfc3339(time))
        else:
            person = population.customer(rng, time)
            merchant = population.shop(rng, person)
            payment = purchase(population, rng, person, merchant, time)
            if (follow_up := _follow_up(rng, merchant, payment)) is not None:
                delay, next_payment = follow_up
                heapq.heappush(follow_ups, (time + delay, next(order), next_payment))
        yield Event(time, payment)


def _follow_up(rng: random.Random, merchant: Merchant, payment: Payment) -> tuple[int, Payment] | None:
    if payment.status == "declined" and rng.random() < 0.5:
        delay = int(lognormal(rng, 90 * SECOND_MS, 0.8)) + 5 * SECOND_MS
        second_try = "approved" if rng.random() < 0.7 else "declined"
        return delay, msgspec.structs.replace(payment, transaction_id=transaction_id(rng), status=second_try)
    if payment.status == "approved" and rng.random() < merchant.category.refund_share:
        delay = int(lognormal(rng, 6 * DAY_MS, 0.8)) + 30 * MINUTE_MS
        return delay, msgspec.structs.replace(
            payment,
            transaction_id=transaction_id(rng),
            status="refunded",
            promotion=None,
            original_transaction_id=payment.transaction_id,
        )
    return None
