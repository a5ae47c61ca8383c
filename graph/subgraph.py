"""Bounded reads of an entity's neighbourhood: one query per hop, never through a hub, the same on every engine.

Only the aggregated relationships are walked (OWNS, HAS, USED, PAID, SENT), never single transactions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from graph.driver import Graph, Row
from graph.events import Entity
from graph.schema import ENTITY_LABELS, NEVER, RELATIONSHIPS, Relationship

#: An entity with more accounts, cards, identifiers or senders than this is not expanded, hub or not.
_LARGEST_EXPANDED = 1_000

_STATE = (
    "{node}.id AS id, {node}.degree AS degree, coalesce({node}.identifiers, 0) AS identifiers, "
    "coalesce({node}.senders, 0) AS senders, "
    "{node}.is_hub AS is_hub, {node}.first_seen AS node_first, {node}.last_seen AS node_last"
)


@dataclass(frozen=True)
class Node:
    """An entity at ``hop`` steps from the centre; times are UTC epoch ms. A hub is a leaf."""

    entity: Entity
    hop: int
    degree: int
    identifiers: int
    senders: int
    is_hub: bool
    first_seen: int
    last_seen: int

    @property
    def passable(self) -> bool:
        """Whether its own neighbours may be read."""
        return not self.is_hub and max(self.degree, self.identifiers, self.senders) <= _LARGEST_EXPANDED


@dataclass(frozen=True)
class Edge:
    """An aggregated relationship, its times floored to the writer's resolution."""

    type: str
    start: Entity
    end: Entity
    first_seen: int
    last_seen: int


@dataclass(frozen=True)
class Subgraph:
    """Nodes by hop, then the most recent first, the centre leading; and the relationships walked between them.

    ``truncated`` says that more lies within reach: behind a hub, or beyond a bound.
    """

    nodes: list[Node]
    relationships: list[Edge]
    truncated: bool


@dataclass(frozen=True)
class _Step:
    """One kind of relationship in one direction."""

    relationship: Relationship
    outward: bool

    @property
    def near(self) -> str:
        return self.relationship.start if self.outward else self.relationship.end

    @property
    def far(self) -> str:
        return self.relationship.end if self.outward else self.relationship.start

    def query(self, number: int) -> str:
        arrow = f"-[r:{self.relationship.type}]->" if self.outward else f"<-[r:{self.relationship.type}]-"
        return (
            f"UNWIND $ids_{self.near} AS near MATCH (n:{self.near} {{id: near}}) "
            f"CALL {{ WITH n MATCH (n){arrow}(m:{self.far}) WHERE r.first_seen <= $until "
            "WITH m, r.first_seen AS first, "
            "CASE WHEN r.last_seen > $until THEN $until ELSE r.last_seen END AS last "
            "RETURN m, first, last ORDER BY last DESC, first DESC, m.id LIMIT $limit } "
            f"RETURN {number} AS step, near, first, last, {_STATE.format(node='m')}"
        )


_STEPS = [_Step(relationship, outward) for relationship in RELATIONSHIPS for outward in (True, False)]
_HOP_QUERY = " UNION ALL ".join(step.query(number) for number, step in enumerate(_STEPS))


def neighbourhood(
    graph: Graph,
    entity: Entity,
    *,
    hops: int = 2,
    max_nodes: int = 300,
    per_node: int = 50,
    until_ms: int | None = None,
) -> Subgraph:
    """What lies within ``hops`` steps of an entity, as it was known at ``until_ms`` (UTC epoch ms; now if None).

    Of each node at most ``per_node`` neighbours of a kind are walked to, the most recent first, and at most
    ``max_nodes`` nodes are returned in all. A hub is returned as a leaf (a hub at the centre stands alone).
    Relationships that began after ``until_ms`` are left out, and later times are cut to it. The result is empty
    if the graph does not know the entity.

    Raises:
        ValueError: the entity's label is not one of the schema's.
    """
    if entity.label not in ENTITY_LABELS:
        raise ValueError(f"{entity.label!r} is not an entity: it is none of {ENTITY_LABELS}")
    until = NEVER if until_ms is None else until_ms
    rows = graph.read(
        f"MATCH (n:{entity.label} {{id: $id}}) WHERE n.first_seen <= $until RETURN {_STATE.format(node='n')}",
        id=entity.id,
        until=until,
    )
    nodes = {node.entity: node for node in (_node(entity.label, row, 0, until) for row in rows)}
    edges: dict[tuple[str, Entity, Entity], Edge] = {}
    truncated = False
    frontier = list(nodes.values())
    for hop in range(1, hops + 1):
        truncated |= not all(node.passable for node in frontier)
        passable = [node.entity for node in frontier if node.passable]
        if not passable:
            break
        walked, cut = _walk(graph, passable, per_node, until)
        truncated |= cut
        frontier = []
        for step, near, row in walked:
            node = _node(step.far, row, hop, until)
            if node.entity not in nodes:
                if len(nodes) >= max_nodes:
                    truncated = True
                    continue
                nodes[node.entity] = node
                frontier.append(node)
            start, end = (near, node.entity) if step.outward else (node.entity, near)
            kind = step.relationship.type
            edges[kind, start, end] = Edge(kind, start, end, row["first"], row["last"])
    return Subgraph(list(nodes.values()), [edges[key] for key in sorted(edges)], truncated)


def _walk(
    graph: Graph, frontier: Iterable[Entity], per_node: int, until: int
) -> tuple[list[tuple[_Step, Entity, Row]], bool]:
    """The steps out of a frontier, the most recent first, and whether ``per_node`` cut any off."""
    ids: dict[str, list[str]] = {f"ids_{label}": [] for label in ENTITY_LABELS}
    for entity in frontier:
        ids[f"ids_{entity.label}"].append(entity.id)
    # One more than wanted tells whether something is left.
    rows = graph.read(_HOP_QUERY, until=until, limit=per_node + 1, **ids)
    groups: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["step"], row["near"]].append(row)
    cut = any(len(group) > per_node for group in groups.values())
    walked = [
        (_STEPS[number], Entity(_STEPS[number].near, near), row)
        for (number, near), group in groups.items()
        for row in sorted(group, key=_most_recent_first)[:per_node]
    ]
    walked.sort(key=lambda item: (*_most_recent_first(item[2]), item[0].far, item[1], item[0].relationship.type))
    return walked, cut


def _most_recent_first(row: Row) -> tuple[int, int, str]:
    return -row["last"], -row["first"], row["id"]


def _node(label: str, row: Row, hop: int, until: int) -> Node:
    return Node(
        entity=Entity(label, row["id"]),
        hop=hop,
        degree=row["degree"],
        identifiers=row["identifiers"],
        senders=row["senders"],
        is_hub=row["is_hub"],
        first_seen=row["node_first"],
        last_seen=min(row["node_last"], until),
    )
