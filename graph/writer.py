"""The graph writer: one transaction per micro-batch, idempotent by transaction id.

Rows are aggregated per entity and relationship before they leave, and every touched node is locked in order of
label and id before any relationship is merged, so that parallel writers cannot deadlock. A relationship's times
are floored to a resolution and merged by min and max: the graph does not depend on the order of events, and a
refresh that would change nothing is not written (nor sent, when this writer knows it already).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from graph import statements
from graph.driver import Graph, Row, Tx
from graph.errors import BadEvent, Conflict, Fenced, ServiceError, Unavailable
from graph.events import Entity, Transaction
from graph.schema import ENTITY_LABELS, HOUR_MS, NEVER, RELATIONSHIPS, Relationship, hour_bucket

_KNOWN_LIMIT = 500_000
#: What is known of a relationship is not trusted when it ended this much before the newest event: retention, this
#: worker's or another's, may have deleted it since.
_TRUSTED_MS = HOUR_MS


@dataclass(frozen=True)
class WriterSettings:
    """``resolution_ms`` floors relationship times; ``hub_caps`` gives the degree above which a label is a hub."""

    resolution_ms: int = 60_000
    hub_caps: Mapping[str, int] = field(
        default_factory=lambda: {
            "Address": 50,
            "Device": 50,
            "Email": 20,
            "IP": 100,
            "Merchant": 500,
            "Phone": 20,
        }
    )


class EntityState(msgspec.Struct, gc=False):
    """What the upsert says of an entity: counters after the batch, and its newest event before it (epoch ms)."""

    degree: int
    identifiers: int
    hub_since: int
    last_seen_before: int | None

    @property
    def is_hub(self) -> bool:
        """Whether its degree has passed the cap."""
        return self.hub_since < NEVER


@dataclass
class Written:
    """What became of a batch."""

    accepted: list[Transaction] = field(default_factory=list)
    duplicates: list[Transaction] = field(default_factory=list)
    refused: list[tuple[Transaction, BadEvent]] = field(default_factory=list)
    entities: dict[Entity, EntityState] = field(default_factory=dict)
    new_hubs: list[Entity] = field(default_factory=list)


class Checkpoint(Protocol):
    """What is done inside the writer's transaction beside the rows."""

    def reached(self, tx: Tx) -> bool:
        """Whether this very batch has been written already (the answer was lost, or a crash followed)."""

    def advance(self, tx: Tx) -> None:
        """Record the batch as written."""


