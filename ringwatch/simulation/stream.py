"""The simulated stream: honest traffic, rings and honest look-alikes, in the order in which they arrive."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from ringwatch.simulation.cast import Cast, Chapter
from ringwatch.simulation.chance import derived, mix
from ringwatch.simulation.delivery import delivered
from ringwatch.simulation.honest import Traffic
from ringwatch.simulation.population import Population
from ringwatch.simulation.records import Event, HonestGroup, Label, Ring
from ringwatch.simulation.rhythm import DAY_MS, HOUR_MS, arrivals, business, rfc3339
from ringwatch.simulation.verdicts import verdict

#: 2025-01-01T00:00:00Z, in epoch ms: when every simulation starts.
START = 1_735_689_600_000

#: How many days a simulation lasts, unless it is asked for others.
DAYS = 50

_TRANSACTIONS_PER_PERSON_AND_DAY = 0.9
_FEWEST_PEOPLE, _MOST_PEOPLE = 200, 200_000
_TRANSACTIONS_PER_CHAPTER = 50_000

# What a derivation is for keeps equal indices apart (the cast has 13, 14 and 17).
_HONEST, _ARRIVALS, _LABEL, _DELIVERY = 11, 12, 15, 16


class Simulation:
    """``transactions`` different payments in order of arrival, the same for the same seed on every machine.

    The density is that of a real portfolio, whatever the size: 0.9 purchases per person and day over ``days``,
    hence in fifty days one person (with one to three cards) per 45 transactions; below 9,000 of them 200 people
    remain and the span shrinks, above nine million 200,000 people remain and the span grows. ``fraud_rate`` is the
    share of fraudulent transactions; a small simulation has more, so that it has rings of several typologies.
    Memory is bounded by caches and by what is under way, not by ``transactions``, and nothing is planned for
    longer than a chapter of the span.
    """

    def __init__(self, transactions: int, seed: int, *, fraud_rate: float = 0.003, days: int = DAYS) -> None:
        if transactions < 1:
            raise ValueError("a simulation needs at least one transaction")
        if days < 1:
            raise ValueError("a simulation lasts a day at least")
        if not 0.0 <= fraud_rate <= 0.2:
            raise ValueError("fraud_rate must lie within 0 and 0.2")
        self.transactions = transactions
        self.fraud_rate = fraud_rate
        self._seed = seed
        wanted = int(transactions / (_TRANSACTIONS_PER_PERSON_AND_DAY * days))
        people = min(_MOST_PEOPLE, max(_FEWEST_PEOPLE, wanted))
        per_day = people * _TRANSACTIONS_PER_PERSON_AND_DAY
        self._days = max(1, int(transactions / per_day))
        self._population = Population(mix(seed, 0), people, START, self._days * DAY_MS, per_day)

    def events(self) -> Iterator[Event]:
        """Every payment with its truth, in order of arrival; a few are delivered twice."""
        return delivered(self._happenings(), derived(self._seed, _DELIVERY))

    def events_and_labels(self) -> Iterator[Event | Label]:
        """The events, and each label when it becomes known; those after the last event follow at the end."""
        outstanding: list[tuple[str, str, Label]] = []
        for event in self.events():
            arrived = rfc3339(event.arrived)
            while outstanding and outstanding[0][0] <= arrived:
                yield heapq.heappop(outstanding)[2]
            yield event
            if not event.redelivered and (label := self.label(event)) is not None:
                heapq.heappush(outstanding, (label.time, label.transaction_id, label))
        while outstanding:
            yield heapq.heappop(outstanding)[2]

    def truth(self) -> Iterator[Ring | HonestGroup]:
        """What is true of every ring and every honest look-alike, in order of their starts."""
        cast = self._cast()
        for chapter in self._chapters():
            for scene in cast.staged(chapter):
                yield scene.truth()

    def rings(self) -> Iterator[Ring]:
        """The truth about every ring, in order of their starts."""
        return (group for group in self.truth() if isinstance(group, Ring))

    def label(self, event: Event) -> Label | None:
        """The verdict on a payment, if there will ever be one, and when; it may be wrong."""
        return verdict(mix(self._seed, _LABEL), event)

    def _cast(self) -> Cast:
        return Cast(self._population, self._seed, self.transactions, self.fraud_rate)

    def _happenings(self) -> Iterator[Event]:
        """Every payment once, in order of event time."""
        cast, rng = self._cast(), derived(self._seed, _ARRIVALS)
        traffic = Traffic(self._population, derived(self._seed, _HONEST))
        waiting: list[tuple[int, int, Event]] = []
        order = itertools.count()
        told = 0
        for chapter in self._chapters():
            for scene in cast.staged(chapter):
                for event in scene.events:
                    heapq.heappush(waiting, (event.time, next(order), event))
            of_groups = sum(time < chapter.end for time, _, _ in waiting)
            # Groups come out of the chapter's total, so that there are exactly as many payments as asked for.
            others = max(0, chapter.payments - told - of_groups)
            told += others + of_groups
            for time in arrivals(rng, others, chapter.start, (chapter.end - chapter.start) // HOUR_MS):
                while waiting and waiting[0][0] <= time:
                    yield heapq.heappop(waiting)[2]
                yield Event(time, traffic.at(time))
            while waiting and waiting[0][0] < chapter.end:
                yield heapq.heappop(waiting)[2]

    def _chapters(self) -> Iterator[Chapter]:
        """Whole days, some at a time, each with its share of the payments by the weekly rhythm."""
        count = max(1, min(self._days, self.transactions // _TRANSACTIONS_PER_CHAPTER))
        total, passed = business(START, 24 * self._days), 0.0
        for number in range(count):
            first, last = number * self._days // count, (number + 1) * self._days // count
            start, end = START + first * DAY_MS, START + last * DAY_MS
            passed += business(start, 24 * (last - first))
            yield Chapter(start, end, round(self.transactions * passed / total))
