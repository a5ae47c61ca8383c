"""Features of one transaction after another, as the stream brings them: the numbers of :mod:`gnn.batch_features`.

What is remembered of an entity is a few counters for each of its latest buckets, so memory follows how many
entities were seen in the last year, not how busy they are. Whatever was silent for longer is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.features import CHANNELS, DAY_MS, KINDS, MEMORY, MONTH, FeatureSet, Window
from graph.events import Transaction
from graph.schema import HOUR_MS


class LiveFeatures:
    """The state behind the features of a :class:`~gnn.features.FeatureSet`; fed in the order of time.

    What comes late counts in the buckets of its own time, and is described with what is known by then.

    For each transaction ask for its features, then let it be observed. Moments are UTC epoch milliseconds.
    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._pairs = features.pairs
        self._wanted = {kind: features.counts(kind) for kind in features.kinds}
        self._windows = {kind: list(dict.fromkeys(w for _, w in wanted)) for kind, wanted in self._wanted.items()}
        windows = [window for found in self._windows.values() for window in found]
        self._widths = sorted({window.bucket_ms for window in windows})
        self._reach = {
            width: max(window.buckets for window in windows if window.bucket_ms == width) for width in self._widths
        }
        self._entities: dict[str, dict[str, _History]] = {kind: {} for kind in features.kinds}
        self._amounts: dict[str, dict[tuple[str, str], _Amounts]] = {kind: {} for kind in features.kinds}
        self._met: dict[tuple[str, str], dict[tuple[str, str], int]] = {pair: {} for pair in self._pairs}
        self._bucket = 0

    @property
    def entities(self) -> int:
        """How many entities are remembered."""
        return sum(map(len, self._entities.values()))

    def at_arrival(self, transaction: Transaction) -> NDArray[np.float64]:
        """The values of ``features.names``; what does not apply is NaN. Ask before it is observed."""
        time = transaction.event_time
        ids = named(transaction, self.features)
        created = transaction.account_created
        values: list[float] = [
            math.log(abs(transaction.amount) + 1),
            time // HOUR_MS % 24,
            time // DAY_MS % 7,
            math.nan if created is None else (time - created) / DAY_MS,
            CHANNELS.get(transaction.channel or "", 0),
        ]
        for kind in self.features.kinds:
            values += self._of_entity(kind, ids.get(kind), transaction)
        values += [self._have_met(pair, ids, time) for pair in self._pairs]
        return np.array(values)

    def later(self, transaction: Transaction, time: int) -> NDArray[np.float64]:
        """The values of ``features.later_names`` at a moment up to which everything was observed."""
        ids = named(transaction, self.features)
        return np.array(
            [value for kind in self.features.kinds for value in self._counts(kind, ids.get(kind), time)[0]]
        )

    def observe(self, transaction: Transaction) -> None:
        """Take in a transaction."""
        time = transaction.event_time
        self._forget(time)
        ids = named(transaction, self.features)
        new: dict[str, list[str]] = {kind: [] for kind in ids}
        for one, other in self._pairs:
            if one in ids and other in ids:
                if not self._have_met((one, other), ids, time):
                    new[one].append(f"new_{other}")
                    new[other].append(f"new_{one}")
                self._met[one, other][ids[one], ids[other]] = _bucket(time)
        for kind, entity in ids.items():
            history = self._entities[kind].setdefault(entity, _History(self._widths))
            history.last = time if history.last is None else max(time, history.last)
            declined = ["declined"] if transaction.status == "declined" else []
            self._add(history, ("transactions", *declined, *new[kind]), time)
            amounts = self._amounts[kind].setdefault((entity, transaction.currency), _Amounts())
            amounts.add(_bucket(time), transaction.amount)

    def observe_fraud(self, transaction: Transaction, known_at: int) -> None:
        """Take in that a transaction of the past was called fraud."""
        self._forget(known_at)
        for kind, entity in named(transaction, self.features).items():
            self._add(self._entities[kind].setdefault(entity, _History(self._widths)), ("fraud",), known_at)

    def _add(self, history: _History, measures: Iterable[str], time: int) -> None:
        for width, counts in history.counts.items():
            bucket = time // width
            oldest = bucket - self._reach[width]
            if counts and next(iter(counts)) < oldest:
                for passed in [one for one in counts if one < oldest]:
                    del counts[passed]
            held = counts.setdefault(bucket, {})
            for measure in measures:
                held[measure] = held.get(measure, 0) + 1

    def _of_entity(self, kind: str, entity: str | None, transaction: Transaction) -> list[float]:
        counts, month = self._counts(kind, entity, transaction.event_time)
        if entity is None:
            return [*counts, math.nan, math.nan, math.nan, math.nan]
        time = transaction.event_time
        now = _bucket(time)
        seen = month.get("transactions", 0)
        history = self._entities[kind].get(entity)
        last = None if history is None else history.last
        idle = math.nan if last is None or now - _bucket(last) > MEMORY.buckets else max(time - last, 0) / 1000
        amounts = self._amounts[kind].get((entity, transaction.currency))
        mean = math.nan if amounts is None else amounts.mean(now)
        return [
            *counts,
            month.get("fraud", 0) / seen if seen else math.nan,
            idle,
            mean,
            transaction.amount / mean if mean else math.nan,
        ]

    def _counts(self, kind: str, entity: str | None, time: int) -> tuple[list[float], Mapping[str, int]]:
        """The counts of an entity in all its windows, and those of a month by measure."""
        wanted = self._wanted[kind]
        if entity is None:
            return [math.nan] * len(wanted), {}
        history = self._entities[kind].get(entity)
        if history is None:
            return [0.0] * len(wanted), {}
        sums = {window: history.within(window, time) for window in self._windows[kind]}
        return [float(sums[window].get(measure, 0)) for measure, window in wanted], sums[MONTH]

    def _have_met(self, pair: tuple[str, str], ids: Mapping[str, str], time: int) -> float:
        one, other = pair
        if one not in ids or other not in ids:
            return math.nan
        last = self._met[pair].get((ids[one], ids[other]))
        return float(last is not None and _bucket(time) - last <= MEMORY.buckets)

    def _forget(self, time: int) -> None:
        """Once in a bucket of memory, what was silent for longer than it reaches."""
        if _bucket(time) <= self._bucket:
            return
        self._bucket = _bucket(time)
        oldest = self._bucket - MEMORY.buckets
        for kind in self.features.kinds:
            self._entities[kind] = {
                entity: history
                for entity, history in self._entities[kind].items()
                if any(bucket >= oldest for bucket in history.counts[MEMORY.bucket_ms])
            }
            self._amounts[kind] = {key: held for key, held in self._amounts[kind].items() if held.reaches(oldest)}
        for pair, met in self._met.items():
            self._met[pair] = {ids: last for ids, last in met.items() if last >= oldest}


