"""Labels in the graph, on every engine: what they do to transactions and cards, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.events import Event
from graph.retention import expire
from graph.schema import HOUR_MS
from graph.writer import GraphWriter
from queries.runner import Touches
from streaming.detector import BatchMark
from tests.graph.test_writer import contents, emptied
from tests.transactions import MINUTE, NOON, label, transaction

DAY = 24 * HOUR_MS


def card(graph: Graph, name: str = "c1") -> tuple[int | None, int | None, int | None]:
    """When it was first called fraud, when cleared, and by how many labels."""
    (row,) = graph.read(
        "MATCH (c:Card {id: $id}) RETURN c.fraud_since AS since, c.cleared_since AS cleared, c.fraud_labels AS n",
        id=f"hmac:{name}",
    )
    return row["since"], row["cleared"], row["n"]


def verdict(graph: Graph, transaction_id: str) -> tuple[str | None, int | None]:
    (row,) = graph.read(
        "MATCH (t:Transaction {id: $id}) RETURN t.verdict AS verdict, t.verdict_time AS time", id=transaction_id
    )
    return row["verdict"], row["time"]


def pointed_at(graph: Graph) -> set[tuple[str, str]]:
    rows = graph.read("MATCH (l:Label)-[:OF]->(n) RETURN l.id AS label, n.id AS id")
    return {(row["label"], row["id"]) for row in rows}


def test_a_label_is_a_verdict_on_its_transaction_and_its_card(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([transaction("t1"), transaction("t2")])
    written = writer.write([label("t1", time=NOON + DAY)])
    assert written.labels == [label("t1", time=NOON + DAY)]
    assert verdict(graph, "t1") == ("fraud", NOON + DAY)
    assert verdict(graph, "t2") == (None, None)
    assert card(graph) == (NOON + DAY, None, 1)
    name = "chargeback|Transaction|t1"
    assert pointed_at(graph) == {(name, "t1"), (name, "hmac:c1")}


def test_a_label_touches_its_card_at_its_own_time(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([transaction("t1", merchant="m")])
    touches = Touches.of(writer.write([label("t1", time=NOON + DAY)]))
    assert touches.times == {"Card": {"hmac:c1": [NOON + DAY]}}
    assert touches.late == {"Card": {"hmac:c1": [NOON + DAY]}}
    assert touches.states["Card"]["hmac:c1"].fraud_labels == 1
    later = Touches.of(writer.write([transaction("t2", event_time=NOON + 2 * DAY)]))
    assert later.states["Card"]["hmac:c1"].fraud_labels == 1


def test_a_label_may_come_before_its_transaction(graph: Graph) -> None:
    writer = GraphWriter(graph)
    before = writer.write([label("t1", time=NOON + DAY)])
    assert (len(before.labels), before.touches) == (1, {})
    touches = Touches.of(writer.write([transaction("t1"), transaction("t2", "c2")]))
    assert touches.times["Card"] == {"hmac:c1": [NOON, NOON + DAY], "hmac:c2": [NOON]}
    assert verdict(graph, "t1") == ("fraud", NOON + DAY)
    assert card(graph) == (NOON + DAY, None, 1)


def test_a_card_is_labelled_by_itself(graph: Graph) -> None:
    GraphWriter(graph).write([label("c1", kind="Card"), transaction("t1")])
    assert card(graph) == (NOON, None, 1)
    assert verdict(graph, "t1") == (None, None)


def test_the_latest_word_counts_over_all_sources(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([transaction("t1"), label("t1", time=NOON + DAY)])
    writer.write([label("t1", "legitimate", source="analyst", time=NOON + 2 * DAY)])
    assert verdict(graph, "t1") == ("legitimate", NOON + 2 * DAY)
    assert card(graph) == (NOON + DAY, NOON + 2 * DAY, 1)
    writer.write([transaction("t2"), label("t2", time=NOON + 3 * DAY)])
    assert card(graph) == (NOON + DAY, None, 2)


def test_the_same_label_again_changes_nothing(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([transaction("t1"), label("t1")])
    before = contents(graph)
    again = writer.write([label("t1"), label("t1")])
    assert (again.labels, len(again.duplicates), again.touches) == ([], 2, {})
    assert contents(graph) == before


def test_a_verdict_on_a_ring_is_kept_and_one_on_no_ring_refused(graph: Graph) -> None:
    graph.write(lambda tx: tx.run("CREATE (:Ring {id: 'r1', status: 'open'})"))
    written = GraphWriter(graph).write([label("r1", kind="Ring"), label("r2", kind="Ring"), transaction("t1")])
    assert [(event.subject.id, error.reason) for event, error in written.refused] == [("r2", "unknown_ring")]  # type: ignore[union-attr] # a label
    assert pointed_at(graph) == {("chargeback|Ring|r1", "r1")}


def test_a_batch_of_labels_that_was_written_before_a_crash_is_evaluated_again(graph: Graph) -> None:
    checkpoints = Checkpoints(graph, "group", "owner")
    checkpoints.claim(["p/0"])
    mark = BatchMark(checkpoints, "written", {"p/0": 3})
    writer = GraphWriter(graph)
    writer.write([label("t0", time=NOON + DAY)])
    batch: list[Event] = [transaction("t0", "c0"), transaction("t1"), label("t1", time=NOON + DAY)]
    touched = writer.write(batch, mark).touches
    mark.committed()
    again = GraphWriter(graph).write(batch, mark)
    assert again.touches == touched
    assert again.labels == [label("t1", time=NOON + DAY)]
    assert again.entities["Card"]["hmac:c1"].fraud_labels == 1


def test_labels_expire_with_their_transactions(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([transaction("old"), label("old", time=NOON + DAY), transaction("gone", "c2"), label("gone")])
    young: list[Event] = [transaction("young", event_time=NOON + 2 * DAY), label("young", time=NOON + 3 * DAY)]
    writer.write(young)
    expire(graph, NOON + 2 * DAY, hub_caps={})
    assert card(graph) == (NOON + 3 * DAY, None, 1)
    assert pointed_at(graph) == {("chargeback|Transaction|young", each) for each in ("young", "hmac:c1")}
    assert graph.read("MATCH (c:Card) RETURN c.id AS id") == [{"id": "hmac:c1"}]


def test_labels_that_no_transaction_holds_expire_by_their_own_time(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write([label("never"), label("c1", kind="Card"), label("later", time=NOON + 2 * DAY)])
    expire(graph, NOON + DAY, hub_caps={})
    assert [row["id"] for row in graph.read("MATCH (l:Label) RETURN l.subject AS id")] == ["later"]
    assert graph.read("MATCH (c:Card) RETURN c.id AS id") == []
    assert graph.read("MATCH (h:Hour) RETURN h.id AS id") == [{"id": (NOON + 2 * DAY) // HOUR_MS}]


EVENTS: list[Event] = [
    *(transaction(f"t{n}", f"c{n % 2}", merchant="m", event_time=NOON + n * MINUTE) for n in range(4)),
    *(label(f"t{n}", time=NOON + DAY + n) for n in range(4)),
    *(label(f"t{n}", "legitimate", source="analyst", time=NOON + DAY + 1) for n in range(3)),
    label("t0", "legitimate", time=NOON + DAY),
    label("t1", time=NOON + 2 * DAY),
    label("c0", kind="Card", time=NOON + HOUR_MS),
]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(EVENTS), st.integers(1, 6))
def test_the_order_of_arrival_does_not_change_the_graph(graph: Graph, stream: list[Any], size: int) -> None:
    emptied(graph)
    GraphWriter(graph).write(EVENTS)
    expected = contents(graph)
    emptied(graph)
    writer = GraphWriter(graph)
    for start in range(0, len(stream), size):
        writer.write(stream[start : start + size])
    assert contents(graph) == expected


@pytest.mark.parametrize("kind", ["Transaction", "Card"])
def test_hostile_text_is_only_text(graph: Graph, kind: str) -> None:
    name = "x'}) DETACH DELETE n //"
    GraphWriter(graph).write([transaction(name, name), label(name, kind=kind)])
    assert card(graph, name) == (NOON, None, 1)
