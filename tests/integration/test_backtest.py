"""``backtest``, as users type it: a rule against a simulated stream whose rings are known."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from graph.driver import Graph
from queries.loader import RULES_FOLDER
from ringwatch.simulation import Simulation, write
from tests.engines import on
from tests.worker import Ringwatch, read_lines

RULE = RULES_FOLDER / "device_farm.cypher"


@pytest.fixture
def folder(ringwatch: Ringwatch) -> Path:
    """Where the command line runs, with a simulated stream."""
    write(Simulation(600, 3, fraud_rate=0.2), ringwatch.folder)
    return ringwatch.folder


def test_a_backtest_says_what_a_rule_would_have_found(ringwatch: Ringwatch, folder: Path, graph: Graph) -> None:
    uri = (folder / "ringwatch.toml").read_text().split('"')[1]
    stream = ("--source", "transactions.jsonl", "--labels", "labels.jsonl")
    shadow = folder / "device_farm.cypher"  # a rule is tried before it may alert
    shadow.write_text(RULE.read_text().replace('status = "stable"', 'status = "test"'))
    said = ringwatch("backtest", "--rule", str(shadow), *stream, "--graph", uri, "--report", "report.json")
    report = json.loads((folder / "report.json").read_text())
    labels = {label["transaction_id"]: label["verdict"] for label in read_lines(folder / "labels.jsonl")}
    assert (report["rule"], report["accepted"], report["labels"]) == ("device_farm", 600, len(labels))
    total, days = report["total"], report["days"]
    assert total["findings"] == sum(day["findings"] for day in days) > 0
    assert total["transactions"] == total["fraud"] + total["legitimate"] + total["unknown"]
    assert total["precision"] == round(total["fraud"] / (total["fraud"] + total["legitimate"]), 4) > 0
    assert all(day["day"] in said for day in days)
    assert graph.read("MATCH (r:Ring) RETURN count(r) AS n") == [{"n": 0}]
    assert not (folder / "alerts.jsonl").exists()

    again = ringwatch("backtest", "--rule", str(RULE), *stream, "--graph", uri, code=2)
    assert "name an empty graph" in again


@on("arcadedb")
def test_a_rule_of_any_status_is_tried_on_a_graph_of_its_own(ringwatch: Ringwatch, folder: Path) -> None:
    text = RULE.read_text().replace('status = "stable"', 'status = "deprecated"')
    (folder / "device_farm.cypher").write_text(text)
    with (folder / "ringwatch.toml").open("a") as file:
        file.write("[rules.parameters.device_farm]\nmin_cards = 50\n")
    shutil.copy(folder / "transactions.jsonl", folder / "some.jsonl")
    with (folder / "some.jsonl").open("a") as file:
        file.write('{"transaction_id": "bad"}\n')
    run = ("backtest", "--rule", "device_farm.cypher", "--source", "some.jsonl", "--report", "report.json")
    ringwatch(*run)
    report = json.loads((folder / "report.json").read_text())
    assert (report["status"], report["parameters"]["min_cards"]) == ("deprecated", 50)
    assert (report["days"], report["total"]["findings"], report["total"]["precision"]) == ([], 0, None)
    assert report["dead_lettered"] == {"missing_field": 1}
    assert not (folder / ".ringwatch").exists()


@on("arcadedb")
@pytest.mark.parametrize(
    ("text", "instead", "code", "said"),
    [
        ("UNWIND $anchors", "UNROLL $anchors", 2, "does not run on arcadedb: .* 'UNROLL'"),
        ("UNWIND $anchors", "MERGE (:Nobody) WITH 1 AS one UNWIND $anchors", 2, "writes"),
        ("'Device' AS anchor_label", "date(device) AS anchor_label", 1, "device_farm failed on"),
    ],
)
def test_a_rule_that_is_refused_or_fails_is_told(
    ringwatch: Ringwatch, folder: Path, text: str, instead: str, code: int, said: str
) -> None:
    (folder / "device_farm.cypher").write_text(RULE.read_text().replace(text, instead))
    out = ringwatch("backtest", "--rule", "device_farm.cypher", "--source", "transactions.jsonl", code=code)
    assert re.search(said, out)
