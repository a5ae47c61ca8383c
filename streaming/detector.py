"""A micro-batch from bytes to findings: decode, write, run the rules, watch for rings that no rule names."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from graph.checkpoints import Checkpoints, Stage
from graph.driver import Graph, Tx
from graph.errors import BadEvent
from graph.events import Entity, Event, Label
from graph.writer import GraphWriter, Written
from queries.operation import Operation
from queries.runner import Touches
from queries.spec import Finding
from streaming.codec import Codec
from streaming.dead_letters import DeadLetter, DeadLetterLimit, DeadLetterSink
from streaming.event_time import EventClock
from streaming.metrics import Metrics
from streaming.records import Batch, Record
from streaming.watch import GraphWatch

#: So many kinds of refusals are told apart.
_MOST_REFUSALS = 100


class Detection(msgspec.Struct, frozen=True):
    """What a batch showed: findings, new hubs and since when (ms), the watermark, and what labels say of rings."""

    findings: list[Finding]
    hubs: list[tuple[Entity, int]]
    watermark: int | None
    verdicts: list[Label] = []


#: Evaluates a batch that was written; it only reads, and may be called again after ``Unavailable``.
Evaluate = Callable[[], Detection]


class Counts(msgspec.Struct):
    """What a run has seen so far; every record read is one of the others, but for ``late``.

    ``refusals`` says in words why records were dead-lettered, and how often.
    """

    read: int = 0
    accepted: int = 0
    labels: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    late: int = 0
    refusals: dict[str, int] = {}


class BatchMark:
    """One batch's checkpoint, as a part of the transaction that it belongs to.

    The mark is the last that a transaction sets, and waits for ``ready`` to return.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        stage: Stage,
        ends: Mapping[str, int],
        ready: Callable[[], object] = lambda: None,
    ) -> None:
        self._checkpoints = checkpoints
        self._stage: Stage = stage
        self._ends = ends
        self._ready = ready

    def reached(self, tx: Tx) -> bool:
        """Whether the transaction has been committed before."""
        return self._checkpoints.reached(tx, self._stage, self._ends)

    def advance(self, tx: Tx) -> None:
        """Set the mark."""
        self._ready()
        self._checkpoints.advance(tx, self._stage, self._ends)

    def committed(self) -> None:
        """Remember that it is set."""
        self._checkpoints.committed(self._stage, self._ends)

    def set(self, graph: Graph) -> None:
        """Set the mark, if it is not, in a transaction of its own."""

        def work(tx: Tx) -> None:
            if not self.reached(tx):
                self.advance(tx)

        graph.write(work)
        self.committed()


