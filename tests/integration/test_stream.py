"""Transactions in, ring alerts out, as users run it: real Kafka, every engine, processes of their own."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from pathlib import Path

import jsonschema
import pytest

from graph.driver import Graph
from ringwatch.simulation import Simulation, write
from tests.engines import on
from tests.services.endpoint import Endpoint
from tests.services.kafka import KafkaServer
from tests.services.process import free_port
from tests.worker import Ringwatch, read_lines, read_topic, revisions, shown_rings

SCHEMA = json.loads((Path(__file__).parents[2] / "streaming" / "alert.schema.json").read_text())
TRANSACTIONS = 600


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated stream's folder."""
    folder = tmp_path_factory.mktemp("stream")
    write(Simulation(TRANSACTIONS, 11, fraud_rate=0.1), folder)
    return folder


@pytest.fixture
def topics(kafka: KafkaServer) -> dict[str, str]:
    """Fresh topics, by role: name."""
    names = {role: f"{role}-{time.time_ns()}" for role in ("transactions", "alerts")}
    kafka.create_topic(names["transactions"], 3)
    kafka.create_topic(names["alerts"], 1)
    return names


def lines(stream: Path) -> int:
    """How many events there are, those included that come twice."""
    return len((stream / "transactions.jsonl").read_bytes().splitlines())


def address(kafka: KafkaServer, topic: str) -> str:
    return f"kafka://{kafka.bootstrap}/{topic}"


def test_a_file_and_a_topic_end_in_the_same_rings(
    ringwatch: Ringwatch, stream: Path, kafka: KafkaServer, graph: Graph, engine_name: str
) -> None:
    folder = ringwatch.folder
    source = str(stream / "transactions.jsonl")
    ringwatch("run", "--source", source, "--alerts", "alerts.jsonl", "--report", "report.json")
    report = json.loads((folder / "report.json").read_text())
    assert (report["read"], report["accepted"], report["dead_lettered"]) == (lines(stream), TRANSACTIONS, 0)
    ringwatch("rings", "export", "--out", "file.jsonl")
    alerts = read_lines(folder / "alerts.jsonl")
    for alert in alerts:
        jsonschema.validate(alert, SCHEMA)
    assert report["alerts"] == len(alerts)
    rings = shown_rings(folder / "file.jsonl")
    assert len(rings) == report["rings"] > 0
    assert revisions(alerts).keys() >= rings.keys()

    graph.write(lambda tx: tx.run("MATCH (n) WHERE NOT n:Ledger DETACH DELETE n"))
    names = [f"{name}-{engine_name}-{time.time_ns()}" for name in ("transactions", "alerts")]
    for name in names:
        kafka.create_topic(name, 1)
    transactions, published = (address(kafka, name) for name in names)
    ringwatch("produce", "--source", source, "--to", transactions)
    ringwatch("run", "--source", transactions, "--until-end", "--alerts", published)
    ringwatch("rings", "export", "--out", "topic.jsonl")
    assert shown_rings(folder / "topic.jsonl") == rings
    streamed = read_topic(kafka.bootstrap, names[1])
    for alert in streamed:
        jsonschema.validate(alert, SCHEMA)
    assert revisions(streamed).keys() == revisions(alerts).keys()
    for found in revisions(streamed).values():
        assert found == list(range(1, len(found) + 1))


@on("neo4j-5.26")
def test_the_same_topic_again_in_the_same_group_changes_nothing(
    ringwatch: Ringwatch, stream: Path, kafka: KafkaServer, topics: dict[str, str]
) -> None:
    transactions, alerts = address(kafka, topics["transactions"]), address(kafka, topics["alerts"])
    ringwatch("produce", "--source", str(stream / "transactions.jsonl"), "--to", transactions)
    arguments = ("run", "--source", transactions, "--until-end", "--alerts", alerts, "--report", "report.json")
    ringwatch(*arguments)
    ringwatch("rings", "export", "--out", "once.jsonl")
    first = read_topic(kafka.bootstrap, topics["alerts"])
    ringwatch(*arguments)
    assert json.loads((ringwatch.folder / "report.json").read_text())["read"] == 0
    # Another group has no checkpoints here: it reads everything, finds it written, and changes nothing.
    ringwatch(*arguments, "--group", "another")
    again = json.loads((ringwatch.folder / "report.json").read_text())
    assert (again["read"], again["duplicates"], again["alerts"]) == (lines(stream), lines(stream), 0)
    ringwatch("rings", "export", "--out", "again.jsonl")
    assert shown_rings(ringwatch.folder / "once.jsonl") == shown_rings(ringwatch.folder / "again.jsonl")
    assert read_topic(kafka.bootstrap, topics["alerts"]) == first


