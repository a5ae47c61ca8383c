"""The ceiling: what the same rows cost as bare batched Cypher, with nothing that makes a detector of it.

One explicit transaction per batch: entities and aggregated relationships merged with their times set, transactions
created. No look for duplicates, no degrees or hubs, no merging of times by min and max, no checkpoint, no rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

from graph.driver import Graph, Row, Tx
from graph.events import Transaction
from graph.rows import transaction_properties
from graph.schema import ENTITY_LABELS, RELATIONSHIPS, Relationship
from graph.statements import TRANSACTION_ENDS, attributes_of, ends_of, relationships_of
from graph.writer import WriterSettings

#: Statements with their rows, in the order in which they run.
Statements = list[tuple[str, list[Row]]]

_RESOLUTION_MS = WriterSettings().resolution_ms


def statements(transactions: Iterable[Transaction]) -> Statements:
    """A batch as statements with rows, aggregated as Ringwatch aggregates them: one row per entity and pair."""
    entities: dict[str, dict[str, Row]] = {label: {} for label in ENTITY_LABELS}
    pairs: dict[Relationship, dict[tuple[str, str], Row]] = {relationship: {} for relationship in RELATIONSHIPS}
    shapes: dict[frozenset[str], list[Row]] = defaultdict(list)
    for transaction in transactions:
        time = transaction.event_time
        for label, key in transaction.entities():
            row = entities[label].setdefault(key, {"id": key, "first": time, "last": time, "attributes": {}})
            _widen(row, time)
        for label, key, name, value in attributes_of(transaction):
            entities[label][key]["attributes"][name] = value
        floored = time // _RESOLUTION_MS * _RESOLUTION_MS
        for relationship, start, end in relationships_of(transaction):
            pair = {"start": start, "end": end, "first": floored, "last": floored}
            _widen(pairs[relationship].setdefault((start, end), pair), floored)
        row = transaction_row(transaction)
        shapes[frozenset(row.keys() - {"card", "properties"})].append(row)
    found = [(_merge_entities(label), _in_order(rows)) for label, rows in entities.items() if rows]
    found += [(_merge_pairs(relationship), _in_order(rows)) for relationship, rows in pairs.items() if rows]
    return found + [(_create_transactions(shape), rows) for shape, rows in shapes.items()]


def write(graph: Graph, batch: Statements) -> None:
    """Run a batch's statements in one transaction."""

    def work(tx: Tx) -> None:
        for statement, rows in batch:
            tx.run(statement, rows=rows)

    graph.write(work)


def transaction_row(transaction: Transaction) -> Row:
    """A transaction's node: card, the entities that it points at, and ``properties``, those of Ringwatch."""
    return {
        "card": transaction.card,
        "properties": transaction_properties(transaction),
        **ends_of(transaction),
    }


def _widen(row: Row, time: int) -> None:
    row["first"], row["last"] = min(row["first"], time), max(row["last"], time)


def _in_order(rows: dict[Any, Row]) -> list[Row]:
    return [rows[key] for key in sorted(rows)]


@cache
def _merge_entities(label: str) -> str:
    return (
        f"UNWIND $rows AS row MERGE (n:{label} {{id: row.id}}) "
        "ON CREATE SET n += row.attributes, n.first_seen = row.first, n.last_seen = row.last "
        "ON MATCH SET n.last_seen = row.last"
    )


@cache
def _merge_pairs(relationship: Relationship) -> str:
    return (
        f"UNWIND $rows AS row MATCH (a:{relationship.start} {{id: row.start}}) "
        f"MATCH (b:{relationship.end} {{id: row.end}}) MERGE (a)-[r:{relationship.type}]->(b) "
        "ON CREATE SET r.first_seen = row.first, r.last_seen = row.last ON MATCH SET r.last_seen = row.last"
    )


@cache
def _create_transactions(ends: frozenset[str]) -> str:
    matches = "".join(f"MATCH ({end}:{TRANSACTION_ENDS[end][1]} {{id: row.{end}}}) " for end in sorted(ends))
    creates = "".join(f" CREATE (t)-[:{TRANSACTION_ENDS[end][0]}]->({end})" for end in sorted(ends))
    return (
        f"UNWIND $rows AS row MATCH (c:Card {{id: row.card}}) {matches}"
        f"CREATE (t:Transaction) SET t = row.properties CREATE (c)-[:MADE]->(t){creates}"
    )
