"""Rings in memory: findings join the ring they belong to, or give birth to one.

Pure: no graph, no clock. A ring's id is minted from the finding that gave birth to it and never from its
members, and findings are taken one by one in event time, so that a replay in other batches ends in the same rings.
Matching, merging and emission follow ``typologies.md``'s section on the ring.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from graph.events import Entity
from queries.spec import SEVERITIES, Finding, Measure, Severity

RingStatus = Literal["open", "merged", "withdrawn", "expired"]
Change = Literal["created", "grown", "escalated", "typology_added", "merged", "withdrawn", "updated"]

#: How much a shared entity of each kind says about belonging together; a merchant or an address of the network
#: is shared by strangers, so it says little or nothing.
STRENGTH = {
    "Account": 1.0,
    "Address": 0.5,
    "Card": 1.0,
    "Device": 1.0,
    "Email": 1.0,
    "IP": 0.25,
    "Merchant": 0.0,
    "Phone": 1.0,
}

#: A shared core entity of these kinds makes two findings one ring.
STRONG_KINDS = frozenset({"Account", "Card", "Device", "Email", "Phone"})


@dataclass(frozen=True)
class RingSettings:
    """When findings belong together and when a changed ring is worth an alert. Times are event time."""

    expiry_ms: int = 30 * 86_400_000
    growth_pause_ms: int = 5 * 60_000
    min_jaccard: float = 0.3
    min_containment: float = 0.5


class Fact(NamedTuple):
    """What a ring keeps of an evidence transaction, so that it survives the transaction's retention."""

    time: int
    amount: int
    currency: str


class RingMember(msgspec.Struct):
    """An entity's part in a ring; ``since`` is the event time (ms) at which it joined."""

    role: Literal["core", "member"]
    since: int


class Typology(msgspec.Struct):
    """What one rule says of a ring: its version and parameters, and the measures of its latest finding."""

    rule_version: int
    severity: Severity
    parameters: dict[str, int | float]
    time: int
    measures: tuple[Measure, ...]


class Announced(msgspec.Struct):
    """What the last alert said, to tell what is news."""

    time: int = 0
    severity: Severity = "low"
    members: int = 0
    transactions: int = 0


class Ring(msgspec.Struct, kw_only=True):
    """A group of entities that act together. ``first_seen`` and ``last_seen`` span its evidence (epoch ms)."""

    id: str
    status: RingStatus = "open"
    severity: Severity
    first_seen: int
    last_seen: int
    members: dict[Entity, RingMember] = {}
    evidence: dict[str, Fact] = {}
    typologies: dict[str, Typology] = {}
    identities: set[tuple[str, ...]] = set()
    merged_from: list[str] = []
    merged_into: str | None = None
    revision: int = 0
    suppressed_count: int = 0
    announced: Announced = msgspec.field(default_factory=Announced)

    def cores(self) -> list[Entity]:
        """The entities that hold it together."""
        return [entity for entity, member in self.members.items() if member.role == "core"]

    def amounts(self) -> dict[str, int]:
        """Minor units by currency, summed over the evidence; never across currencies."""
        sums: dict[str, int] = defaultdict(int)
        for fact in self.evidence.values():
            sums[fact.currency] += fact.amount
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    @property
    def has_news(self) -> bool:
        """Whether something was folded since the last alert."""
        return len(self.members) > self.announced.members or len(self.evidence) > self.announced.transactions


@dataclass
class Update:
    """One ring after a batch: why an alert is due (none: folded), and what is new since it was last stored.

    ``suppressed`` counts the batches that were folded since the alert before.
    """

    ring: Ring
    changes: list[Change] = field(default_factory=list)
    new_members: list[Entity] = field(default_factory=list)
    new_evidence: list[str] = field(default_factory=list)
    suppressed: int = 0


def mint_ring_id(finding: Finding) -> str:
    """The id of the ring that this finding gives birth to."""
    birth = "\x1f".join((finding.rule, str(finding.time), *finding.identity))
    return f"ring-{hashlib.blake2b(birth.encode(), digest_size=10).hexdigest()}"


