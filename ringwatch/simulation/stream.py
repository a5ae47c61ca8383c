"""The simulated stream: honest traffic and rings, merged by event time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

from ringwatch.simulation.chance import derived, lognormal, mix
from ringwatch.simulation.honest import traffic
from ringwatch.simulation.plot import Plot
from ringwatch.simulation.population import Population
from ringwatch.simulation.records import TYPOLOGIES, Event, Label, Ring, Typology
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, MINUTE_MS, arrivals, rfc3339
from ringwatch.simulation.typologies import STAGINGS

#: 2025-01-01T00:00:00Z, in epoch ms: when every simulation starts.
START = 1_735_689_600_000

_TRANSACTIONS_PER_PERSON = 45
_TRANSACTIONS_PER_PERSON_AND_DAY = 0.9
_FEWEST_PEOPLE = 200
_LARGEST_RING = 200
_FEWEST_RINGS = 2 * len(TYPOLOGIES)

# What a derivation is for keeps equal indices apart.
_HONEST, _ARRIVALS, _PLAN, _RING, _LABEL = range(11, 16)

_CHARGEBACK_MEDIAN_DAYS, _CHARGEBACK_LATEST_DAYS = 24.0, 90.0
_REVIEWED_DECLINE_SHARE = 0.25
_REVIEWED_HONEST_SHARE = 0.001


class _Planned(NamedTuple):
    """A ring that will be staged; everything else about it follows from its number."""

    start: int
    number: int
    typology: Typology


class Simulation:
    """Exactly ``transactions`` payments in order of event time, the same for the same seed on every machine.

    The density is that of a real portfolio, whatever the size: 0.9 purchases per person and day over fifty days,
    hence one person (with one to three cards) per 45 transactions; below 9,000 transactions 200 people remain
    and the span shrinks. ``fraud_rate`` is the share of fraudulent transactions, but each typology gets at
    least two rings (unless they would exceed a quarter of everything): a small simulation has more fraud.
    Memory is bounded by caches and by what is under way, not by ``transactions``.
    """

    def __init__(self, transactions: int, seed: int, *, fraud_rate: float = 0.003) -> None:
        if transactions < 1:
            raise ValueError("a simulation needs at least one transaction")
        if not 0.0 <= fraud_rate <= 0.2:
            raise ValueError("fraud_rate must lie within 0 and 0.2")
        self.transactions = transactions
        self.fraud_rate = fraud_rate
        self._seed = seed
        people = max(_FEWEST_PEOPLE, transactions // _TRANSACTIONS_PER_PERSON)
        self._hours = max(24, int(24 * transactions / (people * _TRANSACTIONS_PER_PERSON_AND_DAY)))
        self._population = Population(mix(seed, 0), people, START, self._hours * HOUR_MS)

    def events(self) -> Iterator[Event]:
        """Every payment with its truth, in order of event time."""
        planned, ring_events = self._plan
        count = self.transactions - ring_events
        times = arrivals(derived(self._seed, _ARRIVALS), count, START, self._hours)
        honest = traffic(self._population, derived(self._seed, _HONEST), times)
        return heapq.merge(honest, self._ring_events(planned), key=lambda event: event.time)

    def rings(self) -> Iterator[Ring]:
        """The truth about every ring, in order of their planned starts."""
        for planned in self._plan[0]:
            yield self._staged(planned).truth()

    def label(self, event: Event) -> Label | None:
        """The verdict on a payment, if there will ever be one, and when.

        Whoever lost money charges back weeks later; an analyst looks at some declined and a few honest payments.
        """
        rng_key = int(event.payment.transaction_id[:8], 16)
        if not event.fraud and mix(self._seed, _LABEL, rng_key) >= _REVIEWED_HONEST_SHARE * 2**64:
            return None
        rng = derived(self._seed, _LABEL, rng_key, 1)
        reviewed = event.fraud and event.payment.status != "declined" and rng.random() < 0.15
        if event.fraud and event.payment.status != "declined" and not reviewed:
            days = min(_CHARGEBACK_LATEST_DAYS, 1.0 + lognormal(rng, _CHARGEBACK_MEDIAN_DAYS, 0.6))
            return self._verdict(event, "chargeback", int(days * DAY_MS))
        if event.fraud and not reviewed and rng.random() >= _REVIEWED_DECLINE_SHARE:
            return None
        return self._verdict(event, "analyst", int(lognormal(rng, 9 * HOUR_MS, 1.0)) + 5 * MINUTE_MS)

    @cached_property
    def _plan(self) -> tuple[list[_Planned], int]:
        """The rings in order of start, and how many payments they make."""
        rng = derived(self._seed, _PLAN)
        planned: list[_Planned] = []
        fraud = payments = 0
        while self.fraud_rate and (len(planned) < _FEWEST_RINGS or fraud < self.fraud_rate * self.transactions):
            typology = TYPOLOGIES[len(planned) % len(TYPOLOGIES)]
            share = rng.uniform(STAGINGS[typology].earliest, 0.93)
            ring = _Planned(START + int(share * self._hours * HOUR_MS), len(planned), typology)
            events = self._staged(ring).events
            if payments + len(events) > self.transactions // 4:
                break
            planned.append(ring)
            payments += len(events)
            fraud += sum(event.fraud for event in events)
        return sorted(planned), payments

    def _staged(self, planned: _Planned) -> Plot:
        staging = STAGINGS[planned.typology]
        plot = Plot(
            self._population,
            derived(self._seed, _RING, planned.number),
            ring_id=f"simulated-{self._seed}-{planned.number}",
            typology=planned.typology,
            kinds=staging.kinds,
            start=planned.start,
            largest=min(_LARGEST_RING, self._population.people // 8),
        )
        staging.stage(plot)
        return plot

    def _ring_events(self, planned: list[_Planned]) -> Iterator[Event]:
        waiting: list[tuple[int, int, Event]] = []
        order = itertools.count()
        for ring in planned:
            while waiting and waiting[0][0] < ring.start:
                yield heapq.heappop(waiting)[2]
            for event in self._staged(ring).events:
                heapq.heappush(waiting, (event.time, next(order), event))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _verdict(self, event: Event, source: Literal["chargeback", "analyst"], delay_ms: int) -> Label:
        return Label(
            transaction_id=event.payment.transaction_id,
            verdict="fraud" if event.fraud else "legitimate",
            source=source,
            time=rfc3339(event.time + delay_ms),
        )
