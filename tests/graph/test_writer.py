"""The graph writer, on every engine."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.checkpoints import Checkpoints
from graph.driver import Graph, Row, Tx
from graph.errors import Conflict, Fenced, ServiceError
from graph.events import Entity, Transaction
from graph.schema import NEVER
from graph.writer import GraphWriter, WriterSettings
from streaming.detector import BatchMark
from tests.transactions import MINUTE, NOON, transaction

SETTINGS = WriterSettings(hub_caps={"Account": 3, "Device": 3, "Merchant": 3, "Email": 3})


def contents(graph: Graph) -> dict[str, list[Any]]:
    """Everything that the writer writes, comparable between two graphs."""
    nodes = graph.read(
        "MATCH (n) WHERE NOT n:Ledger AND NOT n:Checkpoint RETURN labels(n) AS labels, properties(n) AS properties"
    )
    relationships = graph.read(
        "MATCH (a)-[r]->(b) RETURN a.id AS a, type(r) AS type, b.id AS b, properties(r) AS properties"
    )
    return {
        "nodes": sorted((row["labels"], sorted(row["properties"].items())) for row in nodes),
        "relationships": sorted(
            (row["a"], row["type"], row["b"], sorted(row["properties"].items())) for row in relationships
        ),
    }


def emptied(graph: Graph) -> None:
    graph.write(lambda tx: tx.run("MATCH (n) WHERE NOT n:Ledger DETACH DELETE n"))


def everything(transaction_id: str, card: str, minute: int) -> Transaction:
    return transaction(
        transaction_id,
        card,
        event_time=NOON + minute * MINUTE + 7,
        account=f"a-{card}",
        device="d",
        ip="10.0.0.1",
        merchant="m",
        merchant_category="games",
        email=f"e-{card}",
        phone="p",
        shipping_address="s",
        billing_address="b",
        account_created=NOON - minute,
        channel="transfer",
        counterparty="r",
        card_bin="424242",
    )


def test_a_transaction_becomes_nodes_and_relationships(graph: Graph) -> None:
    written = GraphWriter(graph, SETTINGS).write([everything("t1", "c1", 5)])
    assert [t.transaction_id for t in written.accepted] == ["t1"]
    found = contents(graph)["relationships"]
    floored = [("first_seen", NOON + 5 * MINUTE), ("last_seen", NOON + 5 * MINUTE)]
    assert found == sorted(
        [
            ("a-c1", "HAS", "b", floored),
            ("a-c1", "HAS", "e-c1", floored),
            ("a-c1", "HAS", "p", floored),
            ("a-c1", "HAS", "s", floored),
            ("a-c1", "OWNS", "hmac:c1", floored),
            ("a-c1", "SENT", "r", floored),
            ("hmac:c1", "MADE", "t1", []),
            ("hmac:c1", "PAID", "m", floored),
            ("hmac:c1", "USED", "10.0.0.1", floored),
            ("hmac:c1", "USED", "d", floored),
            ("t1", "AT", "m", []),
            ("t1", "FROM", "10.0.0.1", []),
            ("t1", "ON", "d", []),
            ("t1", "SHIPPED_TO", "s", []),
            ("t1", "TO", "r", []),
        ]
    )
    (row,) = graph.read("MATCH (t:Transaction) RETURN properties(t) AS t")
    assert row["t"]["merchant_hour"] == f"m|{NOON // 3_600_000}"
    assert row["t"]["account"] == "a-c1"
    assert row["t"]["counterparty_hour"] == f"r|{NOON // 3_600_000}"
    rows = graph.read(
        "MATCH (a:Account) "
        "RETURN a.identifiers AS identifiers, a.degree AS degree, a.senders AS senders ORDER BY a.id"
    )
    assert rows == [
        {"identifiers": 4, "degree": 1, "senders": 0},
        {"identifiers": 0, "degree": 0, "senders": 1},
    ]


def test_only_a_transfer_to_somebody_else_is_sent(graph: Graph) -> None:
    written = GraphWriter(graph, SETTINGS).write(
        [
            transaction("t1", account="a", counterparty="payee", channel="ecommerce"),
            transaction("t2", account="a", counterparty="a", channel="transfer"),
            transaction("t3", account="a", channel="transfer"),
            transaction("t4", counterparty="b", channel="transfer"),
        ]
    )
    kinds = [(a, kind, b) for a, kind, b, _ in contents(graph)["relationships"] if kind in ("SENT", "TO")]
    assert kinds == [("t4", "TO", "b")]
    rows = graph.read("MATCH (t:Transaction) WHERE t.counterparty_hour IS NOT NULL RETURN t.id AS id")
    assert rows == [{"id": "t4"}]
    assert {entity: state.senders for entity, state in written.entities["Account"].items()} == {
        "a": 0, "b": 0, "payee": 0
    }  # fmt: skip


def test_declined_transactions_are_found_by_their_merchant_and_hour(graph: Graph) -> None:
    GraphWriter(graph, SETTINGS).write(
        [
            transaction("t1", merchant="m", status="declined"),
            transaction("t2", merchant="m", status="approved"),
            transaction("t3", merchant=None, status="declined"),
        ]
    )
    rows = graph.read(
        "MATCH (t:Transaction) WHERE t.declined_hour IS NOT NULL RETURN t.id AS id, t.declined_hour AS h"
    )
    assert rows == [{"id": "t1", "h": f"m|{NOON // 3_600_000}"}]


def test_an_account_that_many_send_to_is_a_hub_however_many_cards_others_have(graph: Graph) -> None:
    def sent(number: int) -> Transaction:
        fields = {"account": f"a{number % 4}", "counterparty": "r", "channel": "transfer"}
        return transaction(f"t{number}", f"c{number}", event_time=NOON + number * MINUTE, **fields)

    writer = GraphWriter(graph, SETTINGS)
    cards = [transaction(f"own{number}", f"own{number}", account="rich") for number in range(5)]
    written = writer.write([*cards, *map(sent, range(3))])
    assert (written.entities["Account"]["r"].senders, written.new_hubs) == (3, [])
    written = writer.write([sent(3), sent(4)])
    assert written.entities["Account"]["r"].senders == 4
    assert written.new_hubs == [Entity("Account", "r")]
    rows = graph.read("MATCH (a:Account) WHERE a.is_hub RETURN a.id AS id, a.hub_since AS hub_since")
    assert rows == [{"id": "r", "hub_since": NOON + 4 * MINUTE}]


def test_a_refund_names_its_account_where_it_can_be_sought(graph: Graph) -> None:
    GraphWriter(graph, SETTINGS).write(
        [
            transaction("bought", account="a"),
            transaction("refunded", account="a", status="refunded"),
            transaction("anonymous", status="refunded"),
        ]
    )
    found = graph.read("MATCH (t:Transaction {refunded_account: 'a'}) RETURN t.id AS id")
    assert found == [{"id": "refunded"}]


def test_redelivery_changes_nothing(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    batch = [everything(f"t{i}", f"c{i % 3}", i) for i in range(9)]
    writer.write(batch)
    before = contents(graph)
    again = GraphWriter(graph, SETTINGS).write(batch + batch)
    assert len(again.duplicates) == 18
    assert again.accepted == []
    assert contents(graph) == before


def test_the_first_of_two_contents_wins(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    first, second = transaction("t1", amount=100), transaction("t1", amount=200)
    within = writer.write([first, second])
    assert within.accepted == [first]
    assert [(t, type(error)) for t, error in within.refused] == [(second, Conflict)]
    later = writer.write([second])
    assert [(t, error.reason) for t, error in later.refused] == [(second, "conflict")]
    assert graph.read("MATCH (t:Transaction) RETURN t.amount AS amount") == [{"amount": 100}]


def test_cypher_text_is_only_text(graph: Graph) -> None:
    name = "m'}) DETACH DELETE n //"
    GraphWriter(graph, SETTINGS).write([transaction("t1", merchant=name), transaction("t2", merchant="m2")])
    assert {row["id"] for row in graph.read("MATCH (m:Merchant) RETURN m.id AS id")} == {name, "m2"}


def test_degrees_count_neighbours_and_come_back_with_the_batch(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    writer.write([transaction("t1", "c1", device="d"), transaction("t2", "c2", device="d")])
    written = writer.write([transaction("t3", "c2", device="d"), transaction("t4", "c3", device="d")])
    assert written.entities["Device"]["d"].degree == 3
    assert graph.read("MATCH (d:Device) RETURN d.degree AS degree") == [{"degree": 3}]


def test_a_hub_is_marked_with_the_time_at_which_it_became_one(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    batch = [transaction(f"t{i}", f"c{i}", device="d", event_time=NOON + i * MINUTE) for i in range(3)]
    assert writer.write(batch).new_hubs == []
    written = writer.write([transaction("t9", "c9", device="d", event_time=NOON + 9 * MINUTE)])
    assert written.new_hubs == [Entity("Device", "d")]
    assert written.entities["Device"]["d"].hub_since == NOON + 10 * MINUTE
    # A card that turns out to have come earlier moves that moment back.
    writer.write([transaction("t5", "c5", device="d", event_time=NOON + 5 * MINUTE)])
    (row,) = graph.read("MATCH (d:Device) RETURN d.is_hub AS is_hub, d.hub_since AS hub_since")
    assert row == {"is_hub": True, "hub_since": NOON + 6 * MINUTE}


def test_an_entity_below_its_cap_is_no_hub(graph: Graph) -> None:
    GraphWriter(graph, SETTINGS).write([transaction(f"t{i}", f"c{i}", device="d") for i in range(3)])
    (row,) = graph.read("MATCH (d:Device) RETURN d.is_hub AS is_hub, d.hub_since AS hub_since")
    assert row == {"is_hub": False, "hub_since": NEVER}


def test_what_an_entity_was_last_seen_at_before_the_batch_comes_back(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    first = writer.write([transaction("t1", device="d", event_time=NOON)])
    assert first.entities["Device"]["d"].last_seen_before is None
    late = writer.write([transaction("t2", device="d", event_time=NOON - MINUTE)])
    assert late.entities["Device"]["d"].last_seen_before == NOON
    (row,) = graph.read("MATCH (d:Device) RETURN d.first_seen AS first, d.last_seen AS last")
    assert row == {"first": NOON - MINUTE, "last": NOON}


def test_events_at_one_moment_are_counted(graph: Graph) -> None:
    written = GraphWriter(graph, SETTINGS).write([transaction(f"t{n}", "c", device=f"d{n}") for n in range(3)])
    assert written.touches["Card"]["hmac:c"] == [NOON]
    assert written.entities["Card"]["hmac:c"].events == 3
    assert written.entities["Device"]["d0"].events == 1


def test_a_refresh_that_changes_nothing_is_not_sent(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = GraphWriter(graph, SETTINGS)
    writer.write([everything("t1", "c1", 0)])
    sent: list[str] = []
    run = Tx.run

    def noted(tx: Tx, query: str, **parameters: Any) -> list[Row]:
        sent.append(query)
        return run(tx, query, **parameters)

    monkeypatch.setattr(Tx, "run", noted)
    same_minute = msgspec.structs.replace(everything("t2", "c1", 0), event_time=NOON + 40_000)
    writer.write([same_minute])
    assert not any("(a)-[r:" in query for query in sent)
    writer.write([everything("t3", "c1", 1)])
    assert any("(a)-[r:" in query for query in sent)


def test_an_event_that_the_graph_refuses_is_found_and_the_others_are_written(graph: Graph) -> None:
    good = [transaction(f"t{i}", f"c{i}") for i in range(20)]
    bad = msgspec.structs.replace(transaction("bad"), amount=2**70)  # no engine has such an integer
    written = GraphWriter(graph, SETTINGS).write([*good[:13], bad, *good[13:]])
    assert written.accepted == good
    assert [(event, error.reason) for event, error in written.refused] == [(bad, "refused_by_graph")]
    assert graph.read("MATCH (t:Transaction) RETURN count(t) AS n") == [{"n": 20}]


def test_a_graph_that_refuses_everything_blames_no_event(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ServiceError("disk full")

    writer = GraphWriter(graph, SETTINGS)
    monkeypatch.setattr(graph, "write", refuse)
    with pytest.raises(ServiceError, match="disk full"):
        writer.write([transaction("t1")])


def test_what_was_deleted_meanwhile_is_not_known_any_more(graph: Graph) -> None:
    writer, day = GraphWriter(graph, SETTINGS), 24 * 60 * MINUTE
    writer.write([transaction("t1", device="d")])
    graph.write(
        lambda tx: tx.run("MATCH ()-[u:USED]->() DELETE u")
    )  # as retention does, this worker's or another's
    for number, minutes in enumerate((0, -30), start=2):  # the second is late
        writer.write([transaction(f"t{number}", device="d", event_time=NOON + 100 * day + minutes * MINUTE)])
    times = graph.read("MATCH ()-[u:USED]->() RETURN u.first_seen AS first, u.last_seen AS last")
    assert times == [{"first": NOON + 100 * day - 30 * MINUTE, "last": NOON + 100 * day}]


def test_the_checkpoint_is_part_of_the_batch(graph: Graph) -> None:
    checkpoints = Checkpoints(graph, "group", "owner")
    checkpoints.claim(["p/0"])
    mark = BatchMark(checkpoints, "written", {"p/0": 2})
    writer = GraphWriter(graph, SETTINGS)
    batch = [transaction("t1"), transaction("t2")]
    assert writer.write(batch, mark).accepted == batch
    mark.committed()
    # The same batch once more, as after a crash: nothing is written, all of it is to be evaluated.
    again = GraphWriter(graph, SETTINGS).write(batch, mark)
    assert again.accepted == batch
    assert again.duplicates == []
    assert again.entities["Card"]["hmac:c1"].last_seen_before == NOON


def test_a_worker_that_lost_its_partition_cannot_write(graph: Graph) -> None:
    old, new = Checkpoints(graph, "group", "old"), Checkpoints(graph, "group", "new")
    old.claim(["p/0"])
    new.claim(["p/0"])
    with pytest.raises(Fenced):
        GraphWriter(graph, SETTINGS).write([transaction("t1")], BatchMark(old, "written", {"p/0": 1}))
    assert graph.read("MATCH (t:Transaction) RETURN count(t) AS n") == [{"n": 0}]


events = st.lists(
    st.builds(
        everything, st.sampled_from([f"t{i}" for i in range(12)]), st.sampled_from("xyzvw"), st.integers(0, 9)
    ),
    max_size=12,
    unique_by=lambda t: t.transaction_id,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_and_batches_do_not_change_the_graph(
    graph: Graph, stream: list[Transaction], random: Any, size: int
) -> None:
    emptied(graph)
    GraphWriter(graph, SETTINGS).write(stream)
    expected = contents(graph)
    emptied(graph)
    shuffled = list(stream)
    random.shuffle(shuffled)
    writer = GraphWriter(graph, SETTINGS)
    for start in range(0, len(shuffled), size):
        writer.write(shuffled[start : start + size])
    assert contents(graph) == expected