class RingBook:
    """All rings that can still grow, indexed by member; ``facts`` is what is known of their evidence."""

    def __init__(self, settings: RingSettings, rings: Iterable[Ring] = ()) -> None:
        self._settings = settings
        self._rings: dict[str, Ring] = {}
        self._by_entity: dict[Entity, set[str]] = defaultdict(set)
        self._by_identity: dict[tuple[str, ...], str] = {}
        self._touched: dict[str, Update] = {}
        self.facts: dict[str, Fact] = {}
        for ring in rings:
            self.add(ring)

    def add(self, ring: Ring) -> None:
        """Take up a ring that was stored."""
        self._rings[ring.id] = ring
        for entity in ring.members:
            self._by_entity[entity].add(ring.id)
        for identity in ring.identities:
            self._by_identity[identity] = ring.id
        self.facts.update(ring.evidence)

    def __len__(self) -> int:
        return len(self._rings)

    def __contains__(self, ring_id: str) -> bool:
        return ring_id in self._rings

    def rings(self) -> list[Ring]:
        """The rings that can still grow."""
        return list(self._rings.values())

    def take(self, finding: Finding) -> None:
        """Let a finding create, extend or merge rings; ``facts`` must have been told its evidence."""
        evidence = {key: self.facts[key] for key in finding.evidence if key in self.facts}
        if not evidence:
            return  # the transactions have expired meanwhile: nothing is left that could be shown
        matches = self._matches(finding)
        if matches:
            ring = min(matches, key=lambda r: (r.first_seen, r.id))
            for other in sorted(matches, key=lambda r: r.id):
                if other is not ring:
                    self._merge(other, ring)
        else:
            times = [fact.time for fact in evidence.values()]
            ring = Ring(
                id=mint_ring_id(finding),
                severity=finding.severity,
                first_seen=min(times),
                last_seen=max(times),
            )
            self._rings[ring.id] = ring
            self._note(ring, "created")
        self._extend(ring, finding, evidence)

    def _matches(self, finding: Finding) -> list[Ring]:
        found: dict[str, Ring] = {}
        if (ring_id := self._by_identity.get((finding.rule, *finding.identity))) is not None:
            found[ring_id] = self._rings[ring_id]
        mine = {member.entity: member for member in finding.members}
        near = {ring_id for entity in mine for ring_id in self._by_entity.get(entity, ())}
        for ring_id in near - found.keys():
            if self._belongs(mine, self._rings[ring_id]):
                found[ring_id] = self._rings[ring_id]
        span = self._settings.expiry_ms
        return [ring for ring in found.values() if ring.first_seen - span <= finding.time <= ring.last_seen + span]

    def _belongs(self, mine: Mapping[Entity, object], ring: Ring) -> bool:
        shared = [entity for entity in mine if entity in ring.members]
        core = {e for e, member in mine.items() if getattr(member, "role", "") == "core"}
        if any(e in core and e.label in STRONG_KINDS and ring.members[e].role == "core" for e in shared):
            return True
        common = _strength(shared)
        mine_strength, ring_strength = _strength(mine), _strength(ring.members)
        smaller = min(mine_strength, ring_strength)
        if not smaller or not common:
            return False
        jaccard = common / (mine_strength + ring_strength - common)
        return jaccard >= self._settings.min_jaccard or common / smaller >= self._settings.min_containment

    def _extend(self, ring: Ring, finding: Finding, evidence: Mapping[str, Fact]) -> None:
        update = self._note(ring)
        for member in finding.members:
            known = ring.members.get(member.entity)
            if known is None:
                ring.members[member.entity] = RingMember(role=member.role, since=finding.time)
                self._by_entity[member.entity].add(ring.id)
                update.new_members.append(member.entity)
            elif member.role == "core" and known.role == "member":
                known.role = "core"
                update.new_members.append(member.entity)
        for key, fact in evidence.items():
            if key not in ring.evidence:
                ring.evidence[key] = fact
                update.new_evidence.append(key)
                ring.first_seen = min(ring.first_seen, fact.time)
                ring.last_seen = max(ring.last_seen, fact.time)
        identity = (finding.rule, *finding.identity)
        ring.identities.add(identity)
        self._by_identity[identity] = ring.id
        if finding.rule not in ring.typologies and "created" not in update.changes:
            self._note(ring, "typology_added")
        known_typology = ring.typologies.get(finding.rule)
        if known_typology is None or finding.time >= known_typology.time:
            ring.typologies[finding.rule] = Typology(
                rule_version=finding.rule_version,
                severity=finding.severity,
                parameters=finding.parameters,
                time=finding.time,
                measures=finding.measures,
            )
        if SEVERITIES.index(finding.severity) > SEVERITIES.index(ring.severity):
            ring.severity = finding.severity
            self._note(ring, "escalated")

    def _merge(self, loser: Ring, winner: Ring) -> None:
        update = self._note(winner, "merged")
        for entity, member in loser.members.items():
            self._by_entity[entity].discard(loser.id)
            self._by_entity[entity].add(winner.id)
            if entity not in winner.members:
                winner.members[entity] = member
                update.new_members.append(entity)
        for key, fact in loser.evidence.items():
            if key not in winner.evidence:
                winner.evidence[key] = fact
                update.new_evidence.append(key)
        for rule, typology in loser.typologies.items():
            known = winner.typologies.get(rule)
            if known is None or typology.time > known.time:
                winner.typologies[rule] = typology
        for identity in loser.identities:
            winner.identities.add(identity)
            self._by_identity[identity] = winner.id
        winner.merged_from += [loser.id, *loser.merged_from]
        winner.first_seen = min(winner.first_seen, loser.first_seen)
        winner.last_seen = max(winner.last_seen, loser.last_seen)
        winner.severity = max(winner.severity, loser.severity, key=SEVERITIES.index)
        loser.status, loser.merged_into = "merged", winner.id
        self._note(loser)
        del self._rings[loser.id]

    def withdraw(self, hub: Entity) -> None:
        """Withdraw the rings whose only core has become a hub (a merchant may be one and still be an anchor)."""
        if hub.label == "Merchant":
            return
        for ring_id in list(self._by_entity.get(hub, ())):
            ring = self._rings[ring_id]
            if ring.cores() == [hub]:
                ring.status = "withdrawn"
                self._note(ring, "withdrawn")
                self._drop(ring)

    def expire(self, watermark: int) -> None:
        """Close the rings that nothing has touched for the expiry time."""
        for ring in list(self._rings.values()):
            if ring.last_seen + self._settings.expiry_ms < watermark:
                ring.status = "expired"
                if not self._note(ring).changes and ring.has_news:
                    self._note(ring, "updated")
                self._drop(ring)

    def flush(self) -> None:
        """Make an alert due for everything folded so far: the stream has ended."""
        for ring in self._rings.values():
            if ring.has_news:
                self._note(ring, "updated")

    def updates(self) -> list[Update]:
        """What has changed since the last call, in order of ring id, with revisions given to what is announced."""
        updates = [self._touched[key] for key in sorted(self._touched)]
        self._touched = {}
        for update in updates:
            self._announce(update)
        return updates

    def _announce(self, update: Update) -> None:
        ring, said = update.ring, update.ring.announced
        if ring.status == "merged":
            update.changes = []
            return
        paused = ring.last_seen - said.time >= self._settings.growth_pause_ms
        if not update.changes and len(ring.members) >= 2 * said.members and paused:
            update.changes.append("grown")
        if update.changes:
            ring.revision += 1
            update.suppressed, ring.suppressed_count = ring.suppressed_count, 0
            ring.announced = Announced(
                time=ring.last_seen,
                severity=ring.severity,
                members=len(ring.members),
                transactions=len(ring.evidence),
            )
        elif update.new_members or update.new_evidence:
            ring.suppressed_count += 1

    def _drop(self, ring: Ring) -> None:
        del self._rings[ring.id]
        for key in ring.evidence:
            self.facts.pop(key, None)
        for entity in ring.members:
            self._by_entity[entity].discard(ring.id)
            if not self._by_entity[entity]:
                del self._by_entity[entity]
        for identity in ring.identities:
            if self._by_identity.get(identity) == ring.id:
                del self._by_identity[identity]

    def _note(self, ring: Ring, change: Change | None = None) -> Update:
        update = self._touched.setdefault(ring.id, Update(ring))
        if change is not None and change not in update.changes:
            update.changes.append(change)
        return update


def _strength(entities: Iterable[Entity]) -> float:
    return sum(STRENGTH[entity.label] for entity in entities)
