"""The naive way, as tutorials show it: one transaction per event, with one statement that merges all it names."""

from __future__ import annotations

from functools import cache

from benchmarks.ceiling import transaction_row
from graph.driver import Graph
from graph.events import Transaction
from graph.statements import TRANSACTION_ENDS, attributes_of, ends_of, relationships_of

#: Fields of an event that name an entity, in the order in which they are merged.
_ENTITIES = {
    "account": "Account",
    "counterparty": "Account",
    "shipping_address": "Address",
    "billing_address": "Address",
    "card": "Card",
    "device": "Device",
    "email": "Email",
    "ip": "IP",
    "merchant": "Merchant",
    "phone": "Phone",
}


def write(graph: Graph, transaction: Transaction) -> None:
    """Write one event in a transaction of its own."""
    touched = set(transaction.entities())
    named = {
        name: value
        for name, label in _ENTITIES.items()
        if (value := getattr(transaction, name)) is not None and (label, value) in touched
    }
    field_of = {(_ENTITIES[name], value): name for name, value in named.items()}
    pairs = tuple(
        (field_of[relationship.start, start], relationship.type, field_of[relationship.end, end])
        for relationship, start, end in dict.fromkeys(relationships_of(transaction))
    )
    attributes: dict[str, dict[str, object]] = {name: {} for name in named}
    for label, key, name, value in attributes_of(transaction):
        attributes[field_of[label, key]][name] = value
    parameters = {
        **named,
        "attributes": attributes,
        "time": transaction.event_time,
        "properties": transaction_row(transaction)["properties"],
    }
    graph.write(lambda tx: tx.run(_statement(tuple(named), pairs, tuple(ends_of(transaction))), **parameters))


@cache
def _statement(names: tuple[str, ...], pairs: tuple[tuple[str, str, str], ...], ends: tuple[str, ...]) -> str:
    merged = [
        f"MERGE ({name}:{_ENTITIES[name]} {{id: ${name}}}) "
        f"ON CREATE SET {name} += $attributes.{name}, {name}.first_seen = $time SET {name}.last_seen = $time"
        for name in names
    ]
    merged += [
        f"MERGE ({start})-[r{number}:{kind}]->({end}) "
        f"ON CREATE SET r{number}.first_seen = $time SET r{number}.last_seen = $time"
        for number, (start, kind, end) in enumerate(pairs)
    ]
    created = ["CREATE (t:Transaction) SET t = $properties CREATE (card)-[:MADE]->(t)"]
    created += [f"CREATE (t)-[:{TRANSACTION_ENDS[name][0]}]->({name})" for name in ends]
    return " ".join(merged + created)
