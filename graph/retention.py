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
from itertools import chain
from typing import NamedTuple

from graph import labels, tallies
from graph.driver import Graph, Row, Tx
from graph.rows import answer
from graph.schema import ENTITY_LABELS, HOUR_MS, HUB_COUNTERS, NEVER, RELATIONSHIPS, Relationship

_READ_TRANSACTIONS = (
    "UNWIND $ids AS id MATCH (t:Transaction {id: id}) "
    "OPTIONAL MATCH (card:Card)-[:MADE]->(t) OPTIONAL MATCH (t)-[:AT]->(merchant:Merchant) "
    "OPTIONAL MATCH (t)-[:ON]->(device:Device) OPTIONAL MATCH (t)-[:FROM]->(ip:IP) "
    "OPTIONAL MATCH (t)-[:SHIPPED_TO]->(address:Address) "
    "RETURN collect([id, [t.time, t.status, t.amount, t.currency, merchant.id, t.account], "
    "[t.account, t.counterparty, card.id, merchant.id, device.id, ip.id, address.id]]) AS rows"
)
_ENDS = ("Account", "Account", "Card", "Merchant", "Device", "IP", "Address")

_Touched = defaultdict[str, set[str]]

#: A relationship's kind, and the ids of its start and its end.
_Ended = tuple[Relationship, str, str]


class _Way(NamedTuple):
    """Relationships that are sought from one end, which is no hub."""

    near: str
    types: str
    is_outward: bool

    @property
    def pattern(self) -> str:
        """From a node ``n`` over a relationship ``r`` to a node ``far``."""
        arrow = f"-[r:{self.types}]-"
        return f"(n:{self.near} {{id: id}})" + (f"{arrow}>(far)" if self.is_outward else f"<{arrow}(far)")

    def ended(self, near: str, relationship_type: str, label: str, far: str) -> _Ended:
        """The kind of a relationship between ``near`` and ``far``, which has that label, and its start and end."""
        if self.is_outward:
            return _KINDS[relationship_type, self.near, label], near, far
        return _KINDS[relationship_type, label, self.near], far, near


_WAYS = (
    _Way("Account", "HAS|SENT", is_outward=True),
    _Way("Card", "PAID|USED", is_outward=True),
    _Way("Card", "OWNS", is_outward=False),
)
_KINDS = {(r.type, r.start, r.end): r for r in RELATIONSHIPS}


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
        "UNWIND $hours AS hour MATCH (t:Transaction {hour: hour}) WITH hour, t.id AS id LIMIT $size "
        "RETURN collect([hour, id]) AS rows",
        hours=hours,
        size=size,
    )[0]["rows"]:
        first = rows[0][0]
        yield first, sorted(transaction_id for _, transaction_id in rows)
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
    rows = answer(tx, _READ_TRANSACTIONS, ids=ids)
    touched: _Touched = defaultdict(set)
    for _, _, ends in rows:
        for label, entity_id in zip(_ENDS, ends, strict=True):
            if entity_id is not None:
                touched[label].add(entity_id)
    ended = {way: _ended(tx, way, touched[way.near], before, delete=False) for way in _WAYS}
    for kind, start, end in chain.from_iterable(ended.values()):
        touched[kind.start].add(start)
        touched[kind.end].add(end)
    unseen = _lock(tx, touched, before)
    judged = tx.run(
        "UNWIND $ids AS id MATCH (:Transaction {id: id})<-[:OF]-(l:Label) OPTIONAL MATCH (l)-[:OF]->(c:Card) "
        "RETURN l.id AS label, c.id AS card",
        ids=ids,
    )
    _delete_labels(tx, judged)
    gone = set(
        answer(
            tx,
            "UNWIND $ids AS id MATCH (t:Transaction {id: id}) DETACH DELETE t RETURN collect(id) AS rows",
            ids=ids,
        )
    )
    tallies.take(tx, [tallies.Deleted(*counted) for id_, counted, _ in rows if id_ in gone])
    lost: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    relationships = 0
    for way, found in ended.items():
        near = {start if way.is_outward else end for _, start, end in found}
        for kind, start, end in _ended(tx, way, near, before, delete=True):
            relationships += 1
            if kind.start_counter:
                lost[kind.start][start][kind.start_counter] += 1
            if kind.end_counter:
                lost[kind.end][end][kind.end_counter] += 1
    for label, counts in lost.items():
        _lower(tx, label, counts, hub_caps.get(label))
    # A label touches its card long after the transaction, which leaves nothing to hold it.
    unseen["Card"] = touched["Card"]
    entities = sum(_delete_orphans(tx, label, unseen[label]) for label in ENTITY_LABELS)
    return Expired(len(gone), relationships, entities)


def _expire_labels(tx: Tx, *, hours: Sequence[int], size: int) -> list[Row]:
    """Delete up to ``size`` labels that no transaction holds; returns them with their cards."""
    rows = tx.run(
        "UNWIND $hours AS hour MATCH (l:Label {hour: hour}) WITH l LIMIT $size "
        "OPTIONAL MATCH (l)-[:OF]->(c:Card) RETURN l.id AS label, c.id AS card",
        hours=hours,
        size=size,
    )
    _delete_labels(tx, rows)
    _delete_orphans(tx, "Card", {row["card"] for row in rows if row["card"] is not None})
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


def _ended(tx: Tx, way: _Way, ids: set[str], before: int, *, delete: bool) -> list[_Ended]:
    """The relationships that lead that way from ``ids`` and have ended."""
    rows = answer(
        tx,
        f"UNWIND $ids AS id MATCH {way.pattern} WHERE r.last_seen < $before "
        "WITH r, [id, type(r), labels(far)[0], far.id] AS ended "
        f"{'DELETE r ' if delete else ''}RETURN collect(ended) AS rows",
        ids=sorted(ids),
        before=before,
    )
    return [way.ended(*row) for row in rows]


def _lock(tx: Tx, touched: _Touched, before: int) -> dict[str, set[str]]:
    """Take the locks of all that will change, in the writer's order; returns what was last seen before."""
    return {
        label: set(
            answer(
                tx,
                f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) SET n.last_seen = n.last_seen "
                "WITH n WHERE n.last_seen < $before RETURN collect(n.id) AS rows",
                ids=sorted(touched[label]),
                before=before,
            )
        )
        for label in ENTITY_LABELS
    }


def _lower(tx: Tx, label: str, counts: Mapping[str, Counter[str]], cap: int | None) -> None:
    counters = sorted({counter for lost in counts.values() for counter in lost})
    lowered = ", ".join(f"n.{counter} = n.{counter} - row.{counter}" for counter in counters)
    former = answer(
        tx,
        f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) SET {lowered} "
        f"WITH n WHERE n.is_hub AND n.{HUB_COUNTERS.get(label, 'degree')} <= $cap RETURN collect(n.id) AS rows",
        rows=[
            {"id": entity_id, **{counter: lost[counter] for counter in counters}}
            for entity_id, lost in sorted(counts.items())
        ],
        cap=cap,
    )
    if former:
        tx.run(
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) SET n.is_hub = false, n.hub_since = $never",
            ids=former,
            never=NEVER,
        )


def _delete_orphans(tx: Tx, label: str, ids: set[str]) -> int:
    return len(
        answer(
            tx,
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE NOT (n)--() DELETE n "
            "RETURN collect(id) AS rows",
            ids=sorted(ids),
        )
    )
