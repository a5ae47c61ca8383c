"""Rings in the graph: how they are stored, loaded and shared between workers.

One ``Ledger`` node serialises all who change rings: its lock is taken first, and its version tells a worker that
another one has changed rings since it last looked. Alerts wait in an outbox, numbered by lane, written in the
transaction that changes their rings, so that a crash can neither lose nor repeat one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from graph.driver import Graph, Row, Tx
from graph.events import Entity
from graph.schema import ENTITY_LABELS
from streaming.rings import STRENGTH, Fact, Ring, RingMember, Update

_LIVE = "open"
_PAGE = 500
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Ring)


class StaleBookError(Exception):
    """Another worker has changed rings: what this one has in memory must be loaded again."""


class Letter(msgspec.Struct, frozen=True):
    """An alert in the outbox: the ``number``-th of its ``lane``, keyed by its ring; ``body`` is the JSON text."""

    lane: str
    number: int
    key: str
    body: str


class RingStore:
    """Reads and writes rings, their evidence and the outbox."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def ledger(self) -> Row:
        """The ledger: ``graph`` (this graph's own id), ``version`` and ``watermark`` (epoch ms or None)."""
        return self._graph.read(
            "MATCH (l:Ledger {id: 'ringwatch'}) "
            "RETURN l.graph AS graph, l.version AS version, l.watermark AS watermark"
        )[0]

    def live(self) -> list[Ring]:
        """The rings that can still grow, with members and evidence."""
        return self._load("MATCH (r:Ring {status: $status}) RETURN r.id AS id, r.state AS state", status=_LIVE)

    def by_ids(self, ring_ids: Iterable[str]) -> dict[str, Ring]:
        """Stored rings by id, whatever their status; a merged one resolves to the ring that it ended in."""
        found: dict[str, Ring] = {}
        pending = {ring_id: ring_id for ring_id in ring_ids}
        while pending:
            rings = self._load(
                "UNWIND $ids AS id MATCH (r:Ring {id: id}) RETURN r.id AS id, r.state AS state",
                ids=sorted(set(pending.values())),
            )
            by_id = {ring.id: ring for ring in rings}
            following: dict[str, str] = {}
            for asked, current in pending.items():
                ring = by_id.get(current)
                if ring is None:
                    continue
                if ring.merged_into is not None:
                    following[asked] = ring.merged_into
                else:
                    found[asked] = ring
            pending = following
        return found

    def all(self, member: Entity | None = None) -> Iterator[Ring]:
        """Every stored ring but the merged ones, oldest first; with ``member``, only those it belongs to."""
        match = (
            "MATCH (r:Ring)" if member is None else f"MATCH (:{member.label} {{id: $id}})-[:MEMBER_OF]->(r:Ring)"
        )
        rows = self._graph.read(
            f"{match} WHERE r.status <> 'merged' RETURN r.id AS id ORDER BY r.first_seen, r.id",
            id=member.id if member else None,
        )
        ids = [row["id"] for row in rows]
        for start in range(0, len(ids), _PAGE):
            page = self.by_ids(ids[start : start + _PAGE])
            yield from (page[ring_id] for ring_id in ids[start : start + _PAGE])

    def count(self) -> dict[str, int]:
        """How many rings there are by status."""
        rows = self._graph.read("MATCH (r:Ring) RETURN r.status AS status, count(r) AS rings")
        return {row["status"]: row["rings"] for row in rows}

    def facts(self, transaction_ids: Iterable[str]) -> dict[str, Fact]:
        """What rings keep of the given transactions."""
        rows = self._graph.read(
            "UNWIND $ids AS id MATCH (t:Transaction {id: id}) "
            "RETURN t.id AS id, t.time AS time, t.amount AS amount, t.currency AS currency",
            ids=sorted(transaction_ids),
        )
        return {row["id"]: Fact(row["time"], row["amount"], row["currency"]) for row in rows}

    def outbox(self, lane: str) -> list[Letter]:
        """The alerts of a lane that are not known to be published, oldest first."""
        rows = self._graph.read(
            "MATCH (o:Outbox {lane: $lane}) RETURN o.number AS number, o.key AS key, o.body AS body "
            "ORDER BY number",
            lane=lane,
        )
        return [Letter(lane, row["number"], row["key"], row["body"]) for row in rows]

    def last_number(self, lane: str) -> int:
        """The number of the last alert ever put into a lane (0: none)."""
        rows = self._graph.read("MATCH (l:Ledger {id: $id}) RETURN l.number AS number", id=f"lane|{lane}")
        return int(rows[0]["number"]) if rows else 0

    def clear_outbox(self, tx: Tx, lane: str, published: int) -> None:
        """Forget the alerts of a lane up to the number that is published, as part of ``tx``."""
        tx.run(
            "MATCH (o:Outbox {lane: $lane}) WHERE o.number <= $published DELETE o",
            lane=lane,
            published=published,
        )

    def save(
        self,
        tx: Tx,
        updates: Sequence[Update],
        letters: Sequence[Letter],
        *,
        version: int,
        watermark: int | None,
    ) -> int:
        """Write changed rings and their alerts as part of ``tx``; returns the ledger's new version.

        Raises:
            StaleBookError: the ledger is not at ``version`` any more.
        """
        new_version = tx.run(
            "MATCH (l:Ledger {id: 'ringwatch'}) SET l.version = l.version + 1, l.watermark = $watermark "
            "RETURN l.version AS version",
            watermark=watermark,
        )[0]["version"]
        if new_version != version + 1:
            raise StaleBookError
        tx.run(
            "UNWIND $rows AS row MERGE (r:Ring {id: row.id}) SET r += row.properties",
            rows=[{"id": u.ring.id, "properties": _properties(u.ring)} for u in updates],
        )
        gone = [u.ring.id for u in updates if u.ring.status == "merged"]
        if gone:
            tx.run("UNWIND $ids AS id MATCH (:Ring {id: id})<-[m:MEMBER_OF]-() DELETE m", ids=gone)
            tx.run("UNWIND $ids AS id MATCH (e:Evidence {ring: id}) DELETE e", ids=gone)
        for label, rows in _member_rows(updates).items():
            tx.run(
                f"UNWIND $rows AS row MATCH (e:{label} {{id: row.id}}) MATCH (r:Ring {{id: row.ring}}) "
                "MERGE (e)-[m:MEMBER_OF]->(r) "
                "SET m.role = row.role, m.since = row.since, m.strength = row.strength",
                rows=rows,
            )
        if evidence := _evidence_rows(updates, new_version):
            tx.run("UNWIND $rows AS row CREATE (e:Evidence) SET e = row", rows=evidence)
        if letters:
            tx.run(
                "UNWIND $rows AS row CREATE (o:Outbox) SET o = row",
                rows=[{"id": f"{one.lane}|{one.number}", **msgspec.to_builtins(one)} for one in letters],
            )
            last = letters[-1]
            tx.run("MERGE (l:Ledger {id: $id}) SET l.number = $number", id=f"lane|{last.lane}", number=last.number)
        return int(new_version)

    def _load(self, query: str, **parameters: Any) -> list[Ring]:
        rings = {row["id"]: _decoder.decode(row["state"]) for row in self._graph.read(query, **parameters)}
        ids = sorted(rings)
        for label in ENTITY_LABELS if ids else ():
            for row in self._graph.read(
                f"UNWIND $ids AS id MATCH (r:Ring {{id: id}})<-[m:MEMBER_OF]-(e:{label}) "
                "RETURN id, e.id AS member, m.role AS role, m.since AS since",
                ids=ids,
            ):
                rings[row["id"]].members[Entity(label, row["member"])] = RingMember(row["role"], row["since"])
        for row in self._graph.read(
            "UNWIND $ids AS id MATCH (e:Evidence {ring: id}) RETURN id, e.transactions AS transactions, "
            "e.times AS times, e.amounts AS amounts, e.currencies AS currencies",
            ids=ids,
        ):
            evidence = zip(row["transactions"], row["times"], row["amounts"], row["currencies"], strict=True)
            rings[row["id"]].evidence.update({key: Fact(*fact) for key, *fact in evidence})
        return list(rings.values())


