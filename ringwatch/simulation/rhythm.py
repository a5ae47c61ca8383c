"""When things happen: the daily and weekly rhythm of purchases, in UTC."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

#: Relative business of each hour of a day, and of each day from Monday on.
_HOURS = (4, 2, 1, 1, 1, 3, 8, 18, 28, 36, 42, 48, 54, 48, 44, 44, 48, 56, 62, 60, 52, 38, 22, 10)
_WEEKDAYS = (0.92, 0.90, 0.94, 1.0, 1.18, 1.24, 0.82)

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


def hour_and_weekday(time: int) -> tuple[int, int]:
    """The hour (0-23) and the weekday (0 is Monday) of an epoch time in ms."""
    return time // HOUR_MS % 24, (time // DAY_MS + _EPOCH_WEEKDAY) % 7


@lru_cache(maxsize=4_096)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / SECOND_MS, UTC).date().isoformat()


def rfc3339(time: int) -> str:
    """An epoch time in ms as RFC 3339, with milliseconds, in UTC."""
    day, rest = divmod(time, DAY_MS)
    seconds, milliseconds = divmod(rest, SECOND_MS)
    minutes, second = divmod(seconds, 60)
    return f"{_date(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{milliseconds:03d}Z"


def business(start: int, hours: int) -> float:
    """How much is going on, relative to other times, in the hours from a start (epoch ms) on."""
    return math.fsum(_weight(start + hour * HOUR_MS) for hour in range(hours))


def busyness(time: int) -> float:
    """How busy the hour of an epoch time in ms is, as a share of the busiest."""
    return _HOURS[time // HOUR_MS % 24] / max(_HOURS)


def _weight(time: int) -> float:
    hour, weekday = hour_and_weekday(time)
    return _HOURS[hour] * _WEEKDAYS[weekday]


def arrivals(rng: random.Random, count: int, start: int, hours: int) -> Iterator[int]:
    """Exactly ``count`` times (epoch ms) in ascending order over ``hours`` hours, busier when shops are.

    They are the order statistics of ``count`` independent draws from the weekly rhythm, made one after the
    other: the least of ``n`` uniform draws on (u, 1) lies at 1 - (1 - u) V^(1/n).
    """
    cumulative = [0.0, *itertools.accumulate(_weight(start + hour * HOUR_MS) for hour in range(hours))]
    total, hour, uniform = cumulative[-1], 0, 0.0
    for left in range(count, 0, -1):
        uniform -= (1.0 - uniform) * math.expm1(math.log(1.0 - rng.random()) / left)
        target = uniform * total
        while hour < hours - 1 and cumulative[hour + 1] < target:
            hour += 1
        share = (target - cumulative[hour]) / (cumulative[hour + 1] - cumulative[hour])
        yield start + int((hour + min(share, 1.0)) * HOUR_MS)
