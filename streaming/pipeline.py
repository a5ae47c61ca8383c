"""The loop: read a batch, detect, forward; and what happens when something is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple, Protocol, TypeVar

from graph.checkpoints import Checkpoints
from graph.errors import Fenced, Unavailable
from graph.events import Label
from streaming.detector import Detection, Evaluate
from streaming.metrics import Metrics
from streaming.records import Batch, Source

log = logging.getLogger(__name__)

T = TypeVar("T")

Publish = Callable[[], None]
"""Tells others what has come of a detection; after ``Unavailable`` it is called again, and goes on."""


def nothing_to_publish() -> None:
    """What there is to publish where nobody listens."""


class Front(Protocol):
    """What turns a batch into a detection: it writes the batch, and what it returns evaluates it."""

    def write(self, batch: Batch, ready: Callable[[], object]) -> Evaluate:
        """Write a batch, and commit only when ``ready`` has returned; after ``Unavailable`` it is given again."""

    def catch_up(self, partitions: Sequence[str]) -> tuple[str, Detection] | None:
        """Do some of what was put off for one of the partitions: which one, and what came of it."""


class Forwarder(Protocol):
    """What becomes of a detection: rings are assembled, or it is sent to the stage that does that."""

    def take_over(self, partition: str) -> None:
        """Finish what the partition's former owner left unfinished."""

    def forward(self, detection: Detection, ends: Mapping[str, int]) -> Publish:
        """Deal with a detection for good; after ``Unavailable`` the same one is given again."""

    def follow_up(self, detection: Detection, partition: str) -> Publish:
        """Deal for good with a detection that belongs to no batch; after ``Unavailable`` it is given again."""

    def finish(self, partitions: Sequence[str]) -> Publish:
        """The stream has ended, and these are still this worker's: let go of what was held back."""

    def close(self) -> None:
        """Release what is held."""


class Heart(Protocol):
    """Who is told that the loop lives."""

    def beat(self) -> None:
        """The loop came round."""

    def wait(self, reason: str) -> None:
        """The loop waits for something that is away."""


class _Written(NamedTuple):
    """A batch that was written and is to be evaluated and forwarded."""

    evaluate: Evaluate
    ends: Mapping[str, int]


