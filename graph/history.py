"""Reads back what memory held of the last hours: transactions, what accounts are known by, and hubs.

Transactions are sought hour by hour, the newest first; nothing here expands a hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from graph.driver import Graph, Row
from graph.events import Entity, Transaction
from graph.schema import HOUR_MS

_AT_ONCE = 2_000

_HOURS = "MATCH (h:Hour) WHERE h.id >= $since RETURN h.id AS hour ORDER BY hour DESC"

_TRANSACTIONS = (
    "MATCH (t:Transaction {hour: $hour}) USING INDEX SEEK t:Transaction(hour) "
    "WITH t ORDER BY t.time DESC, t.id LIMIT $limit "
    "MATCH (t)<-[:MADE]-(c:Card) OPTIONAL MATCH (t)-[:SHIPPED_TO]->(a:Address) "
    "RETURN t.id AS transaction_id, t.time AS event_time, c.id AS card, t.status AS status, t.channel AS channel, "
    "t.account AS account, t.merchant_hour AS merchant, t.device_hour AS device, t.ip_hour AS ip, "
    "a.id AS shipping_address"
)

_HELD_IN_BUCKETS = ("merchant", "device", "ip")


def transactions_since(graph: Graph, since: int, most: int) -> list[Transaction]:
    """The transactions from the hour of a time (epoch ms) on, at most so many, the newest; sorted by time and id.

    Of each there is what ties it to entities, its status and its channel; its amount and digest are not read.
    """
    found: list[Transaction] = []
    for row in graph.read(_HOURS, since=since // HOUR_MS):
        if len(found) >= most:
            break
        rows = graph.read(_TRANSACTIONS, hour=row["hour"], limit=most - len(found))
        found += map(_transaction, rows)
    return sorted(found, key=lambda t: (t.event_time, t.transaction_id))


def _transaction(row: Row) -> Transaction:
    for name in _HELD_IN_BUCKETS:
        if row[name] is not None:
            row[name] = row[name].rpartition("|")[0]
    return Transaction(**row, amount=0, digest="")


def identifiers_since(
    graph: Graph, accounts: Iterable[Entity], since: int
) -> Iterator[tuple[Entity, Entity, int, int]]:
    """Accounts with their e-mails, phones and addresses seen since a time: both, and the first and last time."""
    ids = sorted(account.id for account in accounts)
    for chunk in _chunks(ids):
        for label in ("Address", "Email", "Phone"):
            rows = graph.read(
                f"UNWIND $ids AS id MATCH (a:Account {{id: id}})-[r:HAS]->(i:{label}) WHERE r.last_seen >= $since "
                "RETURN a.id AS account, i.id AS identifier, r.first_seen AS first, r.last_seen AS last",
                ids=chunk,
                since=since,
            )
            for row in rows:
                account, identifier = Entity("Account", row["account"]), Entity(label, row["identifier"])
                yield account, identifier, row["first"], row["last"]


def hubs_among(graph: Graph, entities: Iterable[Entity]) -> Iterator[tuple[Entity, int]]:
    """Those of the entities that are hubs, and since when (epoch ms)."""
    by_label: dict[str, list[str]] = {}
    for label, entity_id in sorted(entities):
        by_label.setdefault(label, []).append(entity_id)
    for label, ids in by_label.items():
        for chunk in _chunks(ids):
            for row in graph.read(
                f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE n.is_hub = true "
                "RETURN n.id AS id, n.hub_since AS since",
                ids=chunk,
            ):
                yield Entity(label, row["id"]), row["since"]


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _AT_ONCE)):
        yield chunk
