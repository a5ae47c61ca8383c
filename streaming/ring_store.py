"""Rings in the graph: how they are stored, loaded and shared between workers.

One ``Ledger`` node serialises all who change rings: its lock is taken first, and its version tells a worker that
another one has changed rings since it last looked. Alerts wait in an outbox, numbered by lane, written in the
transaction that changes their rings, so that a crash can neither lose nor repeat one. Whoever gives a verdict
takes the same lock, and counts the verdicts there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from graph.driver import Graph, Row, Tx
from graph.events import Entity, Label
from graph.schema import ENTITY_LABELS
from streaming.ring_rows import evidence_rows, member_rows, ring_properties
from streaming.ring_state import LIVE, Fact, Learned, Ring, RingMember, Update
from streaming.ring_verdicts import Judgement, RefusedVerdictError, confidence, heed, judge
from streaming.risk import Calibration

#: How a statement is run: as a read of its own, or as part of a transaction.
_Read = Callable[..., list[Row]]

_PAGE = 500
#: How many of a ring's payments a model is asked about, the latest.
_MOST_SCORED = 500
_decoder = msgspec.json.Decoder(Ring)
_OUTBOX = "MATCH (o:Outbox {lane: $lane}) RETURN o.number AS number, o.key AS key, o.body AS body ORDER BY number"
_BY_ID = "UNWIND $ids AS id MATCH (r:Ring {id: id}) RETURN r.id AS id, r.state AS state"


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
        """The ledger: ``graph`` (its id), ``version``, ``watermark`` (epoch ms or None), count of ``verdicts``."""
        return self._graph.read(
            "MATCH (l:Ledger {id: 'ringwatch'}) RETURN l.graph AS graph, l.version AS version, "
            "l.watermark AS watermark, coalesce(l.verdicts, 0) AS verdicts"
        )[0]

    def verdicts(self, tx: Tx) -> int:
        """How many verdicts have been given, for a worker that has nothing to save and would not notice else."""
        rows = tx.run("MATCH (l:Ledger {id: 'ringwatch'}) RETURN coalesce(l.verdicts, 0) AS verdicts")
        return int(rows[0]["verdicts"])

    def live(self) -> list[Ring]:
        """The rings that findings can still reach, with members and evidence."""
        query = "UNWIND $live AS status MATCH (r:Ring {status: status}) RETURN r.id AS id, r.state AS state"
        return _load(self._graph.read, query, live=list(LIVE))

    def by_ids(self, ring_ids: Iterable[str]) -> dict[str, Ring]:
        """Stored rings by id, whatever their status; a merged one resolves to the ring that it ended in.

        What models say of them is as of now, for a pass scores payments of rings that it does not change.
        """
        found = _resolved(self._graph.read, ring_ids)
        if found:
            self.ask_models(found.values())
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

    def calibration(self) -> Calibration:
        """What people have said of rings (of those that merged, only the one that they ended in counts)."""
        rows = self._graph.read(
            "UNWIND ['confirmed', 'dismissed'] AS verdict MATCH (r:Ring {verdict: verdict}) "
            "WHERE r.status <> 'merged' RETURN verdict, r.typologies AS typologies"
        )
        return Calibration((row["verdict"], row["typologies"]) for row in rows)

    def judge(self, ring_id: str, judgement: Judgement, *, reason: str, by: str | None, at: int) -> Ring:
        """Judge a ring, or the one that it has merged into; returns it. ``at`` is wall-clock epoch ms.

        A worker that has the ring in memory finds the ledger at another version, and loads it again.

        Raises:
            RefusedVerdictError: there is no such ring, or it cannot become so.
        """
        return self._decide(
            ring_id, lambda ring, now: judge(ring, judgement, reason=reason, by=by, at=at, now=now)
        )

    def heed(self, label: Label) -> bool:
        """Let a label judge its ring as people do; ``False`` if that is no news: they come late, and twice."""
        try:
            self._decide(label.subject.id, lambda ring, now: heed(ring, label, now))
        except RefusedVerdictError:
            return False
        return True

    def _decide(self, ring_id: str, change: Callable[[Ring, int], None]) -> Ring:
        def work(tx: Tx) -> Ring:
            ledger = tx.run(
                "MATCH (l:Ledger {id: 'ringwatch'}) SET l.verdicts = coalesce(l.verdicts, 0) + 1 "
                "RETURN l.version AS version, l.watermark AS watermark"
            )[0]
            ring = _resolved(tx.run, [ring_id]).get(ring_id)
            if ring is None:
                raise RefusedVerdictError(f"there is no ring {ring_id}")
            change(ring, max(ledger["watermark"] or 0, ring.last_active))
            self.save(tx, [Update(ring)], [], version=ledger["version"], watermark=ledger["watermark"])
            return ring

        return self._graph.write(work)

    def facts(self, transaction_ids: Iterable[str]) -> dict[str, Fact]:
        """What rings keep of the given transactions."""
        rows = self._graph.read(
            "UNWIND $ids AS id MATCH (t:Transaction {id: id}) OPTIONAL MATCH (t)-[:AT]->(m:Merchant) "
            "RETURN t.id AS id, t.time AS time, t.amount AS amount, t.currency AS currency, "
            "m.hub_since AS hub_since",
            ids=sorted(transaction_ids),
        )
        return {
            row["id"]: Fact(row["time"], row["amount"], row["currency"], confidence(row["time"], row["hub_since"]))
            for row in rows
        }

    def ask_models(self, rings: Iterable[Ring]) -> None:
        """Let rings say what models say of their latest payments now; of several the last to score is named.

        What was said of payments that are gone stays.
        """
        asked = {ring.id: (ring, _latest(ring)) for ring in rings}
        scored: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self._graph.read(
            "UNWIND $rings AS ring UNWIND ring.payments AS id MATCH (t:Transaction {id: id}) "
            "WHERE t.risk IS NOT NULL "
            "RETURN ring.id AS ring, t.risk AS risk, t.risk_model AS model, t.risk_time AS time",
            rings=[{"id": ring_id, "payments": payments} for ring_id, (_, payments) in asked.items()],
        ):
            scored[row["ring"]].append(row)
        for ring_id, (ring, payments) in asked.items():
            if ring_id in scored or ring.learned is None or ring.learned.risk is None:
                ring.learned = _learned(scored[ring_id], len(payments))

    def outbox(self, lane: str) -> list[Letter]:
        """The alerts of a lane that are not known to be published, oldest first."""
        rows = self._graph.read(_OUTBOX, lane=lane)
        return [Letter(lane, row["number"], row["key"], row["body"]) for row in rows]

    def locked_outbox(self, tx: Tx, lane: str) -> list[Letter]:
        """The same within ``tx``, which nobody else can do until it ends."""
        tx.run("MERGE (l:Ledger {id: $id}) SET l.number = coalesce(l.number, 0)", id=f"lane|{lane}")
        rows = tx.run(_OUTBOX, lane=lane)
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
            rows=[{"id": u.ring.id, "properties": ring_properties(u.ring)} for u in updates],
        )
        gone = [u.ring.id for u in updates if u.ring.status == "merged" or u.replaced]
        if gone:
            tx.run("UNWIND $ids AS id MATCH (:Ring {id: id})<-[m:MEMBER_OF]-() DELETE m", ids=gone)
            tx.run("UNWIND $ids AS id MATCH (e:Evidence {ring: id}) DELETE e", ids=gone)
        for label, rows in member_rows(updates).items():
            tx.run(
                f"UNWIND $rows AS row MATCH (e:{label} {{id: row.id}}) MATCH (r:Ring {{id: row.ring}}) "
                "MERGE (e)-[m:MEMBER_OF]->(r) "
                "SET m.role = row.role, m.since = row.since, m.strength = row.strength",
                rows=rows,
            )
        if evidence := evidence_rows(updates, new_version):
            tx.run("UNWIND $rows AS row CREATE (e:Evidence) SET e = row", rows=evidence)
        if letters:
            tx.run(
                "UNWIND $rows AS row CREATE (o:Outbox) SET o = row",
                rows=[{"id": f"{one.lane}|{one.number}", **msgspec.to_builtins(one)} for one in letters],
            )
            last = letters[-1]
            tx.run("MERGE (l:Ledger {id: $id}) SET l.number = $number", id=f"lane|{last.lane}", number=last.number)
        return int(new_version)


def _latest(ring: Ring) -> list[str]:
    """The ids of its latest payments."""
    return sorted(ring.evidence, key=lambda key: (ring.evidence[key].time, key))[-_MOST_SCORED:]


def _learned(rows: Sequence[Row], asked: int) -> Learned:
    if not rows:
        return Learned(None, None, 0, asked)
    mean = sum(row["risk"] for row in rows) / len(rows)
    latest = max(rows, key=lambda row: (row["time"], row["model"]))
    return Learned(round(mean, 6), latest["model"], len(rows), asked)


def _resolved(read: _Read, ring_ids: Iterable[str]) -> dict[str, Ring]:
    found: dict[str, Ring] = {}
    pending = {ring_id: ring_id for ring_id in ring_ids}
    while pending:
        by_id = {ring.id: ring for ring in _load(read, _BY_ID, ids=sorted(set(pending.values())))}
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


def _load(read: _Read, query: str, **parameters: list[str]) -> list[Ring]:
    rings = {row["id"]: _decoder.decode(row["state"]) for row in read(query, **parameters)}
    ids = sorted(rings)
    for label in ENTITY_LABELS if ids else ():
        for row in read(
            f"UNWIND $ids AS id MATCH (r:Ring {{id: id}})<-[m:MEMBER_OF]-(e:{label}) "
            "RETURN id, e.id AS member, m.role AS role, m.since AS since",
            ids=ids,
        ):
            rings[row["id"]].members[Entity(label, row["member"])] = RingMember(row["role"], row["since"])
    for row in read(
        "UNWIND $ids AS id MATCH (e:Evidence {ring: id}) RETURN id, e.transactions AS transactions, "
        "e.times AS times, e.amounts AS amounts, e.currencies AS currencies, e.confidences AS confidences, "
        "e.ties AS ties",
        ids=ids,
    ):
        columns = (row[name] for name in ("transactions", "times", "amounts", "currencies", "confidences", "ties"))
        rings[row["id"]].evidence.update({key: Fact(*fact) for key, *fact in zip(*columns, strict=True)})
    return list(rings.values())
