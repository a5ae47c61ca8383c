"""How payments arrive: nearly all at once, a few late, and a few twice."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator

from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.records import Event
from ringwatch.simulation.rhythm import HOUR_MS, SECOND_MS

_LATE_SHARE = 0.006
_LATE_MEDIAN_MS, _LATE_SIGMA, _LATEST_MS = 45 * SECOND_MS, 2.0, 8 * HOUR_MS
_TWICE_SHARE = 0.002
_AGAIN_MEDIAN_MS, _AGAIN_SIGMA = 20 * SECOND_MS, 2.0


def delivered(events: Iterable[Event], rng: random.Random) -> Iterator[Event]:
    """Events, given in order of event time, in order of arrival.

    A small share is held up for seconds to hours on its way; a small share is delivered again, the same bytes.
    """
    held: list[tuple[int, int, Event]] = []
    order = itertools.count()
    for event in events:
        while held and held[0][0] <= event.time:
            yield heapq.heappop(held)[2]
        draw = rng.random()
        if draw < _LATE_SHARE:
            delay = 1 + min(_LATEST_MS, int(lognormal(rng, _LATE_MEDIAN_MS, _LATE_SIGMA)))
            event = event._replace(delay_ms=delay)
            heapq.heappush(held, (event.arrived, next(order), event))
        else:
            yield event
        if draw > 1.0 - _TWICE_SHARE:
            again = event.delay_ms + 1 + min(_LATEST_MS, int(lognormal(rng, _AGAIN_MEDIAN_MS, _AGAIN_SIGMA)))
            copy = event._replace(delay_ms=again, redelivered=True)
            heapq.heappush(held, (copy.arrived, next(order), copy))
    while held:
        yield heapq.heappop(held)[2]
