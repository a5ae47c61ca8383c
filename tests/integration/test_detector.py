"""The detector: what happens to a batch that has to be given again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import Unavailable
from graph.writer import GraphWriter
from queries.operation import Operation
from queries.spec import Finding
from ringwatch.telemetry import Telemetry
from streaming.codec import Codec
from streaming.dead_letters import DeadLetterLimit, open_sink
from streaming.detector import Detector
from streaming.event_time import EventClock
from streaming.records import Batch, Record
from streaming.tokens import CardTokenizer
from tests.engines import on
from tests.transactions import MINUTE, NOON


class AwayAtFirst:
    """Rules whose graph is away the first time that they are asked."""

    def __init__(self) -> None:
        self.asked = 0

    def run(self, *_: Any) -> list[Finding]:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("away")
        return []


@pytest.fixture
def rules() -> AwayAtFirst:
    return AwayAtFirst()


@pytest.fixture
def detector(graph: Graph, rules: AwayAtFirst, tmp_path: Path) -> Iterator[Detector]:
    checkpoints = Checkpoints(graph, "group", "worker")
    checkpoints.claim(["p"])
    with Telemetry.start("127.0.0.1", None) as telemetry:
        yield Detector(
            Codec(CardTokenizer(b"a key for tests only")),
            GraphWriter(graph),
            cast(Operation, rules),
            checkpoints,
            open_sink(str(tmp_path / "bad.jsonl"), {}),
            DeadLetterLimit(0.5, 100),
            EventClock(5 * MINUTE),
            telemetry.metrics,
        )


@pytest.fixture
def batch() -> Batch:
    """An hour of payments, one a minute."""
    records = [
        Record(
            "p", n, msgspec.json.encode({"transaction_id": f"t{n}", "card": "c", "amount": 1, "event_time": time})
        )
        for n, time in enumerate(range(NOON, NOON + 60 * MINUTE, MINUTE))
    ]
    return Batch(records, {"p": len(records)})


@on("arcadedb")
def test_a_batch_that_is_evaluated_again_is_not_late_for_that(
    detector: Detector, rules: AwayAtFirst, batch: Batch
) -> None:
    evaluate = detector.write(batch, lambda: None)
    with pytest.raises(Unavailable):
        evaluate()
    evaluate()
    assert rules.asked == 2
    assert (detector.counts.accepted, detector.counts.late) == (60, 0)


def test_nobody_sees_a_batch_before_the_word_is_given(detector: Detector, graph: Graph, batch: Batch) -> None:
    def stored() -> int:
        (row,) = graph.read("MATCH (t:Transaction) RETURN count(t) AS n")
        return int(row["n"])

    seen: list[int] = []
    detector.write(batch, lambda: seen.append(stored()))
    assert (seen, stored()) == ([0], 60)
