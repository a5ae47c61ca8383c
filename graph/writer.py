"""The graph writer: one transaction per micro-batch, idempotent by transaction id (and label by label).

Rows are aggregated per entity and relationship before they leave, and every touched node is locked in order of
label and id before any relationship is merged, so that parallel writers cannot deadlock. A relationship's times
are floored to a resolution and merged by min and max: the graph does not depend on the order of events, and a
refresh that would change nothing is not written (nor sent, when this writer knows it already).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from graph import labels, scores, statements, tallies
from graph.driver import Graph, Row, Tx
from graph.errors import BadEvent, Conflict, Fenced, ServiceError, Unavailable
from graph.events import Entity, Event, Label, Transaction, id_of
from graph.known_spans import KnownSpans, Refreshed
from graph.rows import (
    EntityState,
    Spans,
    TouchTimes,
    answer,
    count_events,
    entity_rows,
    spans_of,
    touches_of,
    transaction_rows,
)
from graph.schema import HOUR_MS, NEVER, Relationship


@dataclass(frozen=True)
class WriterSettings:
    """``resolution_ms`` floors relationship times; ``hub_caps`` says how many neighbours make no hub yet."""

    resolution_ms: int = 60_000
    hub_caps: Mapping[str, int] = field(
        default_factory=lambda: {
            "Account": 200,
            "Address": 50,
            "Device": 50,
            "Email": 20,
            "IP": 100,
            "Merchant": 500,
            "Phone": 20,
        }
    )


@dataclass
class Written:
    """What became of a batch, and by label and id what it touched and how that stands now.

    ``labels`` are those that said something new, ``labelled`` when labels touched which cards.
    """

    accepted: list[Transaction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    duplicates: list[Event] = field(default_factory=list)
    refused: list[tuple[Event, BadEvent]] = field(default_factory=list)
    labelled: dict[str, list[int]] = field(default_factory=dict)
    touches: TouchTimes = field(default_factory=dict)
    entities: dict[str, dict[str, EntityState]] = field(default_factory=dict)
    new_hubs: list[Entity] = field(default_factory=list)


class Checkpoint(Protocol):
    """What is done inside the writer's transaction beside the rows."""

    def reached(self, tx: Tx) -> bool:
        """Whether this very batch has been written already (the answer was lost, or a crash followed)."""

    def advance(self, tx: Tx) -> None:
        """Record the batch as written."""


#: What new transactions' nodes get beside what they say, by id, given labels that come with them. The same
#: transaction may be asked about again.
Describe = Callable[[Sequence[Transaction], Sequence[Label]], Mapping[str, Row]]