class _History:
    """Bucket width → bucket → measure → count, and when the latest transaction was (epoch ms)."""

    __slots__ = ("counts", "last")

    def __init__(self, widths: Iterable[int]) -> None:
        self.counts: dict[int, dict[int, dict[str, int]]] = {width: {} for width in widths}
        self.last: int | None = None

    def within(self, window: Window, time: int) -> dict[str, int]:
        """Measure → count in the window that ends at a moment."""
        oldest = time // window.bucket_ms - window.buckets
        sums: dict[str, int] = {}
        for bucket, held in self.counts[window.bucket_ms].items():
            if bucket >= oldest:
                for measure, count in held.items():
                    sums[measure] = sums.get(measure, 0) + count
        return sums


class _Amounts:
    """Bucket of memory → sum and count of the amounts in one currency."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}

    def add(self, bucket: int, amount: int) -> None:
        if bucket not in self._held:
            self._held = {one: held for one, held in self._held.items() if one >= bucket - MEMORY.buckets}
        total, count = self._held.get(bucket, (0, 0))
        self._held[bucket] = (total + amount, count + 1)

    def mean(self, now: int) -> float:
        held = [value for one, value in self._held.items() if one >= now - MEMORY.buckets]
        count = sum(count for _, count in held)
        return sum(total for total, _ in held) / count if count else math.nan

    def reaches(self, oldest: int) -> bool:
        return any(bucket >= oldest for bucket in self._held)


def _bucket(time: int) -> int:
    return time // MEMORY.bucket_ms


def named(transaction: Transaction, features: FeatureSet) -> dict[str, str]:
    """Kind → id of the entities that a transaction names."""
    found: dict[str, Any] = {kind: getattr(transaction, KINDS[kind]) for kind in features.kinds}
    return {kind: entity for kind, entity in found.items() if entity is not None}
