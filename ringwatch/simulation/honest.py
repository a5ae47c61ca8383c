"""Honest traffic: who buys what, who sends money to whom, and what becomes of it."""

from __future__ import annotations

import heapq
import itertools
import random

import msgspec

from ringwatch.simulation import values
from ringwatch.simulation.chance import lognormal, mix
from ringwatch.simulation.checkout import Buyer, pay, send, transaction_id, usual_euros
from ringwatch.simulation.connections import connection, shopper
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.population import Person, Population
from ringwatch.simulation.records import Payment
from ringwatch.simulation.rhythm import DAY_MS, MINUTE_MS, SECOND_MS, rfc3339

_TRANSFER_SHARE = 0.12
#: How many households have the same landlord.
_HOMES_PER_LANDLORD = 16
_COMPANIES = 300


def status_of(rng: random.Random, decline_rate: float) -> str:
    """What becomes of an honest payment."""
    draw = rng.random()
    return "declined" if draw < decline_rate else "reversed" if draw > 0.998 else "approved"


def purchase(population: Population, rng: random.Random, person: Person, merchant: Merchant, time: int) -> Payment:
    """One ordinary purchase; now and then a tip or a fare, far below what a merchant usually sells."""
    buyer = shopper(population, rng, person, merchant, time)
    spending = person.spending if rng.random() < 0.9 else person.spending * rng.uniform(0.03, 0.4)
    return pay(
        rng, time, buyer, merchant, usual_euros(rng, merchant, spending), status_of(rng, merchant.decline_rate)
    )


def banking(population: Population, rng: random.Random, person: Person, time: int) -> Buyer:
    """A person who signs in to their bank."""
    device, ip, network = connection(population, rng, person, time)
    return Buyer(
        card=person.card(0, time),
        account=person.account,
        created=person.created,
        phone=person.phone,
        device=device,
        ip=ip,
        network=network,
    )


def transfer(population: Population, rng: random.Random, person: Person, time: int) -> Payment:
    """Rent, a share of the bill, pocket money, a tradesman's invoice: an ordinary transfer to another account."""
    country = person.household.city.country
    draw = rng.random()
    if draw < 0.22:
        receiver = values.account(mix(population.seed, 6, person.household.key // _HOMES_PER_LANDLORD))
        euros = round(lognormal(rng, 750, 0.4), -1)
    elif draw < 0.42:
        # Utilities, insurers, the town: everybody pays them.
        receiver = values.account(mix(population.seed, 7, int(rng.random() ** 2 * _COMPANIES)))
        euros = lognormal(rng, 70, 0.7)
    elif draw < 0.76:
        # Friends are few, and the same again.
        friend = mix(person.token, rng.randrange(4)) % population.people
        receiver = population.person(friend).account
        euros = lognormal(rng, 32, 1.0)
    else:
        # Somebody at another bank: a seller, a craftsman, a cousin.
        receiver = values.account(rng.getrandbits(64))
        euros = lognormal(rng, 180, 1.1)
    status = "declined" if rng.random() < 0.03 else "approved"
    return send(rng, time, banking(population, rng, person, time), receiver, country, euros, status)


class Traffic:
    """One payment after the other: purchases, transfers, and the refunds and second tries that follow."""

    def __init__(self, population: Population, rng: random.Random) -> None:
        self._population = population
        self._rng = rng
        self._follow_ups: list[tuple[int, int, Payment]] = []
        self._order = itertools.count()

    def at(self, time: int) -> Payment:
        """What somebody pays at a time (epoch ms) that is not before the last one."""
        population, rng = self._population, self._rng
        if self._follow_ups and self._follow_ups[0][0] <= time:
            return msgspec.structs.replace(heapq.heappop(self._follow_ups)[2], event_time=rfc3339(time))
        if rng.random() < _TRANSFER_SHARE:
            return transfer(population, rng, population.resident(rng, time), time)
        person = population.customer(rng, time)
        merchant = population.shop(rng, person)
        payment = purchase(population, rng, person, merchant, time)
        if (follow_up := _follow_up(rng, merchant, payment)) is not None:
            delay, next_payment = follow_up
            heapq.heappush(self._follow_ups, (time + delay, next(self._order), next_payment))
        return payment


def refund(rng: random.Random, payment: Payment, time: int) -> Payment:
    """The money of a purchase, back at a time."""
    return msgspec.structs.replace(
        payment,
        transaction_id=transaction_id(rng),
        event_time=rfc3339(time),
        status="refunded",
        promotion=None,
        original_transaction_id=payment.transaction_id,
    )


def _follow_up(rng: random.Random, merchant: Merchant, payment: Payment) -> tuple[int, Payment] | None:
    if payment.status == "declined" and rng.random() < 0.5:
        delay = int(lognormal(rng, 90 * SECOND_MS, 0.8)) + 5 * SECOND_MS
        second_try = "approved" if rng.random() < 0.7 else "declined"
        return delay, msgspec.structs.replace(payment, transaction_id=transaction_id(rng), status=second_try)
    if payment.status == "approved" and rng.random() < merchant.category.refund_share:
        delay = int(lognormal(rng, 6 * DAY_MS, 0.8)) + 30 * MINUTE_MS
        return delay, refund(rng, payment, 0)
    return None
