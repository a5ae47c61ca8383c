"""Retention: transactions, then relationships, then orphaned entities expire by event time, in small batches.

Labels go with their transactions; one of a card, or one that still waits for its transaction, by its own time.
Those of rings stay as long as rings do.

Whole hours expire. They are sought by name, one after the other, since a range over all times costs a walk through
the whole index on one of the engines; the writer registers the hours. What a batch touches is found from its
transactions' cards and accounts: a hub is never expanded. Tallies lose what they counted of a deleted transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from graph import labels, tallies
from graph.driver import Graph, Row, Tx
from graph.schema import ENTITY_LABELS, HOUR_MS, HUB_COUNTERS, NEVER, RELATIONSHIPS, Relationship

_READ_TRANSACTIONS = (
    "UNWIND $ids AS id MATCH (t:Transaction {id: id}) "
    "OPTIONAL MATCH (card:Card)-[:MADE]->(t) OPTIONAL MATCH (t)-[:AT]->(merchant:Merchant) "
    "OPTIONAL MATCH (t)-[:ON]->(device:Device) OPTIONAL MATCH (t)-[:FROM]->(ip:IP) "
    "OPTIONAL MATCH (t)-[:SHIPPED_TO]->(address:Address) "
    "RETURN t.account AS account, t.counterparty AS counterparty, card.id AS card, merchant.id AS merchant, "
    "device.id AS device, ip.id AS ip, address.id AS address"
)
_DELETE_TRANSACTIONS = (
    "UNWIND $ids AS id MATCH (t:Transaction {id: id}) OPTIONAL MATCH (t)-[:AT]->(merchant:Merchant) "
    "WITH t, t.time AS event_time, t.status AS status, t.amount AS amount, t.currency AS currency, "
    "merchant.id AS merchant, t.account AS account "
    "DETACH DELETE t RETURN event_time, status, amount, currency, merchant, account"
)
_COLUMN_LABELS = {
    "account": "Account",
    "counterparty": "Account",
    "card": "Card",
    "merchant": "Merchant",
    "device": "Device",
    "ip": "IP",
    "address": "Address",
}

_Touched = defaultdict[str, set[str]]


@dataclass(frozen=True)
class Expired:
    """How many nodes and relationships are gone, and whether nothing that should go is left."""

    transactions: int = 0
    relationships: int = 0
    entities: int = 0
    complete: bool = True

    def __add__(self, other: Expired) -> Expired:
        return Expired(
            self.transactions + other.transactions,
            self.relationships + other.relationships,
            self.entities + other.entities,
            self.complete and other.complete,
        )


def expire(
    graph: Graph,
    before_ms: int,
    *,
    hub_caps: Mapping[str, int],
    batch: int = 500,
    max_batches: int | None = None,
) -> Expired:
    """Delete what was last seen before the hour of ``before_ms`` (UTC epoch ms), and nothing else.

    Each batch of up to ``batch`` transactions is one graph transaction, so that writers go on in between; at most
    ``max_batches`` are done. Counters fall with their relationships, and an entity that is no longer above its
    label's cap is no hub any more. A member of a ring stays, without its relationships.
    """
    until = before_ms // HOUR_MS
    expire_batch = partial(_expire_batch, before=until * HOUR_MS, hub_caps=hub_caps)
    hours = _registered_hours(graph, until)
    gone = Expired()
    for number, (hour, ids) in enumerate(_batches(graph, hours, batch)):
        if number == max_batches:
            gone, until = replace(gone, complete=False), hour
            break
        gone += graph.write(partial(expire_batch, ids=ids))
    past = [hour for hour in hours if hour < until]
    while past and len(graph.write(partial(_expire_labels, hours=past, size=batch))) == batch:
        pass
    if emptied := [hour for hour in hours if hour < until]:
        graph.write(partial(_forget_hours, hours=emptied))
    return gone


def _registered_hours(graph: Graph, until: int) -> list[int]:
    rows = graph.read("MATCH (h:Hour) WHERE h.id < $until RETURN h.id AS hour", until=until)
    return sorted(row["hour"] for row in rows)


def _batches(graph: Graph, hours: Sequence[int], size: int) -> Iterator[tuple[int, list[str]]]:
    """Up to ``size`` transactions of these hours, hour after hour, and the first hour among them.

    What was yielded has to be gone when the next is asked for.
    """
    while rows := graph.read(
        "UNWIND $hours AS hour MATCH (t:Transaction {hour: hour}) RETURN hour, t.id AS id LIMIT $size",
        hours=hours,
        size=size,
    ):
        first = rows[0]["hour"]
        yield first, sorted(row["id"] for row in rows)
        hours = [hour for hour in hours if hour >= first]


def _forget_hours(tx: Tx, hours: Sequence[int]) -> None:
    # A late event may have come into one meanwhile: then the next call finds it.
    filled = [
        row["hour"]
        for label in ("Transaction", "Label")
        for row in tx.run(
            f"UNWIND $hours AS hour MATCH (n:{label} {{hour: hour}}) RETURN DISTINCT hour", hours=hours
        )
    ]
    emptied = sorted(set(hours) - set(filled))
    tx.run("UNWIND $hours AS hour MATCH (u:Unscored {hour: hour}) DELETE u", hours=emptied)
    tx.run("UNWIND $hours AS hour MATCH (h:Hour {id: hour}) DELETE h", hours=emptied)


def _expire_batch(tx: Tx, *, ids: Sequence[str], before: int, hub_caps: Mapping[str, int]) -> Expired:
    rows = tx.run(_READ_TRANSACTIONS, ids=ids)
    touched = _touched_by(rows)
    origins = {label: sorted(touched[label]) for label in ("Account", "Card")}
    for relationship in RELATIONSHIPS:
        for start, end in _ended(tx, relationship, origins, before, delete=False):
            touched[relationship.start].add(start)
            touched[relationship.end].add(end)
    _lock(tx, touched)
    judged = tx.run(
        "UNWIND $ids AS id MATCH (:Transaction {id: id})<-[:OF]-(l:Label) OPTIONAL MATCH (l)-[:OF]->(c:Card) "
        "RETURN l.id AS label, c.id AS card",
        ids=ids,
    )
    _delete_labels(tx, judged)
    tallies.take(tx, [tallies.Deleted(**row) for row in tx.run(_DELETE_TRANSACTIONS, ids=ids)])
    lost: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    relationships = 0
    for relationship in RELATIONSHIPS:
        for start, end in _ended(tx, relationship, origins, before, delete=True):
            relationships += 1
            if relationship.start_counter:
                lost[relationship.start][start][relationship.start_counter] += 1
            if relationship.end_counter:
                lost[relationship.end][end][relationship.end_counter] += 1
    for label, counts in lost.items():
        _lower(tx, label, counts, hub_caps.get(label))
    # A label touches its card long after the transaction, which leaves nothing to hold it.
    entities = sum(
        _delete_orphans(tx, label, ids, NEVER if label == "Card" else before) for label, ids in touched.items()
    )
    return Expired(len(rows), relationships, entities)


def _expire_labels(tx: Tx, *, hours: Sequence[int], size: int) -> list[Row]:
    """Delete up to ``size`` labels that no transaction holds; returns them with their cards."""
    rows = tx.run(
        "UNWIND $hours AS hour MATCH (l:Label {hour: hour}) WITH l LIMIT $size "
        "OPTIONAL MATCH (l)-[:OF]->(c:Card) RETURN l.id AS label, c.id AS card",
        hours=hours,
        size=size,
    )
    _delete_labels(tx, rows)
    _delete_orphans(tx, "Card", {row["card"] for row in rows if row["card"] is not None}, NEVER)
    return rows


def _delete_labels(tx: Tx, rows: Sequence[Row]) -> None:
    """Delete labels and judge their cards anew by what is left."""
    if not rows:
        return
    tx.run(
        "UNWIND $ids AS id MATCH (l:Label {id: id}) DETACH DELETE l",
        ids=sorted({row["label"] for row in rows}),
    )
    if cards := sorted({row["card"] for row in rows if row["card"] is not None}):
        labels.judge(tx, cards)


def _touched_by(rows: Sequence[Row]) -> _Touched:
    touched: _Touched = defaultdict(set)
    for row in rows:
        for column, label in _COLUMN_LABELS.items():
            if row[column] is not None:
                touched[label].add(row[column])
    return touched


def _ended(
    tx: Tx, relationship: Relationship, origins: Mapping[str, Sequence[str]], before: int, *, delete: bool
) -> list[tuple[str, str]]:
    """The (start, end) ids of a kind's relationships that have ended, sought from the end that is no hub."""
    start, kind, end = relationship.start, relationship.type, relationship.end
    if end == "Card":
        near, pattern = end, f"(b:{end} {{id: id}})<-[r:{kind}]-(a:{start})"
    else:
        near, pattern = start, f"(a:{start} {{id: id}})-[r:{kind}]->(b:{end})"
    rows = tx.run(
        f"UNWIND $ids AS id MATCH {pattern} WHERE r.last_seen < $before "
        f"{'DELETE r ' if delete else ''}RETURN a.id AS start, b.id AS end",
        ids=origins[near],
        before=before,
    )
    return [(row["start"], row["end"]) for row in rows]


