"""The peel against a slow, obvious one; rings that no rule names; and honest crowds that must stay quiet."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import chain, combinations
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.events import Entity, Transaction
from streaming.dense_block import Block, DenseBlockSearch, DensitySettings, peel
from streaming.recent import RecentTransactions
from tests.transactions import MINUTE, NOON, transaction

HOUR = 60 * MINUTE
SETTINGS = DensitySettings()

#: Binary fractions: sums are exact in any order.
weights = st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0])
graphs = st.dictionaries(
    st.integers(0, 5).map(lambda n: Entity("Card", str(n))),
    st.dictionaries(st.integers(0, 4).map(lambda n: Entity("Device", str(n))), weights, min_size=1),
    max_size=6,
)


def as_graph(edges: dict[Entity, dict[Entity, float]]) -> nx.Graph:
    graph = nx.Graph()
    for card, shared in edges.items():
        for end, weight in shared.items():
            graph.add_edge(card, end, weight=weight)
    return graph


def density(graph: nx.Graph) -> float:
    return graph.size("weight") / len(graph) if graph else 0.0


def peeled_slowly(graph: nx.Graph, enough: float) -> set[Entity]:
    left = graph.copy()
    while left:
        least = min((weight, node) for node, weight in left.degree(weight="weight"))
        if least[0] >= enough and density(left) >= enough:
            break
        left.remove_node(least[1])
    return set(left)


@settings(deadline=None)
@given(graphs, st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0]))
def test_the_peel_is_the_greedy_one(edges: dict[Entity, dict[Entity, float]], enough: float) -> None:
    graph = as_graph(edges)
    found, dense = peel(edges, enough)
    assert found == peeled_slowly(graph, enough)
    assert dense == density(graph.subgraph(found))


@settings(deadline=None)
@given(graphs, st.sampled_from([0.125, 0.25, 0.5, 1.0]))
def test_nothing_twice_as_dense_as_asked_is_missed(
    edges: dict[Entity, dict[Entity, float]], enough: float
) -> None:
    graph = as_graph(edges)
    subsets = chain.from_iterable(combinations(graph, size) for size in range(1, len(graph) + 1))
    densest = max((density(graph.subgraph(subset)) for subset in subsets), default=0.0)
    found, _ = peel(edges, enough)
    if densest >= 2 * enough:
        assert found
    if densest < enough:
        assert not found


def watched(transactions: Iterable[Transaction], hubs: Iterable[Entity] = ()) -> list[Block]:
    """The blocks found while transactions come in, in order of time."""
    recent = RecentTransactions(10 * SETTINGS.half_life_ms, limit=100_000)
    search = DenseBlockSearch(recent, SETTINGS)
    for hub in hubs:
        recent.mark_hub(hub)
    found = []
    for each in sorted(transactions, key=lambda each: (each.event_time, each.transaction_id)):
        recent.advance(each.event_time)
        if recent.add(each) and (block := search.around(Entity("Card", each.card), each.event_time)):
            found.append(block)
    return found


def ring(
    cards: int = 8, *, owners: int | None = None, step_ms: int = 5 * MINUTE, **fields: Any
) -> list[Transaction]:
    """Cards on two machines that ship to two drops, from connections of their own: no rule's typology.

    Each has an owner of its own, unless there are fewer.
    """
    return [
        transaction(
            f"ring {n}",
            f"ring {n}",
            event_time=NOON + n * step_ms,
            account=f"account {n % (owners or cards)}",
            device=f"machine {n % 2}",
            shipping_address=f"drop {n // 3 % 2}",
            merchant=f"shop {n}",
            **fields,
        )
        for n in range(cards)
    ]


def crowd(count: int, span_ms: int, rng: random.Random, **fields: Any) -> list[Transaction]:
    """So many customers in a span, each with a card, account and mailbox of their own unless fields say other.

    A field is a value for everybody, or a function of the customer's number.
    """
    own: dict[str, Any] = {
        "account": lambda n: f"account {n}",
        "device": lambda n: f"device {n}",
        "email": lambda n: f"mail {n}",
        "ip": lambda n: f"ip {n}",
        "shipping_address": lambda n: f"home {n}",
        "merchant": lambda n: f"shop {n % 7}",
        **fields,
    }
    return [
        transaction(
            f"crowd {n}",
            f"crowd {n}",
            event_time=NOON + rng.randrange(span_ms),
            **{name: value(n) if callable(value) else value for name, value in own.items()},
        )
        for n in range(count)
    ]


def test_a_ring_that_no_rule_names_is_found_whole() -> None:
    block = watched(ring())[-1]
    assert block.cards == {Entity("Card", f"hmac:ring {n}") for n in range(8)}
    assert set(block.shared) == {
        *(Entity("Device", f"machine {n}") for n in range(2)),
        *(Entity("Address", f"drop {n}") for n in range(2)),
    }
    assert len(block.owners) == 8
    assert [payment.id for payment in block.payments] == [f"ring {n}" for n in range(8)]
    assert block.density >= SETTINGS.min_density


def test_clients_of_a_few_agents_are_none() -> None:
    """Agents who pay with the cards of three clients each may be a ring; with those of four they are agents."""
    clients = ring(4 * SETTINGS.min_owners, owners=SETTINGS.min_owners, step_ms=MINUTE)
    three_each = watched(clients[: 3 * SETTINGS.min_owners])
    assert three_each
    assert watched(clients) == three_each


def test_one_owner_fewer_is_none() -> None:
    assert len(watched(ring(SETTINGS.min_owners))) == 1
    assert not watched(ring(SETTINGS.min_owners - 1))
    assert not watched(ring(owners=1))


def test_what_is_slow_is_not_dense() -> None:
    assert watched(ring(12))
    assert not watched(ring(12, step_ms=3 * HOUR))


def test_camouflage_at_a_popular_merchant_hides_nothing() -> None:
    rng = random.Random(1)
    camouflage = [
        transaction(
            f"camouflage {n}",
            f"ring {n % 8}",
            event_time=NOON + rng.randrange(40 * MINUTE),
            account=f"account {n % 8}",
            device=f"own {n % 8}",
            merchant="popular",
        )
        for n in range(24)
    ]
    customers = crowd(300, 40 * MINUTE, rng, merchant="popular")
    block = watched([*ring(), *camouflage, *customers])[-1]
    assert block.cards == {Entity("Card", f"hmac:ring {n}") for n in range(8)}
    assert {payment.id for payment in block.payments} == {f"ring {n}" for n in range(8)}


def test_testers_share_a_device_and_declines() -> None:
    def tested(status: str) -> list[Transaction]:
        return [
            transaction(f"{n}", f"{n}", event_time=NOON + n * MINUTE, device="bot", ip="1.2.3.4", status=status)
            for n in range(10)
        ]

    assert watched(tested("declined"))
    assert not watched(tested("approved"))


def test_an_address_of_the_network_is_never_enough() -> None:
    stolen = [
        transaction(f"{n}", f"{n}", event_time=NOON + n * 1_000, ip="1.2.3.4", merchant="shop", status="declined")
        for n in range(40)
    ]
    assert not watched(stolen)


def test_a_hub_holds_nothing_together() -> None:
    assert watched(ring())
    assert not watched(ring(), hubs=[Entity("Address", "drop 0"), Entity("Address", "drop 1")])


def test_mailboxes_shared_by_accounts_tie_their_cards() -> None:
    accounts = [
        transaction(
            f"{n}",
            f"{n}",
            event_time=NOON + n * MINUTE,
            account=f"account {n}",
            email=f"mail {n % 2}",
            phone=f"phone {n // 2 % 2}",
            merchant="shop",
        )
        for n in range(8)
    ]
    block = watched(accounts)[-1]
    assert {entity.label for entity in block.shared} == {"Email", "Phone", "Merchant"}
    assert len(block.cards) == 8


def test_only_what_was_known_at_a_time_counts_whatever_the_order() -> None:
    whole = ring(12)
    blocks = []
    for order in (whole, whole[::-1], random.Random(5).sample(whole, len(whole))):
        recent = RecentTransactions(10 * HOUR, limit=100)
        for each in order:
            assert recent.add(each)
            assert not recent.add(each)
        search = DenseBlockSearch(recent, SETTINGS)
        blocks.append([search.around(Entity("Card", each.card), each.event_time) for each in whole])
    assert blocks[0] == blocks[1] == blocks[2]
    assert [block.cards for block in blocks[0] if block] == [block.cards for block in watched(whole)]


def shopped(clients: int, **fields: Any) -> list[Transaction]:
    """An agent's orders with the cards of many clients, who within the same hours pay for themselves as well."""
    return [
        transaction(
            f"{who} {n}",
            f"client {n}",
            event_time=NOON + n * 5 * MINUTE + lag,
            device=device,
            email=mail,
            phone=mail,
            shipping_address=f"home {n}",
            merchant="boutique",
            **{"account": account, **fields},
        )
        for n in range(clients)
        for who, lag, account, device, mail in (
            ("agent", 0, "agent", "agent", "agent"),
            ("client", MINUTE, f"client {n}", f"phone {n}", f"client {n}"),
        )
    ]


