"""Merging and splitting: which ring goes on, and what becomes of the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from queries.spec import SEVERITIES, Finding
from streaming.ring_state import Announced, Ring, RingStatus, Tie, Update
from streaming.ring_ties import absorb, tie_number

_WEIGHT: dict[RingStatus, int] = {"open": 0, "investigating": 1, "confirmed": 2}


def mint_ring_id(finding: Finding) -> str:
    """The id of the ring that this finding gives birth to."""
    return _mint(finding.rule, str(finding.time), *finding.identity)


def merge(loser: Ring, winner: Ring, update: Update) -> None:
    """Make one ring of two; ``update`` is the winner's. Neither's verdict nor history is lost."""
    for entity, member in loser.members.items():
        known = winner.members.get(entity)
        if known is None:
            winner.members[entity] = member
        elif member.role == "core" and known.role == "member":
            known.role = "core"
        else:
            continue
        update.new_members.append(entity)
    for key, fact in loser.evidence.items():
        if key not in winner.evidence:
            winner.evidence[key] = fact
            update.new_evidence.append(key)
    for rule, typology in loser.typologies.items():
        known_typology = winner.typologies.get(rule)
        if known_typology is None or typology.time > known_typology.time:
            winner.typologies[rule] = typology
    absorb(winner.ties, loser.ties)
    winner.merged_from += [loser.id, *loser.merged_from]
    winner.first_seen = min(winner.first_seen, loser.first_seen)
    winner.last_seen = max(winner.last_seen, loser.last_seen)
    winner.last_found = max(winner.last_found, loser.last_found)
    winner.resumed = max(winner.resumed, loser.resumed)
    winner.severity = max(winner.severity, loser.severity, key=SEVERITIES.index)
    winner.burst = max((b for b in (winner.burst, loser.burst) if b is not None), default=None)
    winner.status = max(winner.status, loser.status, key=_WEIGHT.__getitem__)
    winner.history = sorted(winner.history + loser.history, key=lambda decision: (decision.at, decision.ring_id))
    winner.suppressed_count += loser.suppressed_count
    loser.status, loser.merged_into = "merged", winner.id


def split(ring: Ring, groups: Sequence[Sequence[Tie]], moment: int) -> list[Ring]:
    """Take a ring apart at an event time; returns the new rings.

    The group with the largest evidence goes on as ``ring``, with whatever no group claims. A group of which no
    evidence is left stays with it.
    """
    claims = [_Claims(ring, group) for group in groups]
    keeper = min(range(len(groups)), key=lambda i: (-len(claims[i].evidence), _first(groups[i])))
    leaving = [i for i, claim in enumerate(claims) if i != keeper and claim.evidence]
    ring.ties = [tie for i, group in enumerate(groups) if i not in leaving for tie in group]
    kept = _Claims(ring, ring.ties)
    news = [_part(ring, groups[i], claims[i], moment) for i in leaving]
    for i in leaving:
        for entity in claims[i].entities - kept.entities:
            ring.members.pop(entity, None)
        for key in claims[i].evidence:
            ring.evidence.pop(key, None)
        for rule in claims[i].rules - kept.rules:
            ring.typologies.pop(rule, None)
    _span(ring)
    return news


class _Claims:
    """Whom and what of a ring some of its ties name."""

    def __init__(self, ring: Ring, ties: Sequence[Tie]) -> None:
        identities = {identity for tie in ties for identity in tie.identities}
        numbers = {tie_number(identity) for identity in identities}
        self.rules = {identity[0] for identity in identities}
        self.entities = {entity for tie in ties for entity in tie.entities()}
        self.evidence = {key for key, fact in ring.evidence.items() if fact.tie in numbers}


def _part(ring: Ring, ties: Sequence[Tie], claims: _Claims, moment: int) -> Ring:
    part = msgspec.structs.replace(
        ring,
        id=_mint("split", ring.id, str(moment), *_first(ties)),
        members={entity: msgspec.structs.replace(ring.members[entity]) for entity in sorted(claims.entities)},
        evidence={key: ring.evidence[key] for key in sorted(claims.evidence)},
        typologies={rule: known for rule, known in ring.typologies.items() if rule in claims.rules},
        ties=list(ties),
        merged_from=[],
        split_from=ring.id,
        history=list(ring.history),
        revision=0,
        suppressed_count=0,
        pending=[],
        announced=Announced(),
    )
    _span(part)
    return part


def _span(ring: Ring) -> None:
    times = [fact.time for fact in ring.evidence.values()]
    ring.first_seen, ring.last_seen = min(times), max(times)
    ring.last_found = max(time for tie in ring.ties for time in tie.times())
    ring.severity = max((known.severity for known in ring.typologies.values()), key=SEVERITIES.index)


def _first(ties: Iterable[Tie]) -> tuple[str, ...]:
    return min(identity for tie in ties for identity in tie.identities)


def _mint(*birth: str) -> str:
    return f"ring-{hashlib.blake2b(chr(0x1F).join(birth).encode(), digest_size=10).hexdigest()}"
