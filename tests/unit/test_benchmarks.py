"""The benchmarks work and compare like with like; how fast anything is, no test asks."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks import ceiling, figures, latency, naive
from benchmarks.comparison import Comparison, Spread, Turn, compare
from benchmarks.figures import Measured, Report
from benchmarks.growth import Growth, Window, grow
from benchmarks.latency import Latency, Times
from benchmarks.machine import Machine
from benchmarks.stream import TimedBatch, apart, run_pipeline, simulated
from graph import schema
from graph.driver import Graph
from graph.embedded import EmbeddedEngine
from ringwatch.composition import tokenizer_for
from streaming.codec import Codec
from streaming.records import Record
from tests.services.endpoint import Endpoint
from tests.services.kafka import KafkaServer
from tests.services.neo4j import wipe

BATCH = 100


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(tmp_path_factory.mktemp("stream"), 600, seed=3, fraud_rate=0.2)


@pytest.fixture
def endpoint(embedded: EmbeddedEngine) -> Endpoint:
    endpoint = Endpoint.of(embedded)
    with endpoint.connect() as graph:
        wipe(graph)
        schema.apply(graph)
    return endpoint


def test_all_contenders_write_the_same_graph(endpoint: Endpoint, stream: Path, tmp_path: Path) -> None:
    codec = Codec(tokenizer_for(endpoint.settings()))
    with endpoint.connect() as graph:

        def others(_: TimedBatch, records: list[Record]) -> None:
            events = [codec.decode(record.value) for record in records]
            ceiling.write(graph, ceiling.statements([apart(event, "ceiling-") for event in events]))
            for event in events:
                naive.write(graph, apart(event, "naive-"))

        run_pipeline(endpoint, stream, tmp_path, batch=BATCH, limit=2 * BATCH, after=others)
        ringwatch = contents(graph, "")
        assert ringwatch["Transaction"] == 2 * BATCH
        transfers = {"(Account)-[:SENT]->(Account)", "(Transaction)-[:TO]->(Account)"}  # few, if any, so early
        relationships = 5 + len(schema.RELATIONSHIPS) - 1
        assert len(ringwatch.keys() - transfers) == len(schema.ENTITY_LABELS) + 1 + relationships
        assert contents(graph, "ceiling-") == ringwatch
        assert contents(graph, "naive-") == ringwatch
        assert properties(graph, "ceiling-") == properties(graph, "naive-") == properties(graph, "")


def contents(graph: Graph, prefix: str) -> dict[str, int]:
    """Nodes by label and relationships by type and labels, of the one contender whose ids start like this."""
    own = f"STARTS WITH '{prefix}'" if prefix else "=~ '(?!ceiling-|naive-).*'"
    found = {}
    for label in (*schema.ENTITY_LABELS, "Transaction"):
        [row] = graph.read(f"MATCH (n:{label}) WHERE n.id {own} RETURN count(n) AS number")
        found[label] = row["number"]
        for row in graph.read(
            f"MATCH (n:{label})-[r]->(m) WHERE n.id {own} AND NOT m:Ring "
            "RETURN type(r) AS type, labels(m)[0] AS end, count(r) AS number"
        ):
            found[f"({label})-[:{row['type']}]->({row['end']})"] = row["number"]
    return found


def properties(graph: Graph, prefix: str) -> set[str]:
    own = f"STARTS WITH '{prefix}'" if prefix else "=~ '(?!ceiling-|naive-).*'"
    rows = graph.read(f"MATCH (t:Transaction) WHERE t.id {own} UNWIND keys(t) AS key RETURN DISTINCT key")
    return {row["key"] for row in rows}


def test_comparison_counts_every_turn_but_the_first(endpoint: Endpoint, stream: Path, tmp_path: Path) -> None:
    found = compare(endpoint, stream, tmp_path, warm_up=1, turns=3, naive_events=5, batch=BATCH)
    assert found.turns == 3
    for spread in (found.ringwatch, found.ceiling, found.naive, found.of_ceiling, found.of_naive):
        assert 0 < spread.low <= spread.median <= spread.high


def test_growth_looks_at_a_tenth_and_at_all(endpoint: Endpoint, stream: Path, tmp_path: Path) -> None:
    found = grow(endpoint, stream, tmp_path, transactions=600, window=2, batch=20)
    assert (found.small.transactions, found.large.transactions) == (60, 600)
    assert found.curve[-1][0] == 600
    assert found.ratio > 0
    assert found.yardstick_ratio > 0


def test_latency_traces_alerts_to_the_event_that_completed_them(
    endpoint: Endpoint, kafka: KafkaServer, stream: Path, tmp_path: Path
) -> None:
    found = latency.measure(endpoint, kafka, stream, tmp_path, share=0.9, warm_up=100, events=500)
    assert 0 < found.rate_reached < found.highest_rate
    assert found.alerts > 1
    assert 0 < found.event_to_alert.p50_ms <= found.event_to_alert.p99_ms <= found.event_to_alert.max_ms
    assert found.event_alone.p50_ms < found.event_to_alert.p50_ms


def test_bar_that_is_missed_is_said(tmp_path: Path) -> None:
    turn = Turn(ringwatch=600.0, ceiling=1000.0, naive=60.0)
    small, large = (Window(size, Spread(1, cost, 9), 20.0) for size, cost in ((10, 4.0), (100, 6.0)))
    times = Times(p50_ms=200, p99_ms=900, max_ms=950)
    measured = Measured(
        "an engine 1.0",
        Comparison.of([turn, turn]),
        Growth(small, large, [(10, 4.0), (100, 6.0)]),
        Latency(500, 499, 9, 1, times, times),
    )
    report = Report(Machine.here(), {"an engine": measured}, [])
    data, picture = figures.save(report, tmp_path / "results")
    assert picture.read_bytes().startswith(b"\x89PNG")
    kept = json.loads(data.read_bytes())
    assert [claim["met"] for claim in kept["claims"]] == [False, True, False, True]
    assert kept["engines"]["an engine"]["comparison"]["of_ceiling"]["median"] == pytest.approx(0.6)
    assert kept["machine"] == msgspec.to_builtins(Machine.here()) | {"load": kept["machine"]["load"]}
    assert figures.table(report).row_count == 4