def test_an_agent_and_the_clients_are_no_ring() -> None:
    assert not watched(shopped(12))
    assert not watched(shopped(12, account=None))


HONEST: dict[str, Callable[[int, random.Random], list[Transaction]]] = {
    "a family on one tablet": lambda _, rng: crowd(
        24,
        3 * HOUR,
        rng,
        account=lambda i: f"parent or child {i % 5}",
        email=lambda i: f"mail {i % 5}",
        phone="landline",
        device="tablet",
        ip="home",
        shipping_address="home",
    ),
    "an office": lambda n, rng: crowd(n, HOUR, rng, ip="office", merchant="canteen"),
    "an office where everything is shipped to": lambda n, rng: crowd(
        n, HOUR, rng, ip="office", shipping_address="office", merchant="flowers"
    ),
    "a carrier": lambda n, rng: crowd(10 * n, HOUR, rng, ip=lambda i: f"nat {i % 8}"),
    "a kiosk": lambda n, rng: crowd(n, HOUR, rng, device="kiosk", ip="mall", merchant="cinema"),
    "a call centre": lambda n, rng: crowd(
        n, HOUR, rng, device=lambda i: f"agent {i % 3}", ip="centre", merchant="catalogue"
    ),
    "a student hall": lambda n, rng: crowd(n, HOUR, rng, ip="campus", shipping_address="hall", merchant="pizza"),
    "a student hall in an issuer's outage": lambda n, rng: crowd(
        n, HOUR, rng, ip="campus", shipping_address="hall", status="declined"
    ),
    "a flash sale": lambda n, rng: crowd(10 * n, 10 * MINUTE, rng, ip=lambda i: f"nat {i % 4}", merchant="sale"),
    "a concert": lambda n, rng: crowd(10 * n, MINUTE, rng, merchant="tickets", shipping_address=None),
    "a popular merchant's checkout": lambda n, rng: crowd(
        10 * n, HOUR, rng, device="checkout", channel="pos", status="declined"
    ),
    "a fingerprint that many devices have": lambda n, rng: crowd(n, HOUR, rng, device="common"),
    "gifts to one address": lambda n, rng: crowd(n, HOUR, rng, shipping_address="the wedding"),
}


@pytest.mark.parametrize("kind", HONEST)
@settings(deadline=None, max_examples=6)
@given(count=st.integers(6, 49), seed=st.integers(0, 2**32))
def test_honest_crowds_are_quiet(kind: str, count: int, seed: int) -> None:
    assert not watched(HONEST[kind](count, random.Random(seed)))
