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
        self._widths = sorted({w.bucket_ms for kind in features.kinds for _, w in features.counts(kind)})
        self._reach = {
            width: max(w.buckets for k in features.kinds for _, w in features.counts(k) if w.bucket_ms == width)
            for width in self._widths
        }
        self._entities: dict[str, dict[str, _History]] = {kind: {} for kind in features.kinds}
        self._amounts: dict[str, dict[tuple[str, str], _Amounts]] = {kind: {} for kind in features.kinds}
        self._met: dict[tuple[str, str], dict[tuple[str, str], int]] = {pair: {} for pair in features.pairs}
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
        values += [self._have_met(pair, ids, time) for pair in self.features.pairs]
        return np.array(values)

    def later(self, transaction: Transaction, time: int) -> NDArray[np.float64]:
        """The values of ``features.later_names`` at a moment up to which everything was observed."""
        ids = named(transaction, self.features)
        return np.array(
            [value for kind in self.features.kinds for value in self._counts(kind, ids.get(kind), time)]
        )

    def observe(self, transaction: Transaction) -> None:
        """Take in a transaction."""
        time = transaction.event_time
        self._forget(time)
        ids = named(transaction, self.features)
        new: dict[str, list[str]] = {kind: [] for kind in ids}
        for one, other in self.features.pairs:
            if one in ids and other in ids:
                if not self._have_met((one, other), ids, time):
                    new[one].append(f"new_{other}")
                    new[other].append(f"new_{one}")
                self._met[one, other][ids[one], ids[other]] = _bucket(time)
        for kind, entity in ids.items():
            history = self._entities[kind].setdefault(entity, _History(self._widths))
            history.last = time if history.last is None else max(time, history.last)
            declined = ["declined"] if transaction.status == "declined" else []
            for measure in ("transactions", *declined, *new[kind]):
                self._add(history, measure, time)
            amounts = self._amounts[kind].setdefault((entity, transaction.currency), _Amounts())
            amounts.add(_bucket(time), transaction.amount)

    def observe_fraud(self, transaction: Transaction, known_at: int) -> None:
        """Take in that a transaction of the past was called fraud."""
        self._forget(known_at)
        for kind, entity in named(transaction, self.features).items():
            self._add(self._entities[kind].setdefault(entity, _History(self._widths)), "fraud", known_at)

    def _add(self, history: _History, measure: str, time: int) -> None:
        for width, counts in history.counts.items():
            bucket = time // width
            oldest = bucket - self._reach[width]
            if counts and next(iter(counts)) < oldest:
                for passed in [one for one in counts if one < oldest]:
                    del counts[passed]
            held = counts.setdefault(bucket, {})
            held[measure] = held.get(measure, 0) + 1

    def _of_entity(self, kind: str, entity: str | None, transaction: Transaction) -> list[float]:
        counts = self._counts(kind, entity, transaction.event_time)
        if entity is None:
            return [*counts, math.nan, math.nan, math.nan, math.nan]
        time = transaction.event_time
        now = _bucket(time)
        told = dict(zip(self.features.counts(kind), counts, strict=True))
        seen = told["transactions", MONTH]
        history = self._entities[kind].get(entity)
        last = None if history is None else history.last
        idle = math.nan if last is None or now - _bucket(last) > MEMORY.buckets else max(time - last, 0) / 1000
        amounts = self._amounts[kind].get((entity, transaction.currency))
        mean = math.nan if amounts is None else amounts.mean(now)
        return [
            *counts,
            told["fraud", MONTH] / seen if seen else math.nan,
            idle,
            mean,
            transaction.amount / mean if mean else math.nan,
        ]

    def _counts(self, kind: str, entity: str | None, time: int) -> list[float]:
        wanted = self.features.counts(kind)
        if entity is None:
            return [math.nan] * len(wanted)
        history = self._entities[kind].get(entity)
        if history is None:
            return [0.0] * len(wanted)
        windows: dict[Window, list[Mapping[str, int]]] = {}
        for _, window in wanted:
            if window not in windows:
                oldest = time // window.bucket_ms - window.buckets
                windows[window] = [
                    held for bucket, held in history.counts[window.bucket_ms].items() if bucket >= oldest
                ]
        return [float(sum(held.get(measure, 0) for held in windows[window])) for measure, window in wanted]

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