class Detector:
    """Turns batches of records into detections; bad events go to the dead letters, good ones into the graph."""

    def __init__(
        self,
        codec: Codec,
        writer: GraphWriter,
        rules: Operation,
        checkpoints: Checkpoints,
        dead_letters: DeadLetterSink,
        limit: DeadLetterLimit,
        clock: EventClock,
        metrics: Metrics,
        watch: GraphWatch | None = None,
    ) -> None:
        self._watch = watch
        self._codec = codec
        self._writer = writer
        self._rules = rules
        self._checkpoints = checkpoints
        self._dead_letters = dead_letters
        self._limit = limit
        self._clock = clock
        self._metrics = metrics
        self.counts = Counts()
        self._written: tuple[Batch, Written, int] | None = None
        self._unknown_fields = 0

    def write(self, batch: Batch, ready: Callable[[], object]) -> Evaluate:
        """Write a batch, committed only when ``ready`` has returned; after a failure it may be given again.

        Returns what evaluates it: rules, and the watch for rings that no rule names.

        Raises:
            Unavailable: the graph or the dead-letter sink is away for now.
            Fenced: another worker has taken over one of the batch's partitions.
            ServiceError: something refuses for good, or too many events are bad.
        """
        started = time.perf_counter()
        origins: dict[str, Record] = {}
        events: list[Event] = []
        bad: list[tuple[Record, BadEvent]] = []
        for record in batch.records:
            try:
                event = record.value if isinstance(record.value, Label) else self._codec.decode(record.value)
            except BadEvent as error:
                bad.append((record, error))
                continue
            events.append(event)
            origins[_key(event)] = record
        written, late = self._write(batch, events, origins, ready)
        bad += [(origins[_key(event)], error) for event, error in written.refused]
        for record, reason in bad:
            self._dead_letters.write(DeadLetter.of(record, reason))
        self._dead_letters.flush()
        self._count(batch, written, bad, late)
        self._limit.observe(len(batch.records), [str(error) for _, error in bad])
        self._metrics.batch_seconds.record(time.perf_counter() - started, {"phase": "write"})
        return partial(self._evaluate, written, batch.ends, self._clock.advance())

    def _evaluate(self, written: Written, ends: Mapping[str, int], watermark: int | None) -> Detection:
        started = time.perf_counter()
        findings = self._rules.run(Touches.of(written), ends, watermark)
        if self._watch is not None:
            findings = self._watch.observe(written, findings)
        self._metrics.batch_seconds.record(time.perf_counter() - started, {"phase": "rules"})
        hubs = [(hub, written.entities[hub.label][hub.id].hub_since) for hub in written.new_hubs]
        verdicts = [label for label in written.labels if label.subject.label == "Ring"]
        return Detection(findings, hubs, watermark, verdicts)

    def catch_up(self, partitions: Sequence[str]) -> tuple[str, Detection] | None:
        """Work off some of the anchors that rules had put off.

        Raises:
            Unavailable: the graph is away for now.
        """
        caught_up = self._rules.catch_up(partitions)
        if caught_up is None:
            return None
        partition, findings = caught_up
        return partition, Detection(findings, [], self._clock.watermark)

    def _write(
        self, batch: Batch, events: list[Event], origins: Mapping[str, Record], ready: Callable[[], object]
    ) -> tuple[Written, int]:
        """What became of a batch, and how many of it were late; once, however often the batch is given."""
        if self._written is not None and self._written[0] is batch:
            return self._written[1:]  # its dead letters could not be written
        mark = BatchMark(self._checkpoints, "written", batch.ends, ready)
        written = self._writer.write(events, mark)
        mark.committed()
        # A label says nothing of how far the stream has got: only transactions move the clock.
        late = sum(self._clock.observe(origins[_key(t)].partition, t.event_time) for t in written.accepted)
        self._written = (batch, written, late)
        return written, late

    def _count(self, batch: Batch, written: Written, bad: list[tuple[Record, BadEvent]], late: int) -> None:
        counts, metrics = self.counts, self._metrics
        counts.read += len(batch.records)
        counts.accepted += len(written.accepted)
        counts.labels += len(written.labels)
        counts.duplicates += len(written.duplicates)
        counts.dead_lettered += len(bad)
        counts.late += late
        metrics.records.add(len(batch.records))
        metrics.accepted.add(len(written.accepted))
        metrics.duplicates.add(len(written.duplicates))
        for label in written.labels:
            metrics.labels.add(1, {"verdict": label.verdict, "source": label.source})
        metrics.late_events.add(late)
        unknown = self._codec.unknown_fields.total()
        metrics.unknown_fields.add(unknown - self._unknown_fields)
        self._unknown_fields = unknown
        for _, error in bad:
            metrics.dead_letters.add(1, {"reason": error.reason})
            said = str(error)
            if said not in counts.refusals and len(counts.refusals) >= _MOST_REFUSALS:
                said = "others"
            counts.refusals[said] = counts.refusals.get(said, 0) + 1
        metrics.watermark_seconds.replace({p: t / 1000 for p, t in self._clock.reached().items()})


def _key(event: Event) -> str:
    """What an event and no other of its batch has (but for its repetitions)."""
    if isinstance(event, Label):
        return f"{event.id}|{event.verdict}|{event.time}"
    return event.digest + event.transaction_id