class GraphWriter:
    """Writes micro-batches of transactions and labels into one graph."""

    def __init__(
        self, graph: Graph, settings: WriterSettings | None = None, describe: Describe = lambda *_: {}
    ) -> None:
        self._graph = graph
        self._settings = settings or WriterSettings()
        self._describe = describe
        self._known = KnownSpans()

    def write(self, events: Sequence[Event], checkpoint: Checkpoint | None = None) -> Written:
        """Write a batch whole, with its checkpoint, or not at all.

        An event that the graph refuses for its own sake is found by bisection and reported in ``refused``;
        the others are written.

        Raises:
            Unavailable: the graph is away; nothing was written, the same call may be made again.
            ServiceError: the graph refuses every write.
            Fenced: another worker owns the batch's partitions.
        """
        try:
            return self._write(events, checkpoint)
        except (Unavailable, Fenced):
            raise
        except ServiceError:
            culprits = self._culprits(events, checkpoint)
            if not culprits:
                raise
            kept = [event for event in events if id_of(event) not in culprits]
            written = self._write(kept, checkpoint)
            written.refused += [
                (event, BadEvent("refused_by_graph", culprits[id_of(event)]))
                for event in events
                if id_of(event) in culprits
            ]
            return written

    def _write(self, events: Sequence[Event], checkpoint: Checkpoint | None) -> Written:
        attempts: list[tuple[Written, Refreshed]] = []

        def work(tx: Tx) -> None:
            if checkpoint is not None and checkpoint.reached(tx):
                if not attempts:
                    attempts.append((self._seen_again(tx, events), {}))
                return
            attempts.append(self._write_in(tx, events))
            if checkpoint is not None:
                checkpoint.advance(tx)

        self._graph.write(work)
        written, refreshed = attempts[-1]
        self._known.remember(refreshed, max((t.event_time for t in written.accepted), default=0))
        return written

    def _seen_again(self, tx: Tx, events: Sequence[Event]) -> Written:
        """A batch that was written before a crash, to be evaluated again.

        What its entities were before it is no longer known, so every touch counts as late: that only tests more.
        """
        written = self._sorted_out(tx, events)
        stored = {t.transaction_id: t for t in reversed(written.duplicates) if isinstance(t, Transaction)}
        written.accepted, written.duplicates = list(stored.values())[::-1], []
        self._touch(written, labels.concerned(tx, written.labels, written.accepted, again=True))
        for label, touched in written.touches.items():
            rows = [{"i": i, "id": entity_id} for i, entity_id in enumerate(touched)]
            written.entities[label] = _states(tx, statements.read_entities(label), rows)
        return written

    def _write_in(self, tx: Tx, events: Sequence[Event]) -> tuple[Written, Refreshed]:
        written = self._sorted_out(tx, events)
        written.labels, repeated = labels.hold(tx, written.labels)
        written.duplicates += repeated
        refreshed: Refreshed = {}
        if not written.accepted and not written.labels:
            return written, refreshed
        about = labels.concerned(tx, written.labels, written.accepted)
        self._touch(written, about)
        for label, rows in entity_rows(written.accepted, written.touches).items():
            written.entities[label] = _states(tx, statements.upsert_entities(label), rows)
        count_events(written.entities, written.accepted, written.labelled)
        for relationship, spans in self._refreshes(written.accepted).items():
            _merge(tx, relationship, spans, written)
            self._mark_hubs(tx, relationship, spans, written)
            refreshed[relationship] = spans
        hours = {t.event_time // HOUR_MS for t in written.accepted} | labels.hours_of(written.labels)
        tx.run(statements.REGISTER_HOURS, hours=sorted(hours))
        tallies.add(tx, written.accepted)
        described = self._describe(written.accepted, written.labels)
        names = frozenset(name for row in described.values() for name in row)
        for shape, rows in transaction_rows(written.accepted, written.entities, described).items():
            tx.run(statements.create_transactions(shape, names), rows=rows)
        for card, standing in labels.attach(tx, written.labels, about).items():
            written.entities["Card"][card].fraud_labels = standing.fraud_labels
        scores.leave(tx, written.accepted, written.labels)
        return written, refreshed

    def _touch(self, written: Written, about: labels.Concerned) -> None:
        written.labelled = {card: sorted(times) for card, times in sorted(about.cards.items())}
        written.touches = touches_of(written.accepted, about.cards)

    def _sorted_out(self, tx: Tx, events: Sequence[Event]) -> Written:
        """Which transactions are new, known or in conflict, and which labels may be held."""
        written = Written()
        transactions = [event for event in events if isinstance(event, Transaction)]
        ids = sorted({t.transaction_id for t in transactions})
        digests = dict(answer(tx, statements.KNOWN_TRANSACTIONS, ids=ids)) if ids else {}
        for transaction in transactions:
            digest = digests.setdefault(transaction.transaction_id, "")
            if not digest:
                digests[transaction.transaction_id] = transaction.digest
                written.accepted.append(transaction)
            elif digest == transaction.digest:
                written.duplicates.append(transaction)
            else:
                written.refused.append((transaction, Conflict()))
        said = [event for event in events if isinstance(event, Label)]
        refused = labels.unknown_rings(tx, said)
        written.refused += refused
        unknown = {label for label, _ in refused}
        written.labels = [label for label in said if label not in unknown]
        return written

    def _refreshes(self, transactions: Iterable[Transaction]) -> Refreshed:
        """The relationships that are to be created, or may have to be widened."""
        news = {
            relationship: {p: span for p, span in spans.items() if not self._known.covers(relationship, p, span)}
            for relationship, spans in spans_of(transactions, self._settings.resolution_ms).items()
        }
        return {relationship: spans for relationship, spans in news.items() if spans}

    def _mark_hubs(self, tx: Tx, relationship: Relationship, spans: Spans, written: Written) -> None:
        """Set when each entity above its cap passed it: the time of its (cap + 1)th neighbour.

        Read from the relationships and not from this batch, so that it does not depend on the order of events. A
        hub is looked at again only if something reaches further back than that time: nothing else can move it.
        """
        cap = self._settings.hub_caps.get(relationship.end)
        counter = relationship.end_counter
        if cap is None or counter is None:
            return
        states = written.entities[relationship.end]
        ids = {
            end
            for (_, end), (first, _) in spans.items()
            if getattr(state := states[end], counter) > cap and first < state.hub_since
        }
        if not ids:
            return
        for entity_id, hub_since in answer(
            tx,
            statements.mark_hubs(relationship),
            ids=sorted(ids),
            cap=cap,
            resolution=self._settings.resolution_ms,
        ):
            state = states[entity_id]
            if not state.is_hub:
                written.new_hubs.append(Entity(relationship.end, entity_id))
            state.hub_since = hub_since

    def _culprits(self, events: Sequence[Event], checkpoint: Checkpoint | None) -> dict[str, str]:
        """Ids of the events that the graph refuses by themselves, with its words, found by trial and rollback."""
        self._try([], checkpoint)  # a graph that refuses even this is not well: no event is to blame
        found: dict[str, str] = {}
        pending = [list(events)]
        while pending:
            part = pending.pop()
            try:
                self._try(part, None)
            except Unavailable:
                raise
            except ServiceError as error:
                if len(part) == 1:
                    found[id_of(part[0])] = str(error)
                else:
                    middle = len(part) // 2
                    pending += [part[:middle], part[middle:]]
        return found

    def _try(self, events: Sequence[Event], checkpoint: Checkpoint | None) -> None:
        def work(tx: Tx) -> None:
            self._write_in(tx, events)
            if checkpoint is not None:
                checkpoint.advance(tx)
            raise _RolledBackError

        try:
            self._graph.write(work)
        except _RolledBackError:
            return


class _RolledBackError(Exception):
    """Ends a trial: everything it wrote is undone."""


def _states(tx: Tx, statement: str, rows: list[Row]) -> dict[str, EntityState]:
    return {rows[i]["id"]: EntityState(*state) for i, *state in answer(tx, statement, rows=rows, never=NEVER)}


def _merge(tx: Tx, relationship: Relationship, spans: Spans, written: Written) -> None:
    """Write relationships, and note the counters that they raised."""
    starts, ends = written.entities[relationship.start], written.entities[relationship.end]
    touched = [(starts[start], ends[end]) for start, end in spans]
    rows = [
        {"i": i, "start": start.element_id, "end": end.element_id, "first": first, "last": last}
        for i, ((start, end), (first, last)) in enumerate(zip(touched, spans.values(), strict=True))
    ]
    for i, start_count, end_count in answer(tx, statements.merge_relationships(relationship), rows=rows):
        start, end = touched[i]
        if relationship.start_counter:
            _raise(start, relationship.start_counter, start_count)
        if relationship.end_counter:
            _raise(end, relationship.end_counter, end_count)


def _raise(state: EntityState, counter: str, value: int) -> None:
    if value > getattr(state, counter):
        setattr(state, counter, value)
