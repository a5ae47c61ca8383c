"""The writer's Cypher, made from the schema.

Every statement takes its rows as one parameter and answers with one record, whose ``rows`` is a list of lists: a
record of its own for every row would cost the client more than the row does. For the same reason an answer names
a row by ``i``, its place in what was sent. Entities are sought by id once; what follows in the same transaction
finds them by the element id that the upsert returned, which spares the index.

A node or relationship is created at once with all that its batch tells of it: ArcadeDB splits a record that grows,
and every later read of it pays for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from graph.events import Transaction
from graph.schema import ENTITY_LABELS, RELATIONSHIPS, Relationship

KNOWN_TRANSACTIONS = "UNWIND $ids AS id MATCH (t:Transaction {id: id}) RETURN collect([t.id, t.digest]) AS rows"

REGISTER_HOURS = "UNWIND $hours AS hour MERGE (h:Hour {id: hour})"

#: Constant attributes of entities: (label, id field, property, event field, which of two values is kept).
#: A constant that is seen with two values keeps one by comparison, whatever order they came in.
_ATTRIBUTES: tuple[tuple[str, str, str, str, Literal["min", "max"]], ...] = (
    ("Account", "account", "created", "account_created", "min"),
    ("Card", "card", "bin", "card_bin", "min"),
    ("Card", "card", "credit_limit", "credit_limit", "max"),
    ("IP", "ip", "network", "network", "min"),
    ("Merchant", "merchant", "category", "merchant_category", "min"),
    ("Merchant", "merchant", "country", "merchant_country", "min"),
)
_KEPT = {(label, name): keep for label, _, name, _, keep in _ATTRIBUTES}

#: Entities that a transaction points at: event field → (relationship, label).
TRANSACTION_ENDS = {
    "merchant": ("AT", "Merchant"),
    "device": ("ON", "Device"),
    "ip": ("FROM", "IP"),
    "shipping_address": ("SHIPPED_TO", "Address"),
    "counterparty": ("TO", "Account"),
}

#: Those whose hours transactions are sought by.
SOUGHT_ENDS = tuple(name for name in TRANSACTION_ENDS if name != "shipping_address")

#: Event fields that a transaction node keeps under the same name.
TRANSACTION_PROPERTIES = (
    "amount",
    "currency",
    "status",
    "channel",
    "account",
    "email",
    "phone",
    "billing_address",
    "promotion",
    "counterparty",
    "latitude",
    "longitude",
    "credit_limit",
    "original_transaction_id",
    "digest",
)

#: All that a transaction node keeps, but for what it is described by.
_KEPT_OF_TRANSACTION = (
    *TRANSACTION_PROPERTIES,
    *("id", "time", "hour", "declined_hour", "refunded_account"),
    *(f"{name}_hour" for name in SOUGHT_ENDS),
)

_BY_TYPE = {(r.type, r.start, r.end): r for r in RELATIONSHIPS}
_OWNS = _BY_TYPE["OWNS", "Account", "Card"]
_SENT = _BY_TYPE["SENT", "Account", "Account"]
_FROM_ACCOUNT = (
    ("email", _BY_TYPE["HAS", "Account", "Email"]),
    ("phone", _BY_TYPE["HAS", "Account", "Phone"]),
    ("shipping_address", _BY_TYPE["HAS", "Account", "Address"]),
    ("billing_address", _BY_TYPE["HAS", "Account", "Address"]),
)
_FROM_CARD = (
    ("merchant", _BY_TYPE["PAID", "Card", "Merchant"]),
    ("device", _BY_TYPE["USED", "Card", "Device"]),
    ("ip", _BY_TYPE["USED", "Card", "IP"]),
)


def ends_of(transaction: Transaction) -> dict[str, str]:
    """The ids of the entities that a transaction points at, by event field; a counterparty if it is a transfer."""
    ends = {name: end for name in TRANSACTION_ENDS if (end := getattr(transaction, name)) is not None}
    if "counterparty" in ends and transaction.receiver is None:
        del ends["counterparty"]
    return ends


def relationships_of(transaction: Transaction) -> Iterator[tuple[Relationship, str, str]]:
    """The aggregated relationships that a transaction refreshes, as (relationship, start id, end id)."""
    if transaction.account is not None:
        yield _OWNS, transaction.account, transaction.card
        for name, relationship in _FROM_ACCOUNT:
            if (end := getattr(transaction, name)) is not None:
                yield relationship, transaction.account, end
        if (receiver := transaction.receiver) is not None:
            yield _SENT, transaction.account, receiver
    for name, relationship in _FROM_CARD:
        if (end := getattr(transaction, name)) is not None:
            yield relationship, transaction.card, end


def attributes_of(transaction: Transaction) -> Iterator[tuple[str, str, str, Any]]:
    """The constant attributes that a transaction tells, as (label, entity id, property, value)."""
    for label, id_field, name, event_field, _ in _ATTRIBUTES:
        value = getattr(transaction, event_field)
        entity_id = getattr(transaction, id_field)
        if value is not None and entity_id is not None:
            yield label, entity_id, name, value


def merged_attribute(label: str, name: str, old: Any, new: Any) -> Any:
    """The value that is kept of two."""
    if old is None:
        return new
    return min(old, new) if _KEPT[label, name] == "min" else max(old, new)


_COUNTERS = {
    label: sorted(
        {"degree"}
        | {r.start_counter for r in RELATIONSHIPS if r.start == label and r.start_counter}
        | {r.end_counter for r in RELATIONSHIPS if r.end == label and r.end_counter}
    )
    for label in ENTITY_LABELS
}

_STATE = "elementId(n), n.degree, coalesce(n.identifiers, 0), coalesce(n.senders, 0), n.hub_since"


@cache
def upsert_entities(label: str) -> str:
    """Rows {i, id, first, last, attributes…}: merge and lock; answers with i and an :class:`.EntityState`.

    ``last_seen`` is set on every row even where it stays the same: that takes the node's lock.
    """
    own = [(name, keep) for (kept_label, name), keep in _KEPT.items() if kept_label == label]
    initial = "".join(f"n.{name} = row.{name}, " for name, _ in own)
    counters = "".join(f"n.{name} = 0, " for name in _COUNTERS[label])
    attributes = "".join(
        f"FOREACH (_ IN CASE WHEN row.{name} IS NOT NULL AND "
        f"(n.{name} IS NULL OR row.{name} {'<' if keep == 'min' else '>'} n.{name}) THEN [1] ELSE [] END "
        f"| SET n.{name} = row.{name}) "
        for name, keep in own
    )
    return (
        "UNWIND $rows AS row "
        f"MERGE (n:{label} {{id: row.id}}) "
        f"ON CREATE SET {counters}{initial}"
        "n.is_hub = false, n.hub_since = $never, n.first_seen = row.first, n.last_seen = $never "
        "WITH n, row, CASE WHEN n.last_seen < $never THEN n.last_seen END AS previous "
        "SET n.last_seen = CASE WHEN previous IS NULL OR row.last > previous THEN row.last ELSE previous END "
        "FOREACH (_ IN CASE WHEN row.first < n.first_seen THEN [1] ELSE [] END | SET n.first_seen = row.first) "
        f"{attributes}"
        f"RETURN collect([row.i, {_STATE}, previous, coalesce(n.fraud_labels, 0)]) AS rows"
    )


@cache
def read_entities(label: str) -> str:
    """Rows {i, id}: the state of entities, as :func:`upsert_entities` returns it."""
    return (
        f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) "
        f"RETURN collect([row.i, {_STATE}, n.last_seen, coalesce(n.fraud_labels, 0)]) AS rows"
    )


@cache
def merge_relationships(relationship: Relationship) -> str:
    """Rows {i, start, end, first, last}, both ends by element id: create and count, or widen.

    Answers with i and the counters at both ends. These rise while the rows are answered: of several for one
    node the largest is the last.
    """
    counted = ", ".join(
        f"{node}.{counter} = coalesce({node}.{counter}, 0) + 1"
        for node, counter in (("a", relationship.start_counter), ("b", relationship.end_counter))
        if counter
    )
    counters = ", ".join(
        f"{node}.{counter}" if counter else "0"
        for node, counter in (("a", relationship.start_counter), ("b", relationship.end_counter))
    )
    return (
        "UNWIND $rows AS row "
        f"MATCH (a:{relationship.start}) WHERE elementId(a) = row.start "
        f"MATCH (b:{relationship.end}) WHERE elementId(b) = row.end "
        f"OPTIONAL MATCH (a)-[r:{relationship.type}]->(b) "
        "FOREACH (_ IN CASE WHEN r IS NULL THEN [1] ELSE [] END | "
        f"CREATE (a)-[:{relationship.type} {{first_seen: row.first, last_seen: row.last}}]->(b) SET {counted}) "
        "FOREACH (_ IN CASE WHEN r IS NULL THEN [] ELSE [1] END | SET "
        "r.first_seen = CASE WHEN row.first < r.first_seen THEN row.first ELSE r.first_seen END, "
        "r.last_seen = CASE WHEN row.last > r.last_seen THEN row.last ELSE r.last_seen END) "
        f"RETURN collect([row.i, {counters}]) AS rows"
    )


@cache
def mark_hubs(relationship: Relationship) -> str:
    """Ids at the relationship's end: set ``is_hub`` and ``hub_since`` (when the (cap + 1)th neighbour came).

    That time is known to a resolution only. The end of its step is taken, so that every touch before
    ``hub_since`` was seen by rules whatever the batches were.
    """
    return (
        f"UNWIND $ids AS id MATCH (n:{relationship.end} {{id: id}}) "
        f"CALL {{ WITH n MATCH (n)<-[r:{relationship.type}]-(:{relationship.start}) "
        "RETURN r.first_seen AS hub_since ORDER BY hub_since SKIP $cap LIMIT 1 } "
        "SET n.is_hub = true, n.hub_since = hub_since + $resolution "
        "RETURN collect([n.id, n.hub_since]) AS rows"
    )


@cache
def create_transactions(ends: frozenset[str], described: frozenset[str]) -> str:
    """Rows {card, properties, merchant, device, …}: a transaction each, with relationships to element ids.

    ``described`` names what ``properties`` may hold beside :func:`.transaction_properties`.
    """
    matches = "".join(
        f"MATCH ({name}:{label}) WHERE elementId({name}) = row.{name} "
        for name, (_, label) in TRANSACTION_ENDS.items()
        if name in ends
    )
    creates = "".join(
        f" CREATE (t)-[:{kind}]->({name})" for name, (kind, _) in TRANSACTION_ENDS.items() if name in ends
    )
    properties = ", ".join(f"{name}: p.{name}" for name in (*_KEPT_OF_TRANSACTION, *sorted(described)))
    return (
        f"UNWIND $rows AS row MATCH (c:Card) WHERE elementId(c) = row.card {matches}"
        f"WITH *, row.properties AS p CREATE (t:Transaction {{{properties}}}) "
        f"CREATE (c)-[:MADE]->(t){creates}"
    )
