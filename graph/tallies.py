"""Tallies: what merchants and accounts usually do, as sums that the writer keeps and rules read as baselines.

A ``Tally`` stands for a whole period, counted from the epoch, and holds sums over its transactions: they come out
the same in whatever order, and in whatever batches, these were written, and retention takes away what it deletes.
A rule reads only periods that ended before its window began, so that what it expects does not depend on the batch
either. Nobody writes one without holding the lock of its merchant or account.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graph.driver import Row, Tx
from graph.events import Transaction
from graph.schema import HOUR_MS, hour_bucket

WEEK_MS = 168 * HOUR_MS


class Deleted(NamedTuple):
    """What was counted of a transaction that is gone."""

    event_time: int
    status: str
    amount: int
    currency: str
    merchant: str | None
    account: str | None


def merchant_hours(transactions: Iterable[Transaction | Deleted]) -> list[Row]:
    """Rows {id, transactions, declined} per merchant and hour, in order of id, ``<merchant>|<hour>``."""
    rows: dict[str, Row] = {}
    for t in transactions:
        if t.merchant is not None:
            key = hour_bucket(t.merchant, t.event_time)
            row = rows.setdefault(key, {"id": key, "transactions": 0, "declined": 0})
            row["transactions"] += 1
            row["declined"] += t.status == "declined"
    return [rows[key] for key in sorted(rows)]


def account_weeks(transactions: Iterable[Transaction | Deleted]) -> list[Row]:
    """Rows {id, transactions, amount} per account, week and currency, ordered by ``<account>|<week>|<currency>``.

    Approved transactions only; ``amount`` is in the currency's minor unit.
    """
    rows: dict[str, Row] = {}
    for t in transactions:
        if t.account is not None and t.status == "approved":
            key = f"{t.account}|{t.event_time // WEEK_MS}|{t.currency}"
            row = rows.setdefault(key, {"id": key, "transactions": 0, "amount": 0})
            row["transactions"] += 1
            row["amount"] += t.amount
    return [rows[key] for key in sorted(rows)]


def _added(name: str) -> str:
    return (
        "UNWIND $rows AS row MERGE (n:Tally {id: row.id}) "
        f"ON CREATE SET n.transactions = row.transactions, n.{name} = row.{name} "
        f"ON MATCH SET n.transactions = n.transactions + row.transactions, n.{name} = n.{name} + row.{name}"
    )


def _taken(name: str) -> str:
    return (
        "UNWIND $rows AS row MATCH (n:Tally {id: row.id}) "
        f"SET n.transactions = n.transactions - row.transactions, n.{name} = n.{name} - row.{name} "
        "WITH n WHERE n.transactions = 0 DELETE n"
    )


#: How the rows of each kind are made, added to what is there, and taken from it (an empty tally is deleted).
_KINDS = (
    (merchant_hours, _added("declined"), _taken("declined")),
    (account_weeks, _added("amount"), _taken("amount")),
)


def add(tx: Tx, transactions: Sequence[Transaction]) -> None:
    """Count transactions, each of which must be new."""
    for rows_of, added, _ in _KINDS:
        if rows := rows_of(transactions):
            tx.run(added, rows=rows)


def take(tx: Tx, deleted: Sequence[Deleted]) -> None:
    """Count transactions no more; a tally of nothing is deleted."""
    for rows_of, _, taken in _KINDS:
        if rows := rows_of(deleted):
            tx.run(taken, rows=rows)
