"""The loop: a batch is evaluated while the next is written, and whatever happens, each is forwarded once."""

# ruff: noqa: ARG002 - the world has everybody's methods, and uses of them what it needs

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from graph.checkpoints import Checkpoints, Marks
from graph.errors import Fenced, ServiceError, Unavailable
from graph.events import Entity, Label
from streaming.detector import Detection, Evaluate
from streaming.metrics import Metrics
from streaming.pipeline import Pipeline, Publish
from streaming.records import Batch, Leaving, Record, Starts

PARTITION = "p"


class World:
    """A partition's records and marks, the worker's surroundings, and what they saw, in order.

    ``before`` is called by name before something happens there, and may raise.
    """

    def __init__(self, values: Sequence[Any], before: Mapping[str, Callable[[], None]] | None = None) -> None:
        self.values = values
        self.before = dict(before or {})
        self.saw: list[str] = []
        self.written = self.assembled = self.position = 0
        self.pipeline = Pipeline(
            self,
            self,
            self,
            cast(Checkpoints, self),
            batch_size=1,
            batch_ms=0,
            heart=self,
            metrics=Metrics.create(),
        )

    def run(self) -> list[str]:
        self.pipeline.run()
        return self.saw

    def forwarded(self) -> list[str]:
        return [what for what in self.saw if what.startswith("forward")]

    def _happens(self, what: str) -> None:
        if what in self.before:
            self.before.pop(what)()
        self.saw.append(what)

    # The graph's marks.

    def claim(self, partitions: list[str]) -> dict[str, Marks]:
        self.saw.append("claim")
        return {PARTITION: Marks(self.written, self.assembled)}

    # The source.

    def open(self, starts: Starts, leaving: Leaving) -> None:
        self._happens("open")
        self.starts, self.leaving = starts, leaving
        self.assign()

    def assign(self) -> None:
        self.position = self.starts([PARTITION])[PARTITION]

    def assigned(self) -> list[str]:
        return [PARTITION]

    def read(self, limit: int, wait_s: float) -> list[Record]:
        end = min(self.position + limit, len(self.values))
        if f"read {end}" in self.before:
            self.before.pop(f"read {end}")()
        return self._records(self.position, end)

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        self._happens("read again")
        return self._records(*ranges[PARTITION])

    def _records(self, start: int, end: int) -> list[Record]:
        self.position = end
        return [Record(PARTITION, n, self.values[n]) for n in range(start, end)]

    def idle(self, wait_s: float) -> None:
        self._happens("idle")

    def rejoin(self, error: Fenced) -> None:
        self.assign()

    def exhausted(self) -> bool:
        return self.position >= len(self.values)

    def commit(self, ends: Mapping[str, int]) -> None:
        pass

    def lag(self) -> dict[str, int]:
        return {}

    # The front.

    def write(self, batch: Batch, ready: Callable[[], object]) -> Evaluate:
        name, end = _named(batch), batch.ends[PARTITION]
        self._happens(f"write {name}")
        ready()
        self._happens(f"commit {name}")
        self.written = end

        def evaluate() -> Detection:
            self._happens(f"evaluate {name}")
            return Detection([], [], end)

        return evaluate

    def catch_up(self, partitions: Sequence[str]) -> None:
        return None

    # The forwarder.

    def take_over(self, partition: str) -> None:
        pass

    def forward(self, detection: Detection, ends: Mapping[str, int]) -> Publish:
        self._happens(f"forward to {ends[PARTITION]}")
        assert self.assembled < ends[PARTITION] <= self.written
        self.assembled = ends[PARTITION]
        return lambda: self._happens(f"publish to {ends[PARTITION]}")

    def follow_up(self, detection: Detection, partition: str) -> Publish:
        raise AssertionError("nothing was put off")

    def finish(self, partitions: Sequence[str]) -> Publish:
        assert partitions == [PARTITION]
        self.saw.append("finish")
        return lambda: self._happens("publish the rest")

    # Both the forwarder's and the source's.

    def close(self) -> None:
        if "close" in self.before:
            self.before.pop("close")()

    # The heart.

    def beat(self) -> None:
        pass

    def wait(self, reason: str) -> None:
        self.saw.append(f"wait: {reason}")


def _named(batch: Batch) -> str:
    return "+".join(record.value if isinstance(record.value, str) else "label" for record in batch.records)


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_the_next_batch_is_written_during_an_evaluation_and_committed_after_it() -> None:
    begun = threading.Event()

    def waits_for_the_next() -> None:
        assert begun.wait(10), "nothing is written meanwhile"

    world = World("abc", {"evaluate a": waits_for_the_next, "write b": begun.set})
    saw = world.run()
    assert saw.index("write b") < saw.index("evaluate a") < saw.index("commit b") < saw.index("forward to 1")
    assert world.forwarded() == ["forward to 1", "forward to 2", "forward to 3"]
    assert saw[-2:] == ["finish", "publish the rest"]


