"""Rules as a worker wires them: changed files take effect at its next batch, and its metrics say so."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.writer import GraphWriter
from queries.runner import Touches
from ringwatch.rule_metrics import RuleMetrics
from ringwatch.rule_operation import operated_rules
from ringwatch.settings import Settings, load
from streaming.metrics import Metrics
from tests.rules.rule_files import BODY, HEADER, write_rule
from tests.transactions import NOON, transaction
from tests.unit.test_rule_metrics import Instruments

NEWER = HEADER.replace("version = 1", "version = 2")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_rule(tmp_path)
    return load(flags={"rules.folder": tmp_path})


def test_a_changed_rule_takes_effect_at_the_next_batch_and_a_broken_one_does_not(
    graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    instruments = Instruments()
    told = RuleMetrics(cast(Metrics, instruments))
    operation, reload = operated_rules(graph, settings, Checkpoints(graph, "g", "w"), told)
    touches = Touches.of(GraphWriter(graph).write([transaction(f"t{n}", f"c{n}", device="d") for n in range(2)]))

    def versions() -> list[int]:
        reload()
        found = operation.run(touches, ["p"], NOON)
        return [finding.rule_version for finding in found if finding.rule == "shared_device"]

    assert versions() == [1]
    write_rule(tmp_path, NEWER)
    assert versions() == [2]
    write_rule(tmp_path, NEWER, BODY.replace("UNWIND $anchors", "UNROLL $anchors"))
    assert versions() == [2]
    assert instruments.rule_refusals.sums == {"shared_device": 1}
    write_rule(tmp_path, NEWER.replace('"experimental"', '"test"'))
    assert versions() == []
    assert instruments.shadow_findings.sums["shared_device"] == 1
    (tmp_path / "shared_device.cypher").unlink()
    assert versions() == []
    assert instruments.rule_findings.sums["shared_device"] == 3
    counts = told.counts["shared_device"]
    assert (counts.findings, counts.shadow_findings, counts.refused) == (3, 1, 1)
