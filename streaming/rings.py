"""Rings in memory: findings join the ring they belong to, or give birth to one.

Pure: no graph, no clock. A ring's id is minted from the finding that gave birth to it and never from its
members, and findings are taken one by one in event time, so that a replay in other batches ends in the same rings.
Matching, merging, splitting and emission follow ``typologies.md``'s section on the ring.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from graph.events import Entity
from queries.spec import Finding
from streaming.agenda import Agenda
from streaming.ring_growth import extend
from streaming.ring_lineage import merge, mint_ring_id, split
from streaming.ring_matching import Candidate, Weights
from streaming.ring_news import decide, due_at
from streaming.ring_settings import RingSettings
from streaming.ring_state import STRENGTH, Change, Decision, Fact, Identity, Ring, Update
from streaming.ring_ties import cut, identity_of, let_go, oldest_and_newest, parts
from streaming.ring_verdicts import RINGWATCH, broken


class RingBook:
    """All rings that findings can still reach, indexed by member.

    ``facts`` is what is known of their evidence, ``births`` the ring that each id ended in which a finding would
    mint once more.
    """

    def __init__(self, settings: RingSettings, rings: Iterable[Ring] = ()) -> None:
        self._settings = settings
        self._rings: dict[str, Ring] = {}
        self._by_entity: dict[Entity, set[str]] = defaultdict(set)
        self._by_identity: dict[Identity, str] = {}
        self._weights: dict[str, Weights] = {}  # of rings that have not changed since they were weighed
        self._touched: dict[str, Update] = {}
        self._aging, self._ending, self._waiting = Agenda(), Agenda(), Agenda()
        self._now = 0
        self.facts: dict[str, Fact] = {}
        self.births: Mapping[str, str] = {}
        for ring in sorted(rings, key=lambda ring: ring.id):
            self.add(ring)

    def add(self, ring: Ring) -> None:
        """Take up a ring that was stored."""
        self._index(ring)
        self.facts.update(ring.evidence)
        self._await(ring)

    def __len__(self) -> int:
        return len(self._rings)

    def __contains__(self, ring_id: str) -> bool:
        return ring_id in self._rings

    def rings(self) -> list[Ring]:
        """The rings that findings can still reach."""
        return list(self._rings.values())

    def take(self, finding: Finding) -> None:
        """Let a finding create, extend or merge rings; ``facts`` must have been told its evidence."""
        self._reach(finding.time)
        evidence = {key: self.facts[key] for key in finding.evidence if key in self.facts}
        if not evidence:
            return  # the transactions have expired meanwhile: nothing is left that could be shown
        matches = self._matches(finding)
        living = [ring for ring in matches if ring.status != "dismissed"]
        if living:
            ring = min(living, key=lambda r: (r.status != "confirmed", r.first_seen, r.id))
            for other in sorted(living, key=lambda r: r.id):
                if other is not ring:
                    self._merge(other, ring)
        elif matches:
            ring = min(matches, key=lambda r: (r.first_seen, r.id))
        elif mint_ring_id(finding) in self.births:
            return  # the ring that this finding gave birth to was withdrawn
        else:
            times = [fact.time for fact in evidence.values()]
            ring = Ring(
                id=mint_ring_id(finding), severity=finding.severity, first_seen=min(times), last_seen=max(times)
            )
            self._index(ring)
            self._note(ring, "created")
        self._extend(ring, finding, evidence)

    def withdraw(self, entity: Entity, since: int, why: Change = "withdrawn") -> None:
        """An entity is a hub from ``since`` on, or ``allow_listed``: what only it held together is withdrawn.

        A merchant may be a hub and still be an anchor. What somebody has decided of a ring outweighs either.
        """
        if entity.label == "Merchant" and why == "withdrawn":
            return
        for ring_id in sorted(self._by_entity.get(entity, ())):
            ring = self._rings[ring_id]
            if ring.verdict is not None:
                continue
            if ring.cores() == [entity]:
                self._take_back(ring, why)
                continue
            if ring.members[entity].role == "core":
                ring.members[entity].role = "member"
                self._note(ring).new_members.append(entity)
            self._unindex(ring)
            cut(ring.ties, entity)
            self._index(ring)
            for part in (*self._come_apart(ring, since), ring):
                if not part.cores():
                    self._take_back(part, why)

    def expire(self, watermark: int) -> None:
        """Let ties age, close the rings that nothing has touched for the expiry time, and tell what has waited."""
        self._reach(watermark)
        for ring_id in self._ending.due(watermark):
            if (ring := self._rings.get(ring_id)) is None:
                continue
            if (end := self._end(ring)) >= watermark:
                self._ending.put(ring_id, end)
                continue
            ring.status = "expired"
            if not self._note(ring).changes and ring.has_news:
                self._note(ring, "updated")
            self._drop(ring)
        for ring_id in self._waiting.due(watermark):
            if ring_id in self._rings:
                self._note(self._rings[ring_id])

    def flush(self) -> None:
        """Make an alert due for everything folded so far: the stream has ended."""
        for ring in self._rings.values():
            if ring.has_news and ring.verdict != "dismissed":
                self._note(ring, "updated")

    def updates(self) -> list[Update]:
        """What has changed since the last call, in order of ring id, with revisions given to what is announced."""
        updates = [self._touched[key] for key in sorted(self._touched)]
        self._touched = {}
        for update in updates:
            decide(update, self._settings, self._now)
            self._await(update.ring)
        return updates

    def _matches(self, finding: Finding) -> list[Ring]:
        born = mint_ring_id(finding)
        home = self._rings.get(self.births.get(born, born))
        if home is not None:
            return [home]
        found: dict[str, Ring] = {}
        identity = identity_of(finding)
        near = {
            ring_id
            for member in finding.members
            if STRENGTH[member.label]
            for ring_id in self._by_entity.get(member.entity, ())
        }
        if (ring_id := self._by_identity.get(identity)) is not None:
            found[ring_id] = self._rings[ring_id]
        candidate = Candidate(finding, self._settings)
        for ring_id in near - found.keys():
            ring = self._rings[ring_id]
            if candidate.belongs_to(ring, self._weights_of) and (
                ring.status != "dismissed" or candidate.shares_core(ring)
            ):
                found[ring_id] = ring
        span = self._settings.expiry_ms
        return [ring for ring in found.values() if ring.first_seen - span <= finding.time <= self._end(ring)]

    def _weights_of(self, ring: Ring) -> Weights:
        if (known := self._weights.get(ring.id)) is None:
            known = self._weights[ring.id] = Weights.of(ring)
        return known

    def _extend(self, ring: Ring, finding: Finding, evidence: Mapping[str, Fact]) -> None:
        self._weights.pop(ring.id, None)
        for change in extend(ring, finding, evidence, self._note(ring)):
            if change == "escalated":
                self._note(ring, change)
            else:
                self._fold(ring, change)
        for member in finding.members:
            self._by_entity[member.entity].add(ring.id)
        self._by_identity[identity_of(finding)] = ring.id
        span = self._settings.expiry_ms if ring.id in self._aging else 0
        self._aging.put(ring.id, finding.time + span)
        if ring.status == "dismissed" and (why := broken(ring, finding, self._settings)) is not None:
            ring.status, ring.verdict, ring.dismissal = "open", None, None
            ring.history.append(Decision(ring.id, "open", why, RINGWATCH, finding.time))
            self._note(ring, "reopened")

    def _merge(self, loser: Ring, winner: Ring) -> None:
        self._unindex(loser)
        self._unindex(winner)
        merge(loser, winner, self._note(winner))
        self._index(winner)
        self._note(loser)
        self._fold(winner, "merged")

    def _reach(self, now: int) -> None:
        """Event time has got to ``now``: ties age, one moment after the other, and rings come apart."""
        self._now = max(self._now, now)
        for ring_id in self._aging.due(now):
            if ring_id in self._rings:
                self._age(self._rings[ring_id], now)

    def _age(self, ring: Ring, now: int) -> None:
        span = self._settings.expiry_ms
        while ring.status != "dismissed" and (times := oldest_and_newest(ring.ties)) is not None:
            oldest, newest = times
            if oldest == newest or oldest + span >= self._end(ring):
                return  # until a new finding comes: the last links are what the ring is known by when it ends
            if oldest + span >= now:
                self._aging.put(ring.id, oldest + span)
                return
            self._unindex(ring)
            let_go(ring.ties, oldest)
            self._index(ring)
            for part in self._come_apart(ring, oldest + span):
                self._age(part, now)

    def _come_apart(self, ring: Ring, moment: int) -> list[Ring]:
        groups = parts(ring.ties)
        if len(groups) < 2:
            return []
        self._unindex(ring)
        new = split(ring, groups, moment)
        self._index(ring)
        for part in new:
            self._index(part)
            self._note(part, "split").replaced = True
            self._note(ring).replaced = True
            self._fold(ring, "split")
        return new

    def _take_back(self, ring: Ring, why: Change) -> None:
        ring.status = "withdrawn"
        self._note(ring, why)
        self._drop(ring)

    def _await(self, ring: Ring) -> None:
        if (due := due_at(ring, self._settings)) is not None:
            self._waiting.put(ring.id, due)

    def _end(self, ring: Ring) -> int:
        """The event time after which a ring expires."""
        held = ring.dismissal.time + self._settings.dismissal_ms if ring.dismissal is not None else 0
        return max(ring.last_active + self._settings.expiry_ms, held)

    def _index(self, ring: Ring) -> None:
        self._rings[ring.id] = ring
        for entity in ring.members:
            self._by_entity[entity].add(ring.id)
        for identity in ring.identities():
            self._by_identity[identity] = ring.id
        if (times := oldest_and_newest(ring.ties)) is not None:
            self._aging.put(ring.id, times[0] + self._settings.expiry_ms)
        self._ending.put(ring.id, self._end(ring))

    def _unindex(self, ring: Ring) -> None:
        del self._rings[ring.id]
        self._weights.pop(ring.id, None)
        for entity in ring.members:
            self._by_entity[entity].discard(ring.id)
            if not self._by_entity[entity]:
                del self._by_entity[entity]
        for identity in ring.identities():
            if self._by_identity.get(identity) == ring.id:
                del self._by_identity[identity]

    def _drop(self, ring: Ring) -> None:
        self._unindex(ring)
        for key in ring.evidence:
            self.facts.pop(key, None)

    def _note(self, ring: Ring, change: Change | None = None) -> Update:
        update = self._touched.setdefault(ring.id, Update(ring))
        if change is not None and change not in update.changes:
            update.changes.append(change)
        return update

    def _fold(self, ring: Ring, change: Change) -> None:
        """News that can wait; none to whom the ring itself is news."""
        if change not in ring.pending and "created" not in self._note(ring).changes:
            ring.pending.append(change)
