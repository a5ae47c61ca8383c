"""Who is on stage when: rings and honest look-alikes, staged chapter by chapter.

Nothing is planned ahead of a chapter but its length, so that a stream of any size begins at once. How many groups
a chapter gets follows from how many payments those before have made; everything else about a group follows from
the seed and its number.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from ringwatch.simulation.chance import derived
from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.lookalikes import GATHERINGS
from ringwatch.simulation.plot import Plot, Underworld
from ringwatch.simulation.population import Population
from ringwatch.simulation.records import LOOK_ALIKES, TYPOLOGIES
from ringwatch.simulation.rhythm import busyness
from ringwatch.simulation.rings import STAGINGS

_LARGEST_RING, _LARGEST_GATHERING, _SMALL = 200, 300, 8
#: A small simulation gets a ring of each typology all the same, until this share of it is fraud …
_FEWEST_RINGS, _MOST_UNASKED_FRAUD = len(TYPOLOGIES), 0.02
#: … and rings never make up more than this, with camouflage and everything.
_MOST_RING_PAYMENTS = 0.25
_LOOK_ALIKE_SHARE, _MOST_LOOK_ALIKE_SHARE = 0.06, 0.1
#: No group starts in the last part of the span: it would have no time.
_LATEST_START = 0.95
#: Groups in a row that are too large for what is left.
_REFUSALS = 20
#: How often another start is drawn because people sleep.
_HESITATIONS = 4

# What a derivation is for keeps equal numbers apart.
_PLAN, _RING, _GATHERING = 13, 14, 17

T = TypeVar("T")


class Chapter(NamedTuple):
    """A part of the span (epoch ms), and how many payments there are up to its end."""

    start: int
    end: int
    payments: int


class Cast:
    """The groups of one simulation, once through, the same for the same seed."""

    def __init__(self, population: Population, seed: int, transactions: int, fraud_rate: float) -> None:
        self._population = population
        self._seed = seed
        self._transactions = transactions
        self._fraud_rate = fraud_rate
        self._rng = derived(seed, _PLAN)
        self._underworld = Underworld()
        self._typologies = _dealt(self._rng, TYPOLOGIES)
        self._kinds = _dealt(self._rng, LOOK_ALIKES)
        self._latest = population.start + int(_LATEST_START * population.span_ms)
        # No ring and no crowd dominates a small stream.
        people = population.people // 8
        self._largest_ring = max(_SMALL, min(_LARGEST_RING, people, int(fraud_rate * transactions / 15)))
        self._largest_gathering = max(_SMALL, min(_LARGEST_GATHERING, people, transactions // 1_000))
        self._numbers = {"ring": 0, "gathering": 0}
        self._rings = self._fraud = self._ring_payments = self._gathered = 0

    def staged(self, chapter: Chapter) -> list[Plot | Gathering]:
        """The groups that begin in a chapter, in order of their start; chapters come one after the other."""
        if chapter.start >= self._latest:
            return []
        progress = min(1.0, chapter.payments / (_LATEST_START * self._transactions))
        scenes: list[Plot | Gathering] = [
            *self._new_rings(chapter, progress),
            *self._new_gatherings(chapter, progress),
        ]
        return sorted(scenes, key=lambda scene: scene.start)

    def _new_rings(self, chapter: Chapter, progress: float) -> Iterator[Plot]:
        wanted = self._fraud_rate * progress * self._transactions
        unasked = _MOST_UNASKED_FRAUD * progress * self._transactions
        refusals = 0
        while self._fraud_rate and refusals < _REFUSALS:
            few = self._rings < _FEWEST_RINGS * progress and self._fraud < unasked
            if not few and self._fraud >= wanted:
                break
            plot = self._ring(chapter)
            if plot is None or self._ring_payments + len(plot.events) > _MOST_RING_PAYMENTS * chapter.payments:
                refusals += 1
                continue
            refusals = 0
            self._underworld.leave(plot.assets)
            self._rings += 1
            self._ring_payments += len(plot.events)
            self._fraud += sum(event.fraud for event in plot.events)
            yield plot

    def _ring(self, chapter: Chapter) -> Plot | None:
        typology = next(self._typologies)
        staging = STAGINGS[typology]
        start = self._start(chapter, staging.earliest)
        if start is None:
            return None
        number = self._numbered("ring")
        rng = derived(self._seed, _RING, number)
        plot = Plot(
            self._population,
            rng,
            ring_id=f"simulated-{self._seed}-{number}",
            typology=typology,
            kinds=staging.kinds,
            start=start,
            largest=self._largest_ring,
            inherited=self._underworld.inherited(rng),
        )
        staging.stage(plot)
        if staging.disguised:
            plot.camouflage()
        return plot

    def _new_gatherings(self, chapter: Chapter, progress: float) -> Iterator[Gathering]:
        wanted = _LOOK_ALIKE_SHARE * progress * self._transactions
        refusals = 0
        while self._gathered < wanted and refusals < _REFUSALS:
            number, kind = self._numbered("gathering"), next(self._kinds)
            start = self._start(chapter, 0.0)
            if start is None:
                break
            gathering = Gathering(
                self._population,
                derived(self._seed, _GATHERING, number),
                group_id=f"honest-{self._seed}-{number}",
                kind=kind,
                start=start,
                largest=self._largest_gathering,
            )
            GATHERINGS[kind](gathering)
            if self._gathered + len(gathering.events) > _MOST_LOOK_ALIKE_SHARE * chapter.payments:
                refusals += 1
                continue
            refusals = 0
            self._gathered += len(gathering.events)
            yield gathering

    def _start(self, chapter: Chapter, earliest: float) -> int | None:
        """Some time in a chapter, rather by day; none if it is over before the earliest share of the span."""
        begin = max(chapter.start, self._population.start + int(earliest * self._population.span_ms))
        end = min(chapter.end, self._latest)
        if begin >= end:
            return None
        for _ in range(_HESITATIONS):
            time = begin + int(self._rng.random() * (end - begin))
            if self._rng.random() < busyness(time):
                break
        return time

    def _numbered(self, series: str) -> int:
        self._numbers[series] += 1
        return self._numbers[series] - 1


def _dealt(rng: random.Random, cards: Sequence[T]) -> Iterator[T]:
    """All the cards in random order, again and again."""
    while True:
        yield from rng.sample(cards, len(cards))
