"""The detector: what happens to a batch that has to be given again."""

from __future__ import annotations

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


@pytest.mark.parametrize("engine_name", ["arcadedb"], indirect=True)
def test_a_batch_that_is_given_again_is_not_late_for_that(graph: Graph, tmp_path: Path) -> None:
    records = [
        Record(
            "p", n, msgspec.json.encode({"transaction_id": f"t{n}", "card": "c", "amount": 1, "event_time": time})
        )
        for n, time in enumerate(range(NOON, NOON + 60 * MINUTE, MINUTE))
    ]
    checkpoints = Checkpoints(graph, "group", "worker")
    checkpoints.claim(["p"])
    rules = AwayAtFirst()
    with Telemetry.start("127.0.0.1", None) as telemetry:
        detector = Detector(
            Codec(CardTokenizer(b"a key for tests only")),
            GraphWriter(graph),
            cast(Operation, rules),
            checkpoints,
            open_sink(str(tmp_path / "bad.jsonl"), {}),
            DeadLetterLimit(0.5, 100),
            EventClock(5 * MINUTE),
            telemetry.metrics,
        )
        batch = Batch(records, {"p": len(records)})
        with pytest.raises(Unavailable):
            detector.detect(batch)
        detector.detect(batch)
    assert rules.asked == 2
    assert (detector.counts.accepted, detector.counts.late) == (60, 0)
