"""Tallies, on every engine: sums that neither order, redelivery nor retention can bring out of step."""

from __future__ import annotations

from typing import Any

import pytest

from graph.driver import Graph
from graph.events import Transaction
from graph.retention import expire
from graph.schema import HOUR_MS
from graph.tallies import WEEK_MS
from graph.writer import GraphWriter
from tests.transactions import NOON, transaction

HOUR = NOON // HOUR_MS
WEEK = NOON // WEEK_MS


def tallies(graph: Graph) -> dict[str, dict[str, Any]]:
    rows = graph.read("MATCH (n:Tally) RETURN n.id AS id, properties(n) AS sums")
    return {row["id"]: {name: value for name, value in row["sums"].items() if name != "id"} for row in rows}


def stream() -> list[Transaction]:
    """A merchant's two hours, and an account's two weeks in two currencies."""
    told = [
        (NOON, 1_000, "EUR", "approved"),
        (NOON + 1, 2_000, "EUR", "declined"),
        (NOON + 2, 300, "JPY", "approved"),
        (NOON + 3, 4_000, "EUR", "refunded"),
        (NOON + HOUR_MS, 5_000, "EUR", "approved"),
        (NOON + WEEK_MS, 6_000, "EUR", "approved"),
    ]
    return [
        transaction(
            f"t{n}", merchant="m", account="a", event_time=time, amount=amount, currency=currency, status=status
        )
        for n, (time, amount, currency, status) in enumerate(told)
    ]


EXPECTED = {
    f"m|{HOUR}": {"transactions": 4, "declined": 1},
    f"m|{HOUR + 1}": {"transactions": 1, "declined": 0},
    f"m|{HOUR + 168}": {"transactions": 1, "declined": 0},
    f"a|{WEEK}|EUR": {"transactions": 2, "amount": 6_000},
    f"a|{WEEK}|JPY": {"transactions": 1, "amount": 300},
    f"a|{WEEK + 1}|EUR": {"transactions": 1, "amount": 6_000},
}


@pytest.mark.parametrize("size", [1, 4, 6])
def test_sums_are_kept_per_merchant_and_hour_and_per_account_week_and_currency(graph: Graph, size: int) -> None:
    writer, events = GraphWriter(graph), stream()
    for start in range(0, len(events), size):
        writer.write(events[start : start + size])
    assert tallies(graph) == EXPECTED


def test_neither_order_nor_redelivery_changes_a_sum(graph: Graph) -> None:
    writer, events = GraphWriter(graph), stream()
    writer.write([*events[3:], *events[4:]])
    writer.write(events[::-1])
    GraphWriter(graph).write(events)
    assert tallies(graph) == EXPECTED


def test_what_is_refused_is_not_counted(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write(stream())
    conflicting = transaction("t0", merchant="m", account="a", amount=9_999)
    assert writer.write([conflicting]).refused
    assert tallies(graph) == EXPECTED


def test_who_names_neither_merchant_nor_account_is_counted_nowhere(graph: Graph) -> None:
    GraphWriter(graph).write([transaction("t", device="d")])
    assert tallies(graph) == {}


def test_retention_takes_away_what_it_deletes_and_no_more(graph: Graph) -> None:
    GraphWriter(graph).write(stream())
    expire(graph, NOON + HOUR_MS, hub_caps={}, batch=3)
    assert tallies(graph) == {
        f"m|{HOUR + 1}": EXPECTED[f"m|{HOUR + 1}"],
        f"m|{HOUR + 168}": EXPECTED[f"m|{HOUR + 168}"],
        f"a|{WEEK}|EUR": {"transactions": 1, "amount": 5_000},
        f"a|{WEEK + 1}|EUR": EXPECTED[f"a|{WEEK + 1}|EUR"],
    }
    expire(graph, NOON + 2 * WEEK_MS, hub_caps={}, batch=1)
    assert tallies(graph) == {}


def test_what_comes_after_its_tally_expired_expires_with_its_own(graph: Graph) -> None:
    writer = GraphWriter(graph)
    writer.write(stream())
    expire(graph, NOON + 2 * WEEK_MS, hub_caps={})
    writer.write([transaction("late", merchant="m", account="a")])
    assert tallies(graph)[f"m|{HOUR}"] == {"transactions": 1, "declined": 0}
    expire(graph, NOON + 2 * WEEK_MS, hub_caps={})
    assert tallies(graph) == {}
