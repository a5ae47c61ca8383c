"""The driver, on every engine: what is tried again, and what is not."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from graph.driver import Graph
from graph.errors import ServiceError, Unavailable
from tests.services.endpoint import Endpoint
from tests.services.neo4j import Neo4jServer


def test_a_read_that_wants_more_memory_than_there_is_is_refused_at_once(graph: Graph) -> None:
    """Tried again and again it would stop the stream: nothing but asking about less helps."""
    hoard = (
        "UNWIND range(1, $size) AS i WITH i % 10 AS k, collect(toString(i) + $padding) AS held "
        "RETURN sum(size(held)) AS size"
    )
    with pytest.raises(ServiceError) as refusal:
        graph.read(hoard, size=5_000_000, padding="x" * 400)
    assert not isinstance(refusal.value, Unavailable)
    assert graph.read(hoard, size=1_000, padding="x") == [{"size": 1_000}]


def test_lists_and_other_parameters_arrive_under_their_names(graph: Graph) -> None:
    query = "UNWIND $rows AS row WITH row WHERE row IN $rows_wanted AND row < $row RETURN collect(row) AS rows"
    assert graph.read(query, rows=[1, 2, 3], rows_wanted=(2, 3, 4), row=3) == [{"rows": [2]}]


def test_neo4j_keeps_one_plan_of_a_statement_for_lists_of_any_length(graph: Graph) -> None:
    if graph.engine != "neo4j":
        pytest.skip("it does not say how many plans it keeps")
    forget = "CALL db.clearQueryCaches() YIELD value RETURN value"
    graph.read(forget)
    for length in (1, 10, 100, 1_000, 10_000):
        graph.read("UNWIND $rows AS row MATCH (c:Card {id: row}) RETURN c.id AS id", rows=["c"] * length)
    assert graph.read(forget) == [{"value": "Query caches successfully cleared of 1 queries."}]


def test_workers_that_begin_at_once_make_the_schema_together(endpoint: Endpoint) -> None:
    statements = [f"CREATE INDEX made_{n} IF NOT EXISTS FOR (n:Made) ON (n.property_{n})" for n in range(12)]
    together = threading.Barrier(3)

    def begin(_: int) -> None:
        with endpoint.connect() as graph:
            for statement in statements:
                together.wait(60)
                graph.run_schema(statement)

    with ThreadPoolExecutor(3) as workers:
        list(workers.map(begin, range(3)))
    with endpoint.connect() as graph:
        made = [row["properties"] for row in graph.read("SHOW INDEXES") if row["labelsOrTypes"] == ["Made"]]
    assert sorted(made) == sorted([f"property_{n}"] for n in range(12))


def test_neo4j_plans_nothing_anew_while_a_batch_waits(neo4j_526: Neo4jServer) -> None:
    """What takes no list shows that the graph has outgrown its plans."""

    def discarded() -> int:
        return (neo4j_526.folder / "logs" / "debug.log").read_text().count("Discarded stale query")

    neo4j_526.wipe()
    with neo4j_526.connect() as graph:

        def ask() -> None:
            graph.read("UNWIND $ids AS id MATCH (p:Phone {id: id}) RETURN p.id AS id", ids=["p"])
            graph.read("MATCH (p:Phone {id: $id}) RETURN p.id AS id", id="p")

        ask()
        graph.write(lambda tx: tx.run("UNWIND range(1, 1000) AS i CREATE (:Phone {id: randomUUID()})"))
        time.sleep(11)  # a plan's age is looked at every ten seconds
        before = discarded()
        ask()
        assert discarded() - before == 1
        neo4j_526.wipe()


def test_what_lists_hold_is_not_spelt_out_for_a_log(graph: Graph) -> None:
    """It takes time, and a log of the driver's is no place for it."""

    class Unspeakable(str):
        __slots__ = ()

        def __repr__(self) -> str:
            raise AssertionError("spelt out")

    assert graph.read("UNWIND $rows AS row RETURN row", rows=[Unspeakable("x")]) == [{"row": "x"}]
