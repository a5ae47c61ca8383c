"""Retention, on every engine: what is left is what the younger transactions alone would have made."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.driver import Graph
from graph.events import Transaction
from graph.retention import Expired, expire
from graph.schema import HOUR_MS, NEVER
from graph.writer import GraphWriter, WriterSettings
from tests.transactions import MINUTE, NOON, transaction

SETTINGS = WriterSettings(hub_caps={"Account": 2, "Device": 2, "Email": 2, "Merchant": 2})


def write(graph: Graph, transactions: Sequence[Transaction]) -> None:
    GraphWriter(graph, SETTINGS).write(transactions)


def expire_before(graph: Graph, before_ms: int, **bounds: Any) -> Expired:
    return expire(graph, before_ms, hub_caps=SETTINGS.hub_caps, **bounds)


def emptied(graph: Graph) -> None:
    graph.write(lambda tx: tx.run("MATCH (n) WHERE NOT n:Ledger DETACH DELETE n"))


def shape(graph: Graph) -> tuple[list[Any], list[Any]]:
    """Nodes with their counters and tallies with their sums, and relationships with their last times.

    First times are left out: what has expired may be remembered in them.
    """
    nodes = graph.read(
        "MATCH (n) WHERE NOT n:Ledger RETURN labels(n)[0] AS label, n.id AS id, n.degree AS degree, "
        "coalesce(n.identifiers, 0) AS identifiers, coalesce(n.senders, 0) AS senders, n.is_hub AS is_hub, "
        "[n.transactions, n.declined, n.amount] AS tallied"
    )
    relationships = graph.read(
        "MATCH (a)-[r]->(b) RETURN type(r) AS type, a.id AS a, b.id AS b, r.last_seen AS last_seen"
    )
    return (
        sorted(tuple(row.values()) for row in nodes),
        sorted(tuple(row.values()) for row in relationships),
    )


def labels(graph: Graph) -> dict[str, int]:
    rows = graph.read(
        "MATCH (n) WHERE NOT n:Ledger AND NOT n:Hour RETURN labels(n)[0] AS label, count(*) AS n ORDER BY label"
    )
    return {row["label"]: row["n"] for row in rows}


def state(graph: Graph, label: str, entity_id: str) -> dict[str, Any]:
    return graph.read(
        f"MATCH (n:{label} {{id: $id}}) "
        "RETURN n.degree AS degree, n.is_hub AS is_hub, n.hub_since AS hub_since, n.first_seen AS first_seen",
        id=entity_id,
    )[0]


def full(transaction_id: str, person: int, time: int, **fields: Any) -> Transaction:
    return transaction(
        transaction_id,
        f"c{person}",
        event_time=time,
        **{
            "account": f"a{person}",
            "device": "d",
            "ip": f"10.0.0.{person}",
            "merchant": "m",
            "email": "e",
            "phone": f"p{person}",
            "shipping_address": f"s{person}",
            "billing_address": "b",
            "counterparty": "r",
            "channel": "transfer",
            **fields,
        },
    )


def test_everything_old_goes_and_everything_young_stays(graph: Graph) -> None:
    write(graph, [full("old", 1, NOON - 1)])
    young = [full("young", 2, NOON)]
    write(graph, young)

    assert expire_before(graph, NOON) == Expired(transactions=1, relationships=9, entities=5)

    left = shape(graph)
    emptied(graph)
    write(graph, young)
    assert left == shape(graph)
    assert expire_before(graph, NOON) == Expired()


def test_whole_hours_expire(graph: Graph) -> None:
    write(graph, [full("t", 1, NOON)])
    assert expire_before(graph, NOON + HOUR_MS - 1) == Expired()
    assert expire_before(graph, NOON + HOUR_MS).transactions == 1
    assert labels(graph) == {}


def test_a_relationship_lives_as_long_as_its_last_transaction(graph: Graph) -> None:
    write(graph, [full("old", 1, NOON - HOUR_MS), full("young", 1, NOON + MINUTE)])
    expired = expire_before(graph, NOON)
    assert (expired.transactions, expired.relationships, expired.entities) == (1, 0, 0)
    assert state(graph, "Device", "d") == {
        "degree": 1,
        "is_hub": False,
        "hub_since": NEVER,
        "first_seen": NOON - HOUR_MS,
    }


def test_an_entity_named_by_an_account_or_a_transfer_alone_goes_too(graph: Graph) -> None:
    write(graph, [transaction("t", "c1", account="a1", counterparty="a2", channel="transfer")])
    assert expire_before(graph, NOON + HOUR_MS) == Expired(transactions=1, relationships=2, entities=3)
    assert labels(graph) == {}


def test_a_hub_is_one_until_its_degree_has_fallen_to_the_cap(graph: Graph) -> None:
    people = [transaction(f"t{n}", f"c{n}", device="d", event_time=NOON + n * HOUR_MS) for n in range(4)]
    write(graph, people)
    since = state(graph, "Device", "d")["hub_since"]
    assert since < NEVER

    expire_before(graph, NOON + HOUR_MS)
    assert state(graph, "Device", "d") == {
        "degree": 3, "is_hub": True, "hub_since": since, "first_seen": NOON
    }  # fmt: skip

    expire_before(graph, NOON + 2 * HOUR_MS)
    assert state(graph, "Device", "d") == {
        "degree": 2, "is_hub": False, "hub_since": NEVER, "first_seen": NOON
    }  # fmt: skip


def test_an_account_is_a_hub_until_few_enough_have_sent_it_money(graph: Graph) -> None:
    write(graph, [full(f"t{n}", n, NOON + n * HOUR_MS) for n in range(4)])
    expire_before(graph, NOON + HOUR_MS)
    assert state(graph, "Account", "r")["is_hub"]
    expire_before(graph, NOON + 2 * HOUR_MS)
    assert not state(graph, "Account", "r")["is_hub"]
    assert graph.read("MATCH (a:Account {id: 'r'}) RETURN a.senders AS senders") == [{"senders": 2}]


def test_a_member_of_a_ring_stays_without_its_relationships(graph: Graph) -> None:
    write(graph, [transaction("t", "c1", device="d", ip="10.0.0.1")])
    graph.write(
        lambda tx: tx.run(
            "MATCH (d:Device {id: 'd'}) CREATE (r:Ring {id: 'r'}) CREATE (d)-[:MEMBER_OF {role: 'core'}]->(r)"
        )
    )
    expire_before(graph, NOON + HOUR_MS)
    assert labels(graph) == {"Device": 1, "Ring": 1}
    assert graph.read("MATCH (d)-[m]->(r) RETURN d.degree AS degree, type(m) AS type, m.role AS role") == [
        {"degree": 0, "type": "MEMBER_OF", "role": "core"}
    ]


def test_small_batches_stop_when_told_and_go_on_later(graph: Graph) -> None:
    write(graph, [full(f"t{n}", n % 3, NOON + n % 2 * HOUR_MS) for n in range(9)])
    first = expire_before(graph, NOON + 2 * HOUR_MS, batch=2, max_batches=3)
    assert (first.transactions, first.complete) == (6, False)
    second = expire_before(graph, NOON + 2 * HOUR_MS, batch=2)
    assert (second.transactions, second.complete) == (3, True)
    assert first.relationships + second.relationships == 27
    assert labels(graph) == {}


def test_what_comes_late_expires_with_the_next_call(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    writer.write([full("t1", 1, NOON)])
    writer.write([transaction("t9", "c9", event_time=NOON + 3 * HOUR_MS)])
    expire_before(graph, NOON + HOUR_MS)
    writer.write([full("t2", 1, NOON), full("t3", 2, NOON - 20 * 365 * 24 * HOUR_MS)])
    assert expire_before(graph, NOON + HOUR_MS).transactions == 2
    assert labels(graph) == {"Card": 1, "Transaction": 1}


def test_who_comes_back_is_counted_anew(graph: Graph) -> None:
    writer = GraphWriter(graph, SETTINGS)
    writer.write([full("t1", 1, NOON)])
    expire_before(graph, NOON + HOUR_MS)
    returned = [full("t2", 1, NOON + 2 * HOUR_MS)]
    writer.write(returned)

    left = shape(graph)
    emptied(graph)
    write(graph, returned)
    assert left == shape(graph)


def test_writers_go_on_meanwhile(graph: Graph) -> None:
    write(graph, [full(f"old{n}", n % 7, NOON + n * MINUTE) for n in range(60)])
    young = [full(f"young{n}", n % 11, NOON + 5 * HOUR_MS + n * MINUTE) for n in range(60)]

    def stream() -> None:
        writer = GraphWriter(graph, SETTINGS)
        for start in range(0, len(young), 10):
            writer.write(young[start : start + 10])

    other = threading.Thread(target=stream)
    other.start()
    expire_before(graph, NOON + 2 * HOUR_MS, batch=5)
    other.join()
    expire_before(graph, NOON + 2 * HOUR_MS)

    left = shape(graph)
    emptied(graph)
    write(graph, young)
    assert left == shape(graph)


def test_two_workers_may_expire_at_once(graph: Graph) -> None:
    transactions = [full(f"t{n}", n % 4, NOON + n % 3 * HOUR_MS + n * MINUTE) for n in range(60)]
    write(graph, transactions)
    other = threading.Thread(target=lambda: expire_before(graph, NOON + 2 * HOUR_MS, batch=7))
    other.start()
    expire_before(graph, NOON + 2 * HOUR_MS, batch=7)
    other.join()

    left = shape(graph)
    emptied(graph)
    write(graph, [t for t in transactions if t.event_time >= NOON + 2 * HOUR_MS])
    assert left == shape(graph)


payments = st.builds(
    lambda person, hour, fields: (person, hour, fields),
    st.integers(0, 4),
    st.integers(0, 5),
    st.fixed_dictionaries(
        {},
        optional={
            "account": st.sampled_from(["a0", "a1", None]),
            "counterparty": st.sampled_from(["a0", "a1", None]),
            "device": st.sampled_from(["d0", "d1"]),
            "merchant": st.sampled_from(["m0", "m1", None]),
            "email": st.sampled_from(["e0", "e1", None]),
            "phone": st.none(),
            "ip": st.none(),
        },
    ),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(payments, min_size=1, max_size=25), cutoff=st.integers(0, 6), batch=st.integers(1, 9))
def test_what_is_left_is_what_the_younger_ones_make(
    graph: Graph, drawn: list[tuple[int, int, dict[str, str | None]]], cutoff: int, batch: int
) -> None:
    transactions = [
        full(f"t{number}", person, NOON + hour * HOUR_MS + number * MINUTE, **fields)
        for number, (person, hour, fields) in enumerate(drawn)
    ]
    before = NOON + cutoff * HOUR_MS
    emptied(graph)
    write(graph, transactions)
    expired = expire_before(graph, before, batch=batch)
    left = shape(graph)

    young = [t for t in transactions if t.event_time >= before]
    emptied(graph)
    write(graph, young)
    assert expired.transactions == len(transactions) - len(young)
    assert left == shape(graph)