def test_stopping_finishes_what_was_written() -> None:
    world = World("abc")
    world.before["write b"] = world.pipeline.stop
    assert world.run()[-2:] == ["forward to 2", "publish to 2"]
    assert world.written == world.assembled == 2


def test_a_stream_that_is_stopped_in_an_outage_has_not_ended() -> None:
    world = World("a", {"evaluate a": raising(Unavailable("away"))})

    def stop_and_stay_away() -> None:
        world.before["evaluate a"] = raising(Unavailable("away"))
        world.pipeline.stop()

    world.before["idle"] = stop_and_stay_away
    saw = world.run()
    assert (world.written, world.assembled) == (1, 0)
    assert "finish" not in saw


@pytest.mark.parametrize("where", ["open", "close"])
def test_a_stream_that_is_stopped_while_it_begins_or_ends_in_an_outage_just_ends(where: str) -> None:
    world = World("a", {where: raising(Unavailable("away"))})

    def stop_and_stay_away() -> None:
        world.before[where] = raising(Unavailable("away"))
        world.pipeline.stop()

    world.before["idle"] = stop_and_stay_away
    world.run()
    assert world.assembled == (0 if where == "open" else 1)


def test_an_evaluation_is_made_again_after_an_outage() -> None:
    world = World("ab", {"evaluate a": raising(Unavailable("away"))})
    world.run()
    assert world.saw.count("wait: away") == 1
    assert world.forwarded() == ["forward to 1", "forward to 2"]


def test_what_cannot_be_published_is_published_after_an_outage_and_forwarded_once() -> None:
    world = World("a", {"publish to 1": raising(Unavailable("away"))})
    assert world.run()[-5:] == ["wait: away", "idle", "publish to 1", "finish", "publish the rest"]
    assert world.forwarded() == ["forward to 1"]


def test_what_lies_between_the_marks_is_done_again_in_one() -> None:
    """Rings of the first batch were another worker's to change when the second had been written already."""
    world = World("abc", {"forward to 1": raising(Fenced("taken"))})
    saw = world.run()
    assert saw.index("commit b") < saw.index("read again") < saw.index("write a+b")
    assert world.forwarded() == ["forward to 2", "forward to 3"]


def test_what_cannot_be_read_again_is_waited_for() -> None:
    world = World("ab", {"read again": raising(Unavailable("away"))})
    world.written = 1
    saw = world.run()
    assert saw.index("wait: away") < saw.index("read again") < saw.index("write a")
    assert world.forwarded() == ["forward to 1", "forward to 2"]


def test_a_batch_that_may_not_be_written_does_not_take_the_one_before_along() -> None:
    world = World("abc", {"write b": raising(Fenced("taken"))})
    saw = world.run()
    assert saw.index("forward to 1") < saw.index("commit b")
    assert world.forwarded() == ["forward to 1", "forward to 2", "forward to 3"]


def test_a_graph_that_refuses_for_good_still_gets_what_was_written() -> None:
    world = World("abc", {"write b": raising(ServiceError("refused"))})
    with pytest.raises(ServiceError, match="refused"):
        world.run()
    assert world.forwarded() == ["forward to 1"]


def test_what_was_written_of_a_partition_is_finished_before_another_worker_gets_it() -> None:
    world = World("abc")

    def goes_and_comes() -> None:
        world.leaving([PARTITION])
        assert world.assembled == world.written == 1
        world.assign()

    world.before["read 2"] = goes_and_comes
    assert world.run().count("write a") == 1
    assert world.forwarded() == ["forward to 1", "forward to 2", "forward to 3"]


def test_a_partition_that_leaves_during_an_outage_is_left_to_whoever_gets_it() -> None:
    """Rings of the first batch cannot be changed yet, and the second must not be before it."""
    world = World("abc", {"forward to 1": raising(Unavailable("away"))})

    def goes_and_comes() -> None:
        world.leaving([PARTITION])
        assert world.assembled == 0
        world.assign()

    world.before["idle"] = goes_and_comes
    world.run()
    assert world.forwarded() == ["forward to 2", "forward to 3"]


def test_a_partition_that_was_lost_and_comes_back_is_read_from_where_the_graph_says() -> None:
    world = World("abc")
    world.before["read 2"] = world.assign  # in the hands of others meanwhile: they may have gone on
    saw = world.run()
    assert saw.index("commit a") < saw.index("write a", saw.index("commit a"))
    assert world.forwarded() == ["forward to 1", "forward to 2", "forward to 3"]


def test_a_partition_that_comes_back_during_an_outage_gives_up_the_batch() -> None:
    world = World("abc", {"write b": raising(Unavailable("away"))})
    world.before["idle"] = world.assign
    world.run()
    assert world.saw.count("claim") == 3
    assert world.forwarded() == ["forward to 1", "forward to 2", "forward to 3"]


def test_what_judges_a_ring_is_written_when_rings_are_there() -> None:
    label = Label(subject=Entity("Ring", "ring-1"), verdict="fraud", source="analyst", time=1)
    saw = World(["a", label, "c"]).run()
    assert saw.index("forward to 1") < saw.index("write label")