def _lock(tx: Tx, touched: _Touched) -> None:
    """Take the locks of all that will change, in the writer's order."""
    for label in ENTITY_LABELS:
        if touched[label]:
            tx.run(
                f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) SET n.last_seen = n.last_seen",
                ids=sorted(touched[label]),
            )


def _lower(tx: Tx, label: str, counts: Mapping[str, Counter[str]], cap: int | None) -> None:
    counters = sorted({counter for lost in counts.values() for counter in lost})
    lowered = ", ".join(f"n.{counter} = n.{counter} - row.{counter}" for counter in counters)
    rows = tx.run(
        f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) SET {lowered} "
        f"RETURN n.id AS id, n.{HUB_COUNTERS.get(label, 'degree')} AS neighbours, n.is_hub AS is_hub",
        rows=[
            {"id": entity_id, **{counter: lost[counter] for counter in counters}}
            for entity_id, lost in sorted(counts.items())
        ],
    )
    if cap is not None and (former := [r["id"] for r in rows if r["is_hub"] and r["neighbours"] <= cap]):
        tx.run(
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) SET n.is_hub = false, n.hub_since = $never",
            ids=former,
            never=NEVER,
        )


def _delete_orphans(tx: Tx, label: str, ids: set[str], before: int) -> int:
    return len(
        tx.run(
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE n.last_seen < $before AND NOT (n)--() "
            "DELETE n RETURN id",
            ids=sorted(ids),
            before=before,
        )
    )
