"""Bounded neighbourhoods, on every engine."""

from __future__ import annotations

import pytest

from graph.driver import Graph
from graph.events import Entity, Transaction
from graph.subgraph import Edge, Subgraph, neighbourhood
from graph.writer import GraphWriter, WriterSettings
from tests.transactions import MINUTE, NOON, transaction

CARD = Entity("Card", "hmac:c1")


def write(graph: Graph, *transactions: Transaction) -> None:
    GraphWriter(graph, WriterSettings(hub_caps={"Account": 3, "Merchant": 3})).write(transactions)


def hops(found: Subgraph) -> dict[str, int]:
    return {f"{node.entity.label}:{node.entity.id}": node.hop for node in found.nodes}


def test_every_kind_of_relationship_is_walked_in_both_directions(graph: Graph) -> None:
    identity = {"email": "e", "phone": "p", "shipping_address": "s"}
    write(
        graph,
        transaction("t1", "c1", account="a1", device="d", ip="10.0.0.1", merchant="m", **identity),
        transaction("t2", "c2", account="a2", event_time=NOON + MINUTE, device="d", email="e"),
        transaction("t3", "c3", account="a3", counterparty="a1", channel="transfer"),
        transaction("t4", "c1", account="a1", counterparty="a4", channel="transfer"),
    )
    found = neighbourhood(graph, CARD, hops=3)
    assert hops(found) == {
        "Card:hmac:c1": 0,
        "Account:a1": 1,
        "Device:d": 1,
        "IP:10.0.0.1": 1,
        "Merchant:m": 1,
        "Card:hmac:c2": 2,
        "Address:s": 2,
        "Email:e": 2,
        "Phone:p": 2,
        "Account:a2": 3,
        "Account:a3": 2,
        "Account:a4": 2,
        "Card:hmac:c3": 3,
    }
    assert len(found.relationships) == 13
    assert Edge("USED", Entity("Card", "hmac:c2"), Entity("Device", "d"), NOON + MINUTE, NOON + MINUTE) in (
        found.relationships
    )
    assert not found.truncated


def test_hops_bound_the_reach(graph: Graph) -> None:
    write(graph, transaction("t1", "c1", device="d"), transaction("t2", "c2", device="d", ip="10.0.0.1"))
    assert hops(neighbourhood(graph, CARD, hops=0)) == {"Card:hmac:c1": 0}
    assert hops(neighbourhood(graph, CARD, hops=1)) == {"Card:hmac:c1": 0, "Device:d": 1}
    assert hops(neighbourhood(graph, CARD, hops=2)) == {"Card:hmac:c1": 0, "Device:d": 1, "Card:hmac:c2": 2}


def test_a_hub_is_a_leaf_and_the_cut_is_told(graph: Graph) -> None:
    write(graph, *(transaction(f"t{n}", f"c{n}", merchant="m") for n in range(1, 5)))
    found = neighbourhood(graph, CARD, hops=2)
    assert hops(found) == {"Card:hmac:c1": 0, "Merchant:m": 1}
    assert found.nodes[1].is_hub
    assert found.nodes[1].degree == 4
    assert found.truncated
    assert not neighbourhood(graph, CARD, hops=1).truncated

    at_hub = neighbourhood(graph, Entity("Merchant", "m"))
    assert hops(at_hub) == {"Merchant:m": 0}
    assert at_hub.truncated


def test_an_account_that_many_send_to_is_a_leaf(graph: Graph) -> None:
    sent = {"counterparty": "r", "channel": "transfer"}
    write(graph, *(transaction(f"t{n}", f"c{n}", account=f"a{n}", **sent) for n in range(1, 5)))
    found = neighbourhood(graph, CARD, hops=3)
    assert hops(found) == {"Card:hmac:c1": 0, "Account:a1": 1, "Account:r": 2}
    assert found.nodes[-1].senders == 4
    assert found.truncated


def test_one_card_fewer_and_the_merchant_is_passed(graph: Graph) -> None:
    write(graph, *(transaction(f"t{n}", f"c{n}", merchant="m") for n in range(1, 4)))
    found = neighbourhood(graph, CARD, hops=2)
    assert len(found.nodes) == 4
    assert not found.truncated


def test_an_account_of_a_thousand_cards_is_not_expanded_though_it_is_no_hub(graph: Graph) -> None:
    write(graph, *(transaction(f"t{n}", f"c{n}", account="guest") for n in range(1_001)))
    found = neighbourhood(graph, CARD)
    assert hops(found) == {"Card:hmac:c1": 0, "Account:guest": 1}
    assert found.truncated


def test_of_many_neighbours_the_most_recent_are_taken(graph: Graph) -> None:
    times = {"x": 1, "b": 3, "a": 3, "c": 2}
    write(
        graph,
        *(
            transaction(f"t{name}", "c1", device=name, event_time=NOON + minute * MINUTE)
            for name, minute in times.items()
        ),
    )
    found = neighbourhood(graph, CARD, hops=1, per_node=3)
    assert [node.entity.id for node in found.nodes] == ["hmac:c1", "a", "b", "c"]
    assert found.truncated
    assert not neighbourhood(graph, CARD, hops=1, per_node=4).truncated


def test_at_most_so_many_nodes_and_no_relationship_to_a_missing_one(graph: Graph) -> None:
    write(
        graph,
        transaction("t1", "c1", device="d1", ip="10.0.0.1", event_time=NOON + MINUTE),
        transaction("t2", "c1", device="d2"),
        transaction("t3", "c2", device="d1", event_time=NOON + MINUTE),
    )
    found = neighbourhood(graph, CARD, max_nodes=3)
    assert hops(found) == {"Card:hmac:c1": 0, "Device:d1": 1, "IP:10.0.0.1": 1}
    assert [edge.end.id for edge in found.relationships] == ["d1", "10.0.0.1"]
    assert found.truncated


def test_the_past_is_seen_as_it_was(graph: Graph) -> None:
    write(
        graph,
        transaction("t1", "c1", device="d"),
        transaction("t2", "c1", device="d", event_time=NOON + 10 * MINUTE),
        transaction("t3", "c2", device="d", event_time=NOON + 5 * MINUTE),
        transaction("t4", "c3", device="d", event_time=NOON + 9 * MINUTE),
    )
    found = neighbourhood(graph, CARD, until_ms=NOON + 5 * MINUTE)
    assert hops(found) == {"Card:hmac:c1": 0, "Device:d": 1, "Card:hmac:c2": 2}
    assert {edge.last_seen for edge in found.relationships} == {NOON + 5 * MINUTE}
    assert {node.last_seen for node in found.nodes} == {NOON + 5 * MINUTE}
    assert neighbourhood(graph, CARD, until_ms=NOON - 1).nodes == []


def test_an_unknown_entity_has_no_neighbourhood(graph: Graph) -> None:
    assert neighbourhood(graph, CARD) == Subgraph([], [], truncated=False)


def test_only_entities_have_a_neighbourhood(graph: Graph) -> None:
    with pytest.raises(ValueError, match="Ring"):
        neighbourhood(graph, Entity("Ring", "r"))
