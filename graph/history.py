"""Reads back what was written: what memory held of the last hours, and all of it to learn from.

Transactions are sought hour by hour; nothing here expands a hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from graph.driver import Graph, Row
from graph.events import Entity, Label, Transaction, Verdict
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

_WITH_LABELS = (
    "MATCH (t)<-[:MADE]-(c:Card) OPTIONAL MATCH (t)-[:SHIPPED_TO]->(a:Address) "
    "OPTIONAL MATCH (p:Account {id: coalesce(t.account, '')}) "  # ArcadeDB scans the label for a null
    "CALL { WITH t MATCH (l:Label {subject: t.id}) WHERE l.kind = 'Transaction' "
    "RETURN collect([l.source, l.verdict, l.time, l.fraud_since]) AS sayings } "
    "RETURN t.id AS transaction_id, t.time AS event_time, c.id AS card, t.amount AS amount, "
    "t.currency AS currency, t.status AS status, t.channel AS channel, t.account AS account, "
    "t.merchant_hour AS merchant, t.device_hour AS device, t.ip_hour AS ip, t.email AS email, t.phone AS phone, "
    "a.id AS shipping_address, t.billing_address AS billing_address, "
    "t.digest AS digest, p.created AS account_created, sayings ORDER BY transaction_id"
)
_OF_HOUR = (
    "MATCH (t:Transaction {hour: $hour}) USING INDEX SEEK t:Transaction(hour) WHERE t.id > $after "
    f"WITH t ORDER BY t.id LIMIT $limit {_WITH_LABELS}"
)
_BY_ID = f"UNWIND $ids AS id MATCH (t:Transaction {{id: id}}) {_WITH_LABELS}"

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
        found += [_transaction({**row, "amount": 0, "digest": ""}) for row in rows]
    return sorted(found, key=lambda t: (t.event_time, t.transaction_id))


def labelled_transactions(graph: Graph) -> Iterator[tuple[Transaction, list[Label]]]:
    """Every transaction in the order of time (and of ids), with what was said of it and when."""
    for hour in sorted(row["hour"] for row in graph.read(_HOURS, since=0)):
        of_hour: list[tuple[Transaction, list[Label]]] = []
        after, full = "", True
        while full:
            rows = graph.read(_OF_HOUR, hour=hour, after=after, limit=_AT_ONCE)
            of_hour += map(_with_labels, rows)
            full = len(rows) == _AT_ONCE
            after = rows[-1]["transaction_id"] if rows else after
        yield from sorted(of_hour, key=lambda told: (told[0].event_time, told[0].transaction_id))


def transactions_by_id(graph: Graph, ids: Iterable[str]) -> Iterator[tuple[Transaction, list[Label]]]:
    """The transactions of these ids that there are, with what was said of them and when."""
    for chunk in _chunks(list(ids)):
        yield from map(_with_labels, graph.read(_BY_ID, ids=chunk))


def _with_labels(row: Row) -> tuple[Transaction, list[Label]]:
    sayings = row.pop("sayings")
    return _transaction(row), list(_labels(row["transaction_id"], sayings))


def _labels(transaction_id: str, sayings: list[tuple[str, Verdict, int, int | None]]) -> Iterator[Label]:
    """When each source first said fraud, and when it took that back or never said so."""
    subject = Entity("Transaction", transaction_id)
    for source, verdict, time, fraud_since in sayings:
        if fraud_since is not None:
            yield Label(subject=subject, verdict="fraud", source=source, time=fraud_since)
        if verdict == "legitimate":
            yield Label(subject=subject, verdict=verdict, source=source, time=time)


def _transaction(row: Row) -> Transaction:
    for name in _HELD_IN_BUCKETS:
        if row[name] is not None:
            row[name] = row[name].rpartition("|")[0]
    return Transaction(**row)


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