@on("neo4j-5.26")
def test_several_workers_share_a_group(
    ringwatch: Ringwatch, stream: Path, kafka: KafkaServer, topics: dict[str, str], graph: Graph
) -> None:
    transactions, alerts = address(kafka, topics["transactions"]), address(kafka, topics["alerts"])
    arguments = ("run", "--source", transactions, "--alerts", alerts)
    workers = [ringwatch.start(*arguments) for _ in range(2)]
    ringwatch("produce", "--source", str(stream / "transactions.jsonl"), "--to", transactions, "--rate", "1000")
    _until(lambda: graph.read("MATCH (t:Transaction) RETURN count(t) AS n") == [{"n": TRANSACTIONS}])
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        _, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors
    degrees = graph.read(
        "MATCH (d:Device)<-[u:USED]-() WITH d, count(u) AS cards WHERE cards <> d.degree RETURN count(d) AS wrong"
    )
    assert degrees == [{"wrong": 0}]
    # Everything was written when they were stopped; what was not looked at by then is left to the next one.
    ringwatch(*arguments, "--until-end")
    found = revisions(read_topic(kafka.bootstrap, topics["alerts"]))
    assert found
    for numbers in found.values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


@on("neo4j-5.26")
def test_stages_together_find_what_one_process_finds(
    ringwatch: Ringwatch, stream: Path, kafka: KafkaServer, topics: dict[str, str], graph: Graph
) -> None:
    single = f"single-{time.time_ns()}"
    kafka.create_topic(single, 1)
    transactions, alerts = address(kafka, single), address(kafka, topics["alerts"])
    ringwatch("produce", "--source", str(stream / "transactions.jsonl"), "--to", transactions)
    ringwatch("run", "--source", transactions, "--until-end", "--group", "whole")
    ringwatch("rings", "export", "--out", "whole.jsonl")
    graph.write(lambda tx: tx.run("MATCH (n) WHERE NOT n:Ledger DETACH DELETE n"))
    ringwatch("run", "--stage", "detect", "--source", transactions, "--until-end", "--group", "parts")
    ringwatch(
        *("run", "--stage", "assemble", "--source", transactions, "--until-end"),
        *("--group", "parts", "--alerts", alerts),
    )
    ringwatch("rings", "export", "--out", "parts.jsonl")
    whole, parts = (shown_rings(ringwatch.folder / f"{name}.jsonl") for name in ("whole", "parts"))
    assert parts == whole
    assert revisions(read_topic(kafka.bootstrap, topics["alerts"])).keys() >= parts.keys()


@on("arcadedb")
def test_termination_drains_and_the_next_run_goes_on(ringwatch: Ringwatch) -> None:
    (ringwatch.folder / "ringwatch.toml").open("a").write("[log]\nlevel = 'warning'\n")
    long = ringwatch.folder / "long"  # enough for it to be ended in the middle
    write(Simulation(5_000, 11, fraud_rate=0.1), long)
    arguments = ("run", "--source", str(long / "transactions.jsonl"), "--alerts", "alerts.jsonl")
    worker = ringwatch.start(*arguments, "--report", "first.json")
    alerts = ringwatch.folder / "alerts.jsonl"
    _until(lambda: alerts.exists() and alerts.stat().st_size > 0)  # it runs, and may be ended
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=240)
    assert worker.returncode == 0, errors
    ringwatch(*arguments, "--report", "second.json")
    first, second = (json.loads((ringwatch.folder / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["accepted"] + second["accepted"] == 5_000
    assert first["duplicates"] + second["duplicates"] == lines(long) - 5_000
    assert second["accepted"] > 0


@on("arcadedb")
def test_metrics_and_health_are_served(ringwatch: Ringwatch, kafka: KafkaServer, topics: dict[str, str]) -> None:
    port = free_port()
    with (ringwatch.folder / "ringwatch.toml").open("a") as file:
        file.write(f"[telemetry]\nport = {port}\n")
    worker = ringwatch.start("run", "--source", address(kafka, topics["transactions"]))

    def text(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return str(answer.read().decode())

    _until(lambda: text("readyz") == "ok\n")
    assert text("livez") == "ok\n"
    assert "ringwatch_batch_seconds" in text("metrics") or "# HELP" in text("metrics")
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=240)
    assert worker.returncode == 0, errors


@on("neo4j-5.26")
def test_wrong_addresses_and_credentials_give_one_clear_line(
    ringwatch: Ringwatch, stream: Path, kafka: KafkaServer, endpoint: Endpoint
) -> None:
    source = str(stream / "transactions.jsonl")
    wrong = Ringwatch(ringwatch.folder, RINGWATCH_GRAPH_USER="neo4j", RINGWATCH_GRAPH_PASSWORD="not-this-one")
    assert _one_line(wrong("run", "--source", source, code=2), "password")
    assert _one_line(ringwatch("run", "--source", address(kafka, "nowhere"), code=2), "nowhere")
    nobody = f"kafka://127.0.0.1:{free_port()}/transactions"
    assert _one_line(ringwatch("run", "--source", nobody, code=1), "no broker answers")
    assert _one_line(ringwatch("run", "--source", "missing.jsonl", code=2), "missing.jsonl")
    nowhere = f"bolt://127.0.0.1:{free_port()}"
    assert _one_line(ringwatch("run", "--source", source, "--graph", nowhere, code=1), "does not answer")


def _one_line(output: str, words: str) -> bool:
    lines = [line for line in output.splitlines() if line.startswith("ringwatch: ")]
    assert len(lines) == 1, output
    assert "Traceback" not in output
    assert words in lines[0]
    return True


def _until(holds: object, limit_s: float = 240.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except OSError:
            pass  # nobody listens yet
        time.sleep(0.2)
    raise AssertionError("it did not come about in time")
