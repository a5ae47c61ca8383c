"""``run --labels``, as users type it: a simulated stream with its verdicts beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graph.driver import Graph
from ringwatch.simulation import Simulation, write
from tests.engines import on
from tests.services.kafka import KafkaServer
from tests.worker import Ringwatch, read_lines

TRANSACTIONS = 500


@pytest.fixture
def folder(ringwatch: Ringwatch) -> Path:
    """Where the command line runs, with a simulated stream and one label that is none."""
    write(Simulation(TRANSACTIONS, 7, fraud_rate=0.1), ringwatch.folder)
    with (ringwatch.folder / "labels.jsonl").open("a") as file:
        file.write('{"transaction_id": "t", "verdict": "perhaps", "source": "analyst", "time": "2025-03-01"}\n')
    return ringwatch.folder


def verdicts(graph: Graph) -> dict[str, str]:
    rows = graph.read("MATCH (t:Transaction) WHERE t.verdict IS NOT NULL RETURN t.id AS id, t.verdict AS verdict")
    return {row["id"]: row["verdict"] for row in rows}


@on("arcadedb")
def test_labels_of_a_file_end_at_their_transactions(ringwatch: Ringwatch, folder: Path, graph: Graph) -> None:
    run = ("run", "--source", "transactions.jsonl", "--labels", "labels.jsonl", "--alerts", "alerts.jsonl")
    ringwatch(*run, "--report", "report.json")
    labels = read_lines(folder / "labels.jsonl")[:-1]
    report = json.loads((folder / "report.json").read_text())
    assert (report["labels"], report["accepted"], report["dead_lettered"]) == (len(labels), TRANSACTIONS, 1)
    assert verdicts(graph) == {label["transaction_id"]: label["verdict"] for label in labels}
    (watermark,) = graph.read("MATCH (l:Ledger {id: 'ringwatch'}) RETURN l.watermark AS ms")
    (newest,) = graph.read("MATCH (t:Transaction) RETURN max(t.time) AS ms")
    assert watermark["ms"] <= newest["ms"]  # labels come weeks later, and time did not go on with them
    (position, reason, *_) = ringwatch("dead-letters", "list", "--dead-letters", letters(folder)).split("\t")
    assert position.startswith("labels:file:")
    assert reason == "bad_value"
    ringwatch(*run, "--report", "again.json")
    again = json.loads((folder / "again.json").read_text())
    assert (again["read"], again["labels"]) == (0, 0)
    assert "read 1," in ringwatch("dead-letters", "replay", "--dead-letters", letters(folder))


@on("arcadedb")
def test_a_label_judges_its_ring_once(ringwatch: Ringwatch, folder: Path) -> None:
    run = ("run", "--source", "transactions.jsonl")
    ringwatch(*run)
    ringwatch("rings", "export", "--out", "rings.jsonl")
    honest, bad, *_ = (ring["ring_id"] for ring in read_lines(folder / "rings.jsonl"))
    said = {"source": "case-desk", "time": "2025-06-01T12:00:00Z"}
    lines = [{"ring_id": honest, "verdict": "legitimate", **said}, {"ring_id": bad, "verdict": "fraud", **said}]
    (folder / "judged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):
        assert "dead lettered 0" in ringwatch(*run, "--labels", "judged.jsonl")
        rings = {ring_id: json.loads(ringwatch("rings", "show", ring_id)) for ring_id in (honest, bad)}
        assert [rings[ring_id]["verdict"] for ring_id in (honest, bad)] == ["dismissed", "confirmed"]
        assert [len(ring["history"]) for ring in rings.values()] == [1, 1]
        assert rings[bad]["history"][0]["by"] == "case-desk"
    ringwatch("rings", "reopen", honest, "--reason", "another look")
    again = {**lines[0], "time": "2025-05-01T12:00:00Z", "source": "chargeback"}
    (folder / "older.jsonl").write_text(json.dumps(again) + "\n")
    ringwatch(*run, "--labels", "older.jsonl")
    assert json.loads(ringwatch("rings", "show", honest))["status"] == "open"


def letters(folder: Path) -> str:
    return str(folder / ".ringwatch" / "dead-letters.jsonl")


@on("arcadedb")
def test_labels_of_a_topic_are_taken_as_they_come(
    ringwatch: Ringwatch, folder: Path, graph: Graph, kafka: KafkaServer
) -> None:
    topics = {name: f"{name}-{folder.name}" for name in ("transactions", "labels")}
    for topic in topics.values():
        kafka.create_topic(topic, 2)
    *labels, last = read_lines(folder / "labels.jsonl")
    bad = {**last, "verdict": "perhaps"}
    (folder / "sent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*labels, bad]))
    addresses = {name: f"kafka://{kafka.bootstrap}/{topic}" for name, topic in topics.items()}
    said = ringwatch("produce", "--labels", "--source", "sent.jsonl", "--to", addresses["labels"])
    assert f"{len(labels)} sent" in said
    assert "1 bad" in said
    ringwatch("produce", "--source", "transactions.jsonl", "--to", addresses["transactions"])
    run = ("run", "--source", addresses["transactions"], "--labels", addresses["labels"], "--until-end")
    assert f"labels {len(labels)}," in ringwatch(*run)
    assert verdicts(graph) == {label["transaction_id"]: label["verdict"] for label in labels}


@on("arcadedb")
def test_labels_are_not_for_the_stage_that_reads_no_transactions(ringwatch: Ringwatch) -> None:
    run = ("run", "--source", "kafka://127.0.0.1:1/t", "--stage", "assemble", "--labels", "labels.jsonl")
    assert "not for --stage assemble" in ringwatch(*run, code=2)