def _properties(ring: Ring) -> dict[str, Any]:
    """What the node says to people, and its state for the next start."""
    state = msgspec.structs.replace(ring, members={}, evidence={})
    amounts = ring.amounts()
    return {
        "status": ring.status,
        "severity": ring.severity,
        "typologies": sorted(ring.typologies),
        "first_seen": ring.first_seen,
        "last_seen": ring.last_seen,
        "revision": ring.revision,
        "member_count": len(ring.members),
        "transaction_count": len(ring.evidence),
        "currencies": list(amounts),
        "amounts": list(amounts.values()),
        "merged_into": ring.merged_into,
        "state": _encoder.encode(state).decode(),
    }


def _member_rows(updates: Iterable[Update]) -> Mapping[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for update in updates:
        if update.ring.status == "merged":
            continue
        for entity in update.new_members:
            member = update.ring.members[entity]
            rows[entity.label].append(
                {
                    "id": entity.id,
                    "ring": update.ring.id,
                    "role": member.role,
                    "since": member.since,
                    "strength": 1.0 if member.role == "core" else STRENGTH[entity.label],
                }
            )
    return {label: sorted(found, key=lambda row: (row["id"], row["ring"])) for label, found in rows.items()}


def _evidence_rows(updates: Iterable[Update], version: int) -> list[Row]:
    rows: list[Row] = []
    for update in updates:
        if update.ring.status == "merged" or not update.new_evidence:
            continue
        facts = [(key, update.ring.evidence[key]) for key in update.new_evidence]
        rows.append(
            {
                "id": f"{update.ring.id}|{version}",
                "ring": update.ring.id,
                "transactions": [key for key, _ in facts],
                "times": [fact.time for _, fact in facts],
                "amounts": [fact.amount for _, fact in facts],
                "currencies": [fact.currency for _, fact in facts],
            }
        )
    return rows