class GraphWriter:
    """Writes micro-batches of transactions into one graph."""

    def __init__(self, graph: Graph, settings: WriterSettings | None = None) -> None:
        self._graph = graph
        self._settings = settings or WriterSettings()
        self._known: dict[Relationship, dict[tuple[str, str], tuple[int, int]]] = {
            relationship: {} for relationship in RELATIONSHIPS
        }
        self._newest = 0

    def write(self, transactions: Sequence[Transaction], checkpoint: Checkpoint | None = None) -> Written:
        """Write a batch whole, with its checkpoint, or not at all.

        An event that the graph refuses for its own sake is found by bisection and reported in ``refused``;
        the others are written.

        Raises:
            Unavailable: the graph is away; nothing was written, the same call may be made again.
            ServiceError: the graph refuses every write.
            Fenced: another worker owns the batch's partitions.
        """
        try:
            return self._write(transactions, checkpoint)
        except (Unavailable, Fenced):
            raise
        except ServiceError:
            culprits = self._culprits(transactions, checkpoint)
            if not culprits:
                raise
            kept = [t for t in transactions if t.transaction_id not in culprits]
            written = self._write(kept, checkpoint)
            written.refused += [
                (t, BadEvent("refused_by_graph", culprits[t.transaction_id]))
                for t in transactions
                if t.transaction_id in culprits
            ]
            return written

    def _write(self, transactions: Sequence[Transaction], checkpoint: Checkpoint | None) -> Written:
        attempts: list[tuple[Written, _Refreshed]] = []

        def work(tx: Tx) -> None:
            if checkpoint is not None and checkpoint.reached(tx):
                if not attempts:
                    attempts.append((self._seen_again(tx, transactions), {}))
                return
            attempts.append(self._write_in(tx, transactions))
            if checkpoint is not None:
                checkpoint.advance(tx)

        self._graph.write(work)
        written, refreshed = attempts[-1]
        self._newest = max([self._newest, *(t.event_time for t in written.accepted)])
        for relationship, pairs in refreshed.items():
            known = self._known[relationship]
            if len(known) + len(pairs) > _KNOWN_LIMIT:
                known.clear()
            known.update(pairs)
        return written

    def _seen_again(self, tx: Tx, transactions: Sequence[Transaction]) -> Written:
        """A batch that was written before a crash, to be evaluated again.

        What its entities were before it is no longer known, so every touch counts as late: that only tests more.
        """
        written = self._sorted_out(tx, transactions)
        stored = {t.transaction_id: t for t in reversed(written.duplicates)}
        written.accepted, written.duplicates = list(stored.values())[::-1], []
        touched = sorted({entity for t in written.accepted for entity in t.entities()})
        for label in ENTITY_LABELS:
            ids = [entity.id for entity in touched if entity.label == label]
            for entity_id, *state in _rows(tx, statements.read_entities(label), ids=ids) if ids else []:
                written.entities[Entity(label, entity_id)] = EntityState(*state)
        return written

    def _write_in(self, tx: Tx, transactions: Sequence[Transaction]) -> tuple[Written, _Refreshed]:
        written = self._sorted_out(tx, transactions)
        refreshed: _Refreshed = {}
        if not written.accepted:
            return written, refreshed
        for label, rows in _entity_rows(written.accepted).items():
            for entity_id, *state in _rows(tx, statements.upsert_entities(label), rows=rows, never=NEVER):
                written.entities[Entity(label, entity_id)] = EntityState(*state)
        for relationship, pairs in self._relationship_rows(written.accepted).items():
            refreshed[relationship] = self._merge(tx, relationship, pairs, written)
        self._mark_hubs(tx, refreshed, written)
        hours = sorted({t.event_time // HOUR_MS for t in written.accepted})
        tx.run(statements.REGISTER_HOURS, hours=hours)
        for shape, rows in _transaction_rows(written.accepted).items():
            tx.run(statements.create_transactions(shape), rows=rows)
        return written, refreshed

    def _sorted_out(self, tx: Tx, transactions: Sequence[Transaction]) -> Written:
        written = Written()
        ids = sorted({t.transaction_id for t in transactions})
        digests = dict(_rows(tx, statements.KNOWN_TRANSACTIONS, ids=ids))
        for transaction in transactions:
            digest = digests.setdefault(transaction.transaction_id, "")
            if not digest:
                digests[transaction.transaction_id] = transaction.digest
                written.accepted.append(transaction)
            elif digest == transaction.digest:
                written.duplicates.append(transaction)
            else:
                written.refused.append((transaction, Conflict(transaction.transaction_id)))
        return written

    def _relationship_rows(self, transactions: Iterable[Transaction]) -> dict[Relationship, list[Row]]:
        step = self._settings.resolution_ms
        spans: dict[Relationship, dict[tuple[str, str], tuple[int, int]]] = {r: {} for r in RELATIONSHIPS}
        for transaction in transactions:
            time = transaction.event_time // step * step
            for relationship, start, end in statements.relationships_of(transaction):
                pairs = spans[relationship]
                first, last = pairs.get((start, end), (time, time))
                pairs[start, end] = (min(first, time), max(last, time))
        rows: dict[Relationship, list[Row]] = {}
        for relationship, pairs in spans.items():
            known = self._known[relationship]
            rows[relationship] = [
                {"start": start, "end": end, "first": first, "last": last}
                for (start, end), (first, last) in sorted(pairs.items())
                if (span := known.get((start, end))) is None
                or first < span[0]
                or last > span[1]
                or span[1] < self._newest - _TRUSTED_MS
            ]
        return {relationship: found for relationship, found in rows.items() if found}

    def _merge(
        self, tx: Tx, relationship: Relationship, rows: list[Row], written: Written
    ) -> dict[tuple[str, str], tuple[int, int]]:
        merged: dict[tuple[str, str], tuple[int, int]] = {}
        for start, end, first, last, start_count, end_count in _rows(
            tx, statements.merge_relationships(relationship), rows=rows
        ):
            merged[start, end] = (first, last)
            # Rows come back while the counters are still rising: the largest is the last.
            if relationship.start_counter:
                _raise(
                    written.entities[Entity(relationship.start, start)], relationship.start_counter, start_count
                )
            if relationship.end_counter:
                _raise(written.entities[Entity(relationship.end, end)], relationship.end_counter, end_count)
        return merged

    def _mark_hubs(self, tx: Tx, refreshed: _Refreshed, written: Written) -> None:
        """Set when each entity above its cap passed it: the time of its (cap + 1)th neighbour.

        Read from the relationships and not from this batch, so that it does not depend on the order of events.
        """
        for relationship, pairs in refreshed.items():
            cap = self._settings.hub_caps.get(relationship.end)
            if cap is None or relationship.end_counter != "degree":
                continue
            ids = {
                end
                for (_, end), (first, _) in pairs.items()
                if (state := written.entities[Entity(relationship.end, end)]).degree > cap
                and first < state.hub_since
            }
            if not ids:
                continue
            step = self._settings.resolution_ms
            for entity_id, hub_since in _rows(
                tx, statements.mark_hubs(relationship), ids=sorted(ids), cap=cap, resolution=step
            ):
                entity = Entity(relationship.end, entity_id)
                state = written.entities[entity]
                if not state.is_hub:
                    written.new_hubs.append(entity)
                state.hub_since = hub_since

    def _culprits(self, transactions: Sequence[Transaction], checkpoint: Checkpoint | None) -> dict[str, str]:
        """Ids of the events that the graph refuses by themselves, with its words, found by trial and rollback."""
        self._try([], checkpoint)  # a graph that refuses even this is not well: no event is to blame
        found: dict[str, str] = {}
        pending = [list(transactions)]
        while pending:
            part = pending.pop()
            try:
                self._try(part, None)
            except Unavailable:
                raise
            except ServiceError as error:
                if len(part) == 1:
                    found[part[0].transaction_id] = str(error)
                else:
                    middle = len(part) // 2
                    pending += [part[:middle], part[middle:]]
        return found

    def _try(self, transactions: Sequence[Transaction], checkpoint: Checkpoint | None) -> None:
        def work(tx: Tx) -> None:
            self._write_in(tx, transactions)
            if checkpoint is not None:
                checkpoint.advance(tx)
            raise _RolledBackError

        try:
            self._graph.write(work)
        except _RolledBackError:
            return


_Refreshed = dict[Relationship, dict[tuple[str, str], tuple[int, int]]]


class _RolledBackError(Exception):
    """Ends a trial: everything it wrote is undone."""


def _rows(tx: Tx, statement: str, **parameters: Any) -> list[list[Any]]:
    (record,) = tx.run(statement, **parameters)
    rows: list[list[Any]] = record["rows"]
    return rows


def _raise(state: EntityState, counter: str, value: int) -> None:
    if counter == "degree":
        state.degree = max(state.degree, value)
    else:
        state.identifiers = max(state.identifiers, value)


def _entity_rows(transactions: Iterable[Transaction]) -> dict[str, list[Row]]:
    """One row per touched entity, per label in locking order: id, first, last and constant attributes."""
    rows: dict[str, dict[str, Row]] = {label: {} for label in ENTITY_LABELS}
    for transaction in transactions:
        time = transaction.event_time
        for label, entity_id in transaction.entities():
            row = rows[label].get(entity_id)
            if row is None:
                rows[label][entity_id] = {"id": entity_id, "first": time, "last": time}
            elif time < row["first"]:
                row["first"] = time
            elif time > row["last"]:
                row["last"] = time
        for label, entity_id, name, value in statements.attributes_of(transaction):
            row = rows[label][entity_id]
            row[name] = statements.merged_attribute(label, name, row.get(name), value)
    return {label: [found[key] for key in sorted(found)] for label, found in rows.items() if found}


def _transaction_rows(transactions: Iterable[Transaction]) -> dict[frozenset[str], list[Row]]:
    """Rows grouped by which entities a transaction names, as each group is one statement."""
    shapes: dict[frozenset[str], list[Row]] = defaultdict(list)
    for t in transactions:
        ends = {name: value for name in statements.TRANSACTION_ENDS if (value := getattr(t, name)) is not None}
        properties = {
            name: value for name in statements.TRANSACTION_PROPERTIES if (value := getattr(t, name)) is not None
        }
        properties |= {"id": t.transaction_id, "time": t.event_time, "hour": t.event_time // HOUR_MS}
        for name in ("merchant", "device", "ip"):
            if name in ends:
                properties[f"{name}_hour"] = hour_bucket(ends[name], t.event_time)
        shapes[frozenset(ends)].append({"card": t.card, "properties": properties, **ends})
    return shapes