class Pipeline:
    """Runs one source through a front and a forwarder until it ends or is stopped.

    While a batch is evaluated the next one is written, and committed when the evaluation is over: what is read is
    the graph as the batch left it. Nothing else is done meanwhile. Between batches, and while none comes,
    ``chores`` are done, given the watermark.
    """

    def __init__(
        self,
        source: Source,
        front: Front,
        forwarder: Forwarder,
        checkpoints: Checkpoints,
        *,
        batch_size: int,
        batch_ms: int,
        heart: Heart,
        metrics: Metrics,
        chores: Callable[[int | None], None] = lambda _: None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._front = front
        self._forwarder = forwarder
        self._checkpoints = checkpoints
        self._batch_size = batch_size
        self._batch_s = batch_ms / 1000
        self._heart = heart
        self._metrics = metrics
        self._chores = chores
        self._watermark: int | None = None
        self._progress = progress
        self._cut_short: dict[str, tuple[int, int]] = {}
        self._written: _Written | None = None
        self._in_hand: set[str] = set()
        self._evaluation: Future[Detection] | None = None
        self._claimed_anew = False
        self._stop = threading.Event()
        self._beside = ThreadPoolExecutor(1, "evaluation")

    def stop(self) -> None:
        """Finish what is in flight and return from :meth:`run`; may be called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Run until the source is exhausted or :meth:`stop` is called.

        Raises:
            Fenced: a file is being read by another worker too.
            ServiceError: something refuses for good; everything before it is committed.
        """
        self._guarded(lambda: self._steadily(lambda: self._source.open(self._take_over, self._let_go)))
        with self._beside:
            while not self._stop.is_set():
                nothing_left = self._guarded(self._advance) is False and self._guarded(self._catch_up) is False
                if nothing_left and self._source.exhausted():
                    self._published(lambda: self._forwarder.finish(self._source.assigned()))
                    break
                self._metrics.lag.replace(self._source.lag())
                self._guarded(self._housekeep)
                self._heart.beat()
            self._guarded(partial(self._process, None))
        self._guarded(lambda: self._steadily(self._forwarder.close))

    def _take_over(self, partitions: list[str]) -> dict[str, int]:
        """Claim partitions, finish what their former owners left, and say where to begin reading."""
        # Called from within the source, which cannot be asked to idle then.
        return self._steadily(lambda: self._claim(partitions), idle=time.sleep)

    def _let_go(self, partitions: list[str]) -> None:
        """Be done with what was written of partitions that go to another worker, who would have to do it again."""
        if self._written is not None and self._evaluation is None and not self._in_hand.isdisjoint(partitions):
            self._process(None, idle=time.sleep)

    def _claim(self, partitions: list[str]) -> dict[str, int]:
        self._wait_for_evaluation()
        starts: dict[str, int] = {}
        for partition, marks in self._checkpoints.claim(partitions).items():
            starts[partition] = marks.assembled or 0
            self._cut_short.pop(partition, None)
            if (marks.written or 0) > (marks.assembled or 0):
                self._cut_short[partition] = (marks.assembled or 0, marks.written or 0)
            self._forwarder.take_over(partition)
        self._claimed_anew |= not self._in_hand.isdisjoint(partitions)
        return starts

    def _advance(self) -> bool:
        """Write the next batch, and deal with the one before; returns whether there was either."""
        batch = self._next()
        self._check_claims()
        if batch is None and self._written is None:
            return False
        if batch is not None and _judges_rings(batch):
            self._process(None)
        self._process(batch)
        return True

    def _next(self) -> Batch | None:
        owned = set(self._source.assigned())
        again = {p: span for p, span in self._cut_short.items() if p in owned}
        if again:
            log.info("batch_again", extra={"partitions": sorted(again)})
            records = self._steadily(lambda: self._source.read_range(again))
            self._cut_short = {}
            self._metrics.replayed_batches.add(1)
            return Batch(records, {partition: end for partition, (_, end) in again.items()})
        # What is written is not to wait for what may come.
        records = self._source.read(self._batch_size, self._batch_s if self._written is None else 0)
        return Batch(records, {r.partition: r.offset + 1 for r in records}) if records else None

    def _process(self, batch: Batch | None, idle: Callable[[float], None] | None = None) -> None:
        """Evaluate and forward the batch that was written before, and meanwhile write this one."""
        before, self._written = self._written, None
        self._evaluation = self._beside.submit(before.evaluate) if before is not None else None
        try:
            if batch is not None:
                self._in_hand |= batch.ends.keys()
                evaluate = self._steadily(lambda: self._front.write(batch, self._wait_for_evaluation))
                self._written = _Written(evaluate, batch.ends)
        finally:
            if before is not None and self._evaluation is not None:
                self._finish(before, self._evaluation, idle)
        self._evaluation = None
        self._in_hand = set(self._written.ends) if self._written is not None else set()

    def _finish(
        self, batch: _Written, evaluation: Future[Detection], idle: Callable[[float], None] | None
    ) -> None:
        tries = chain([evaluation.result], repeat(batch.evaluate))
        detection = self._steadily(lambda: next(tries)(), idle)
        self._published(lambda: self._forwarder.forward(detection, batch.ends), idle)
        self._source.commit(batch.ends)
        self._watermark = detection.watermark
        self._progress()

    def _published(self, forward: Callable[[], Publish], idle: Callable[[float], None] | None = None) -> None:
        """Forward something once, and publish what comes of it as often as it takes."""
        publish = self._steadily(forward, idle)
        self._steadily(publish, idle)

    def _wait_for_evaluation(self) -> None:
        """Wait until nothing is evaluated any more, whatever came of it."""
        if self._evaluation is not None:
            wait([self._evaluation])

    def _catch_up(self) -> bool:
        """Do some of what was put off; returns whether there was any."""
        caught_up = self._steadily(lambda: self._front.catch_up(self._source.assigned()))
        if caught_up is None:
            return False
        partition, detection = caught_up
        self._published(lambda: self._forwarder.follow_up(detection, partition))
        return True

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """Do some work; ``None`` if it is given up: others have its partitions, or the process is to end."""
        try:
            return work()
        except Fenced as error:
            log.warning("batch_given_up", extra={"partitions": sorted(self._in_hand), "why": str(error)})
            self._give_up()
            self._source.rejoin(error)
        except _StoppedError:
            self._give_up()
        return None

    def _give_up(self) -> None:
        """Forget what is in hand: the graph knows what remains to be done of it."""
        self._written, self._evaluation, self._in_hand, self._claimed_anew = None, None, set(), False

    def _check_claims(self) -> None:
        """Raise if a partition of what is in hand was lost and has come back: others may have gone on with it."""
        if self._claimed_anew:
            raise Fenced(f"{', '.join(sorted(self._in_hand))} were given out anew")

    def _housekeep(self) -> None:
        self._steadily(lambda: self._chores(self._watermark))

    def _steadily(self, call: Callable[[], T], idle: Callable[[float], None] | None = None) -> T:
        """Make a call, again and again while something is away: an outage is not bad data."""
        waits = 0
        while True:
            try:
                return call()
            except Unavailable as error:
                waits += 1
                self._heart.wait(str(error))
                if waits in (1, 5) or waits % 60 == 0:
                    log.warning("waiting", extra={"for": str(error)})
                if self._stop.is_set():
                    raise _StoppedError from error
                (idle or self._source.idle)(1.0)
                self._check_claims()


def _judges_rings(batch: Batch) -> bool:
    """Whether a batch says something of rings, which must have been assembled by then."""
    return any(
        isinstance(record.value, Label) and record.value.subject.label == "Ring" for record in batch.records
    )


class _StoppedError(Unavailable):
    """The worker was told to stop while it waited; what is unfinished will be done by the next one."""
