"""A batch as rows: what the writer's statements are given, and what they answer.

All rows are in one order, that of ids, in which every writer locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graph import statements
from graph.driver import Row, Tx
from graph.events import Transaction
from graph.schema import ENTITY_LABELS, HOUR_MS, NEVER, RELATIONSHIPS, Relationship, hour_bucket

#: Label → entity id → the sorted distinct event times (epoch ms) at which a batch touched it.
TouchTimes = dict[str, dict[str, list[int]]]

#: (start id, end id) → (first, last), epoch ms floored to the resolution.
Spans = dict[tuple[str, str], tuple[int, int]]


class EntityState(msgspec.Struct, gc=False):
    """What the upsert says of an entity.

    ``element_id`` is good within its transaction. The counters are those after the batch; ``last_seen_before`` is
    the newest event before it (epoch ms), and ``events`` how many of the batch's touched it (0: not known).
    """

    element_id: str
    degree: int
    identifiers: int
    senders: int
    hub_since: int
    last_seen_before: int | None
    fraud_labels: int = 0
    events: int = 0

    @property
    def is_hub(self) -> bool:
        """Whether it has passed its label's cap."""
        return self.hub_since < NEVER


def answer(tx: Tx, statement: str, **parameters: Any) -> list[Any]:
    """The rows in the one record by which a statement answers."""
    (record,) = tx.run(statement, **parameters)
    rows: list[Any] = record["rows"]
    return rows


def touches_of(transactions: Iterable[Transaction], labelled: Mapping[str, set[int]]) -> TouchTimes:
    """When each entity was touched; ``labelled`` are the cards that labels touch, and when."""
    times: dict[str, defaultdict[str, set[int]]] = {label: defaultdict(set) for label in ENTITY_LABELS}
    for card, moments in labelled.items():
        times["Card"][card] |= moments
    for transaction in transactions:
        time = transaction.event_time
        for label, entity_id in transaction.entities():
            times[label][entity_id].add(time)
    return {
        label: {entity_id: sorted(found[entity_id]) for entity_id in sorted(found)}
        for label, found in times.items()
        if found
    }


def entity_rows(transactions: Iterable[Transaction], touches: TouchTimes) -> dict[str, list[Row]]:
    """One row per touched entity, per label in locking order: i, id, first, last and constant attributes."""
    rows: dict[str, dict[str, Row]] = {
        label: {
            entity_id: {"i": i, "id": entity_id, "first": times[0], "last": times[-1]}
            for i, (entity_id, times) in enumerate(touched.items())
        }
        for label, touched in touches.items()
    }
    for transaction in transactions:
        for label, entity_id, name, value in statements.attributes_of(transaction):
            row = rows[label][entity_id]
            row[name] = statements.merged_attribute(label, name, row.get(name), value)
    return {label: list(found.values()) for label, found in rows.items()}


def count_events(
    entities: Mapping[str, Mapping[str, EntityState]],
    transactions: Iterable[Transaction],
    labelled: Mapping[str, Sequence[int]],
) -> None:
    """Note how many of a batch's events touched each entity."""
    for card, times in labelled.items():
        entities["Card"][card].events = len(times)
    for transaction in transactions:
        for label, entity_id in transaction.entities():
            entities[label][entity_id].events += 1


def transaction_rows(
    transactions: Iterable[Transaction],
    entities: Mapping[str, Mapping[str, EntityState]],
    described: Mapping[str, Row],
) -> dict[frozenset[str], list[Row]]:
    """Rows grouped by which entities a transaction names, as each group is one statement.

    ``described`` has by id what a transaction's node gets beside what the transaction says.
    """
    shapes: dict[frozenset[str], list[Row]] = defaultdict(list)
    for t in transactions:
        ends = {
            name: entities[statements.TRANSACTION_ENDS[name][1]][entity_id].element_id
            for name, entity_id in statements.ends_of(t).items()
        }
        card = entities["Card"][t.card].element_id
        properties = transaction_properties(t) | described.get(t.transaction_id, {})
        shapes[frozenset(ends)].append({"card": card, "properties": properties, **ends})
    return shapes


def transaction_properties(transaction: Transaction) -> dict[str, Any]:
    """What a transaction's node keeps."""
    properties = {
        name: value
        for name in statements.TRANSACTION_PROPERTIES
        if (value := getattr(transaction, name)) is not None
    }
    time = transaction.event_time
    properties |= {"id": transaction.transaction_id, "time": time, "hour": time // HOUR_MS}
    ends = statements.ends_of(transaction)
    properties |= {
        f"{name}_hour": hour_bucket(ends[name], time) for name in statements.SOUGHT_ENDS if name in ends
    }
    if transaction.status == "declined" and transaction.merchant is not None:
        properties["declined_hour"] = hour_bucket(transaction.merchant, time)
    if transaction.status == "refunded" and transaction.account is not None:
        properties["refunded_account"] = transaction.account
    return properties


def spans_of(transactions: Iterable[Transaction], resolution_ms: int) -> dict[Relationship, Spans]:
    """When each relationship that these transactions refresh was seen, floored to the resolution."""
    spans: dict[Relationship, Spans] = {relationship: {} for relationship in RELATIONSHIPS}
    for transaction in transactions:
        time = transaction.event_time // resolution_ms * resolution_ms
        for relationship, start, end in statements.relationships_of(transaction):
            widen(spans[relationship], (start, end), (time, time))
    return {relationship: {pair: pairs[pair] for pair in sorted(pairs)} for relationship, pairs in spans.items()}


def widen(spans: Spans, pair: tuple[str, str], span: tuple[int, int]) -> None:
    """Let a pair's span reach as far as another one."""
    held = spans.get(pair)
    if held is None:
        spans[pair] = span
    elif span[0] < held[0] or span[1] > held[1]:
        spans[pair] = (min(held[0], span[0]), max(held[1], span[1]))
