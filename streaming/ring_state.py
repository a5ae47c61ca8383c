"""What a ring is: its members, evidence, ties, typologies, verdicts, and what was said of it.

Only data: :mod:`streaming.rings` changes it, :mod:`streaming.ring_store` keeps it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from graph.events import Entity
from queries.spec import Measure, Part, Severity

RingStatus = Literal["open", "investigating", "confirmed", "dismissed", "merged", "withdrawn", "expired"]
Verdict = Literal["confirmed", "dismissed"]
Change = Literal[
    "created",
    "split",
    "reopened",
    "escalated",
    "grown",
    "merged",
    "typology_added",
    "acted",
    "withdrawn",
    "allow_listed",
    "updated",
]
Identity = tuple[str, ...]

#: The states in which findings can still reach a ring.
LIVE: tuple[RingStatus, ...] = ("open", "investigating", "confirmed", "dismissed")

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

#: A core entity of these kinds that two findings share makes them one ring (see :mod:`streaming.ring_matching`).
STRONG_KINDS = frozenset({"Account", "Card", "Device", "Email", "Phone"})


class Fact(NamedTuple):
    """What a ring keeps of an evidence transaction, so that it survives the transaction's retention.

    ``confidence``: how sure it is that the ring's verdict holds for this transaction too, should there be one.
    ``tie``: the number of the tie that named it first (0: none has).
    """

    time: int
    amount: int
    currency: str
    confidence: float
    tie: int = 0


class RingMember(msgspec.Struct):
    """An entity's part in a ring; ``since`` is the event time (ms) at which it joined."""

    role: Literal["core", "member"]
    since: int


class Tie(msgspec.Struct):
    """What the findings of one identity hold together.

    ``links`` has by label and id the event time (ms) of the latest finding that named the entity. Several
    ``identities``: ties that were folded into one.
    """

    identities: list[Identity]
    links: dict[str, dict[str, int]] = {}

    def entities(self) -> Iterator[Entity]:
        """Whom it still holds."""
        for label, ids in self.links.items():
            for entity_id in ids:
                yield Entity(label, entity_id)

    def times(self) -> Iterator[int]:
        """When each of them was last named."""
        for ids in self.links.values():
            yield from ids.values()


class Typology(msgspec.Struct):
    """What a rule, the search for dense blocks or a model says of a ring: version, parameters, latest measures."""

    rule_version: int
    severity: Severity
    parameters: dict[str, int | float]
    time: int
    measures: tuple[Measure, ...]
    part: Part = "rule"
    notes: tuple[str, ...] = ()


class Learned(msgspec.Struct, frozen=True):
    """What a model made of a ring's payments when it was last asked: their mean ``risk``, and how many it scored.

    ``risk`` and ``model`` (its version) are ``None`` where it has scored none of those that were asked about.
    """

    risk: float | None
    model: str | None
    scored: int
    asked: int


class Announced(msgspec.Struct):
    """What the last alert said, to tell what is news."""

    time: int = 0
    members: int = 0
    transactions: int = 0


class Decision(msgspec.Struct):
    """Somebody changed a ring's status; ``at`` is wall-clock epoch ms (event time where ``by`` is ringwatch)."""

    ring_id: str
    status: RingStatus
    reason: str
    by: str | None
    at: int


class Dismissal(msgspec.Struct):
    """What a ring was when it was dismissed (``time``: event time, ms), to tell when it has become another one."""

    time: int
    strong_members: int
    severity: Severity
    typologies: list[str]


class Ring(msgspec.Struct, kw_only=True):
    """A group of entities that act together. ``first_seen`` and ``last_seen`` span its evidence (epoch ms).

    ``last_found`` is the time of its latest finding, which may tell long afterwards of what it rests on: labels
    are weeks late. A ``verdict`` outlives the ring's expiry. ``pending`` is news that waits for the next alert;
    ``resumed`` the event time at which it was opened again (0: never); ``burst`` the highest MIDAS score of its
    findings.
    """

    id: str
    status: RingStatus = "open"
    verdict: Verdict | None = None
    severity: Severity
    first_seen: int
    last_seen: int
    last_found: int = 0
    members: dict[Entity, RingMember] = {}
    evidence: dict[str, Fact] = {}
    typologies: dict[str, Typology] = {}
    ties: list[Tie] = []
    burst: float | None = None
    learned: Learned | None = None
    merged_from: list[str] = []
    merged_into: str | None = None
    split_from: str | None = None
    history: list[Decision] = []
    dismissal: Dismissal | None = None
    resumed: int = 0
    revision: int = 0
    suppressed_count: int = 0
    pending: list[Change] = []
    announced: Announced = msgspec.field(default_factory=Announced)

    def cores(self) -> list[Entity]:
        """The entities that hold it together."""
        return [entity for entity, member in self.members.items() if member.role == "core"]

    def strong_members(self) -> int:
        """How many members there are of a kind that is not shared by strangers."""
        return sum(entity.label in STRONG_KINDS for entity in self.members)

    def identities(self) -> Iterator[Identity]:
        """What its ties are known by: a finding of the same identity belongs to it."""
        for tie in self.ties:
            yield from tie.identities

    def amounts(self) -> dict[str, int]:
        """Minor units by currency, summed over the evidence; never across currencies."""
        sums: dict[str, int] = defaultdict(int)
        for fact in self.evidence.values():
            sums[fact.currency] += fact.amount
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    @property
    def last_active(self) -> int:
        """The event time (ms) from which on nothing is known of it."""
        return max(self.last_seen, self.last_found, self.resumed)

    @property
    def detected_at(self) -> int:
        """The event time (ms) of the first finding that told of it: the touch at which it could be known."""
        return min((member.since for member in self.members.values()), default=self.last_seen)

    @property
    def judged_at(self) -> int | None:
        """When its verdict was given (wall-clock epoch ms), if it has one."""
        return next((made.at for made in reversed(self.history) if made.status == self.verdict), None)

    @property
    def has_news(self) -> bool:
        """Whether something was folded since the last alert."""
        return (
            bool(self.pending)
            or len(self.members) > self.announced.members
            or len(self.evidence) > self.announced.transactions
        )


@dataclass
class Update:
    """One ring after a batch: why an alert is due (none: folded), and what is new since it was last stored.

    ``folded`` counts this batch's findings that changed the ring; ``suppressed`` those of earlier batches since
    the alert before. ``replaced``: what was stored of its members and evidence does not hold any more.
    """

    ring: Ring
    changes: list[Change] = field(default_factory=list)
    new_members: list[Entity] = field(default_factory=list)
    new_evidence: list[str] = field(default_factory=list)
    folded: int = 0
    suppressed: int = 0
    replaced: bool = False
