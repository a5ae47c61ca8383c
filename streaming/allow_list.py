"""Entities that are known to be shared for an honest reason, and until when that is taken to be so.

Like a hub, an allow-listed entity never holds a ring together: a finding with no other core is dropped, and in
others it is no member. What counts is the finding's event time, so that a replay says the same. An entry has an
end and no beginning: that an address is an office's was true before somebody wrote it down.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from graph.driver import Graph
from graph.events import Entity
from queries.spec import Finding

#: The list is read again after so many seconds.
_REREAD_S = 2.0


class Allowed(msgspec.Struct, frozen=True):
    """Why an entity is allowed, who answers for it, and the event time (epoch ms) before which it is."""

    entity: Entity
    reason: str
    owner: str
    until: int


class AllowListStore:
    """Reads and writes the list in the graph: one ``Allowed`` node for each entity."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def all(self) -> list[Allowed]:
        """Every entry, those that have ended too, in order of kind and id."""
        rows = self._graph.read(
            "MATCH (a:Allowed) RETURN a.label AS label, a.entity AS entity, a.reason AS reason, "
            "a.owner AS owner, a.until AS until"
        )
        entries = [
            Allowed(Entity(row["label"], row["entity"]), row["reason"], row["owner"], row["until"]) for row in rows
        ]
        return sorted(entries, key=lambda entry: entry.entity)

    def add(self, entry: Allowed) -> None:
        """Put an entity on the list, or change what is said of it."""
        label, entity_id = entry.entity
        properties = {
            "label": label,
            "entity": entity_id,
            "reason": entry.reason,
            "owner": entry.owner,
            "until": entry.until,
        }
        self._graph.write(
            lambda tx: tx.run(
                "MERGE (a:Allowed {id: $id}) SET a += $properties", id=_id(entry.entity), properties=properties
            )
        )

    def remove(self, entity: Entity) -> bool:
        """Take an entity off the list; returns whether it was on it."""
        rows = self._graph.write(
            lambda tx: tx.run("MATCH (a:Allowed {id: $id}) DELETE a RETURN $id AS id", id=_id(entity))
        )
        return bool(rows)


class AllowList:
    """The list as a worker knows it, at most some seconds old; ``clock`` gives seconds."""

    def __init__(self, graph: Graph, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = AllowListStore(graph)
        self._clock = clock
        self._read_at: float | None = None
        self._until: dict[Entity, int] = {}

    def refresh(self) -> bool:
        """Read the list again if that is due; returns whether it has changed.

        Raises:
            Unavailable: the graph is away.
        """
        if self._read_at is not None and self._clock() < self._read_at + _REREAD_S:
            return False
        until = {entry.entity: entry.until for entry in self._store.all()}
        changed = until != self._until
        self._until, self._read_at = until, self._clock()
        return changed

    def allowed(self, at: int) -> list[Entity]:
        """The entities that are allowed at an event time (ms)."""
        return sorted(entity for entity, until in self._until.items() if at < until)

    def screen(self, finding: Finding) -> Finding | None:
        """The finding without allow-listed members; none if nothing else holds it together."""
        if not self._until:
            return finding
        members = tuple(
            member for member in finding.members if finding.time >= self._until.get(member.entity, finding.time)
        )
        if len(members) == len(finding.members):
            return finding
        if not any(member.role == "core" for member in members):
            return None
        return msgspec.structs.replace(finding, members=members)


def _id(entity: Entity) -> str:
    return f"{entity.label}|{entity.id}"
