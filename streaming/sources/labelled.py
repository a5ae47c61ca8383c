"""Labels beside the transactions: two sources as one, so that checkpoints, replays and dead letters serve both.

The partitions of labels are told apart by a prefix. From a topic, labels are handed over as they come. From files
each is handed over before the first transaction at its time or later, as if it had come then; what is later than
the last transaction follows at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from graph.errors import BadEvent, Fenced
from graph.events import Label
from streaming.codec import Codec
from streaming.dead_letters import kept_bytes
from streaming.event_time import EventClock
from streaming.labels import LabelCodec
from streaming.records import Leaving, Position, Record, Source, Starts
from streaming.replay import Originals

#: What the partitions of labels begin with.
PREFIX = "labels:"

_LOOK_AHEAD = 1_000


class LabelledSource:
    """Transactions, and labels as they come."""

    def __init__(self, transactions: Source, labels: Source, codec: LabelCodec) -> None:
        self._transactions = transactions
        self._labels = labels
        self._codec = codec

    def open(self, starts: Starts, leaving: Leaving) -> None:
        """Begin both where ``starts`` says."""
        self._labels.open(
            lambda names: _own(starts([PREFIX + name for name in names])),
            lambda names: leaving([PREFIX + name for name in names]),
        )
        self._transactions.open(starts, leaving)

    def assigned(self) -> list[str]:
        """The partitions of both."""
        return [*self._transactions.assigned(), *(PREFIX + name for name in self._labels.assigned())]

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Labels that are there, then transactions; labels are waited for when no transactions will come."""
        labels = self._read_labels(limit, wait_s if self._transactions.exhausted() else 0)
        return labels + (self._transactions.read(left, wait_s) if (left := limit - len(labels)) else [])

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """Exactly the records of these ranges; reading goes on behind them."""
        labels = {name.removeprefix(PREFIX): span for name, span in ranges.items() if name.startswith(PREFIX)}
        others = {name: span for name, span in ranges.items() if not name.startswith(PREFIX)}
        records = self._transactions.read_range(others) if others else []
        return records + (self._decoded(self._labels.read_range(labels)) if labels else [])

    def idle(self, wait_s: float) -> None:
        """Let time pass, alive to both."""
        self._transactions.idle(wait_s / 2)
        self._labels.idle(wait_s / 2)

    def rejoin(self, error: Fenced) -> None:
        """Give up what another worker has taken over of either, or raise ``error``."""
        self._transactions.rejoin(error)
        if error.partition is not None:
            error = Fenced(str(error), error.partition.removeprefix(PREFIX))
        self._labels.rejoin(error)

    def exhausted(self) -> bool:
        """Whether both have handed over everything."""
        return self._transactions.exhausted() and self._labels.exhausted()

    def commit(self, ends: Mapping[str, int]) -> None:
        """Tell each how far this worker has got with it."""
        labels = _own({name: end for name, end in ends.items() if name.startswith(PREFIX)})
        self._transactions.commit({name: end for name, end in ends.items() if not name.startswith(PREFIX)})
        self._labels.commit(labels)

    def lag(self) -> dict[str, int]:
        """The lag of both."""
        return self._transactions.lag() | {PREFIX + name: lag for name, lag in self._labels.lag().items()}

    def close(self) -> None:
        """Close both."""
        try:
            self._transactions.close()
        finally:
            self._labels.close()

    def _read_labels(self, limit: int, wait_s: float) -> list[Record]:
        return self._decoded(self._labels.read(limit, wait_s))

    def _decoded(self, records: list[Record]) -> list[Record]:
        return [as_label(record, self._codec) for record in records]


class TimedLabelsSource(LabelledSource):
    """Transactions, and the labels of files each at its own time among them.

    To know the times, transactions are decoded here. Labels are expected in order of time.
    """

    def __init__(self, transactions: Source, labels: Source, codec: LabelCodec, events: Codec) -> None:
        super().__init__(transactions, labels, codec)
        self._events = events
        self._clock = EventClock(0)
        self._coming: deque[_Timed] = deque()
        self._known: deque[Record] = deque()

    def open(self, starts: Starts, leaving: Leaving) -> None:
        """Begin both where ``starts`` says; of a partition that comes again nothing is left from before."""

        def start(names: list[str]) -> Mapping[str, int]:
            self._coming = deque(one for one in self._coming if one.record.partition not in names)
            self._known = deque(record for record in self._known if record.partition not in names)
            return starts(names)

        super().open(start, leaving)

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Transactions with the labels that were known by then; none while either prepares."""
        if not self._look_ahead(wait_s):
            return []
        owned = set(self._transactions.assigned())
        self._coming = deque(one for one in self._coming if one.record.partition in owned)
        if not self._coming:
            self._coming.extend(map(self._timed, self._transactions.read(limit, wait_s)))
        records: list[Record] = []
        while len(records) < limit and self._look_ahead(0) and (record := self._next()) is not None:
            records.append(record)
        return records

    def exhausted(self) -> bool:
        """Whether both have handed over everything."""
        return not self._coming and not self._known and super().exhausted()

    def _look_ahead(self, wait_s: float) -> bool:
        """Whether the next label is at hand, or none will come."""
        if not self._known:
            self._known.extend(self._read_labels(_LOOK_AHEAD, wait_s))
        return bool(self._known) or self._labels.exhausted()

    def _next(self) -> Record | None:
        if not self._coming:
            return self._known.popleft() if self._known and self._transactions.exhausted() else None
        if self._known and _is_known(self._known[0], self._coming[0].reached):
            return self._known.popleft()
        return self._coming.popleft().record

    def _timed(self, record: Record) -> _Timed:
        try:
            transaction = self._events.decode(record.value)
        except BadEvent as error:
            record = msgspec.structs.replace(record, value=error, raw=kept_bytes(record, error))
        else:
            record = msgspec.structs.replace(record, value=transaction)
            self._clock.observe(record.partition, transaction.event_time)
        return _Timed(record, max(self._clock.reached().values(), default=None))


class LabelPlaces:
    """Single places in a source of labels, for replays."""

    def __init__(self, originals: Originals, codec: LabelCodec) -> None:
        self._originals = originals
        self._codec = codec

    def seek(self, positions: Mapping[str, int]) -> None:
        """Continue each named partition at the given offset."""
        self._originals.seek(_own(positions))

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` labels; fewer, or none, after ``wait_s`` seconds."""
        return [as_label(record, self._codec) for record in self._originals.read(limit, wait_s)]

    def close(self) -> None:
        """Let go of files and connections."""
        self._originals.close()


class _Timed(NamedTuple):
    """A transaction's record, and the event time (ms) that the stream has reached with it."""

    record: Record
    reached: int | None


def as_label(record: Record, codec: LabelCodec) -> Record:
    """A record of labels as one of the merged stream's: decoded, and under a name of its own."""
    value, raw = record.value, record.raw
    if not isinstance(value, Label):
        try:
            value = codec.decode(value)
        except BadEvent as error:
            value, raw = error, kept_bytes(record, error)
    origin = None if record.origin is None else Position(PREFIX + record.origin.partition, record.origin.offset)
    return msgspec.structs.replace(
        record, partition=PREFIX + record.partition, value=value, raw=raw, origin=origin
    )


def _is_known(record: Record, reached: int | None) -> bool:
    """Whether a label's time has come; a bad one has none."""
    return not isinstance(record.value, Label) or (reached is not None and record.value.time <= reached)


def _own(names: Mapping[str, int]) -> dict[str, int]:
    """What belongs to labels, under the names that their own source knows."""
    return {name.removeprefix(PREFIX): value for name, value in names.items()}
