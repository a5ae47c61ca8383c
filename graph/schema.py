"""The graph's schema as data, applied and verified idempotently on both engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph.errors import ServiceError

if TYPE_CHECKING:
    from graph.driver import Graph

#: Raised when stored properties change meaning; a graph of another version is refused.
VERSION = 2

#: Entities in the one order in which every writer locks them.
ENTITY_LABELS = ("Account", "Address", "Card", "Device", "Email", "IP", "Merchant", "Phone")

#: Everything with a unique ``id``.
LABELS = (
    *ENTITY_LABELS,
    *("Transaction", "Label", "Hour", "Tally"),
    *("Ring", "Evidence", "Checkpoint", "Deferred", "Outbox", "Ledger", "Allowed"),
    *("Scorer", "Unscored"),
)

#: ``hub_since`` of an entity that is no hub: later than every event.
NEVER = 2**62

HOUR_MS = 3_600_000


@dataclass(frozen=True, eq=False)  # one object each, found by identity on the hot path
class Relationship:
    """An aggregated relationship of the entity graph, kept with ``first_seen`` and ``last_seen``.

    ``…_counter`` names the counter that a new relationship raises at that end; ``end_counter`` decides about hubs.
    """

    type: str
    start: str
    end: str
    start_counter: str | None = None
    end_counter: str | None = None


#: In the one order in which every writer merges them.
RELATIONSHIPS = (
    Relationship("HAS", "Account", "Address", start_counter="identifiers", end_counter="degree"),
    Relationship("HAS", "Account", "Email", start_counter="identifiers", end_counter="degree"),
    Relationship("HAS", "Account", "Phone", start_counter="identifiers", end_counter="degree"),
    Relationship("OWNS", "Account", "Card", start_counter="degree"),
    Relationship("PAID", "Card", "Merchant", end_counter="degree"),
    Relationship("USED", "Card", "Device", end_counter="degree"),
    Relationship("USED", "Card", "IP", end_counter="degree"),
    Relationship("SENT", "Account", "Account", end_counter="senders"),
)

#: Label → the counter that is compared with its hub cap.
HUB_COUNTERS = {r.end: r.end_counter for r in RELATIONSHIPS if r.end_counter}

#: (label, property) pairs that queries seek by. The ``…_hour`` properties hold ``<entity id>|<hours since the
#: epoch>``: a windowed read at an entity seeks its hours and never expands its whole history.
#: ``declined_hour`` is the merchant's of a declined transaction and ``refunded_account`` the account of a refund:
#: these are few, and are found without reading the others.
#: ``hour`` is what retention seeks by; an ``Hour`` node stands for every hour that has transactions, or labels
#: without one.
INDEXES = (
    ("Transaction", "hour"),
    ("Transaction", "merchant_hour"),
    ("Transaction", "declined_hour"),
    ("Transaction", "device_hour"),
    ("Transaction", "ip_hour"),
    ("Transaction", "refunded_account"),
    ("Transaction", "counterparty_hour"),
    ("Label", "subject"),
    ("Label", "hour"),
    ("Label", "waits"),
    ("Ring", "status"),
    ("Ring", "verdict"),
    ("Evidence", "ring"),
    ("Deferred", "queue"),
    ("Outbox", "lane"),
    ("Unscored", "hour"),
)


def hour_bucket(entity_id: str, time: int) -> str:
    """The value of a ``…_hour`` property for a transaction at ``time`` (epoch ms)."""
    return f"{entity_id}|{time // HOUR_MS}"


def _constraint_name(label: str) -> str:
    return f"{label.lower()}_id"


def _index_name(label: str, key: str) -> str:
    return f"{label.lower()}_{key}"


def statements() -> list[str]:
    """The Cypher that creates whatever is missing."""
    unique = [
        f"CREATE CONSTRAINT {_constraint_name(label)} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
        for label in LABELS
    ]
    indexes = [
        f"CREATE INDEX {_index_name(label, key)} IF NOT EXISTS FOR (n:{label}) ON (n.{key})"
        for label, key in INDEXES
    ]
    return unique + indexes


def missing(graph: Graph) -> list[str]:
    """What the graph lacks of the schema, as ``Label.property`` (empty when it is complete)."""
    found = {
        (labels[0], properties[0])
        for row in graph.read("SHOW INDEXES")
        if (labels := row["labelsOrTypes"]) and (properties := row["properties"]) and len(properties) == 1
    }
    wanted = [(label, "id") for label in LABELS] + list(INDEXES)
    return [f"{label}.{key}" for label, key in wanted if (label, key) not in found]


def apply(graph: Graph) -> None:
    """Create what is missing, wait until it is usable, and check that it is there.

    Raises:
        ServiceError: the graph still lacks something, or was written by another version of Ringwatch.
    """
    if missing(graph):
        for statement in statements():
            graph.run_schema(statement)
    graph.await_indexes()
    if lacking := missing(graph):
        raise ServiceError(f"the graph's schema is incomplete: {', '.join(lacking)}")
    register(graph)


def register(graph: Graph) -> None:
    """Give an empty graph its name and version.

    Raises:
        ServiceError: it was written by another version of Ringwatch.
    """
    graph.write(
        lambda tx: tx.run(
            "MERGE (l:Ledger {id: 'ringwatch'}) "
            "ON CREATE SET l.graph = randomUUID(), l.schema_version = $version, l.version = 0",
            version=VERSION,
        )
    )
    found = graph.read("MATCH (l:Ledger {id: 'ringwatch'}) RETURN l.schema_version AS version")[0]["version"]
    if found != VERSION:
        raise ServiceError(f"the graph has schema version {found}, this Ringwatch needs {VERSION}")
