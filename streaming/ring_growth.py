"""What a finding adds to the ring that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from queries.spec import SEVERITIES, Finding
from streaming.ring_state import Change, Fact, Ring, RingMember, Typology, Update
from streaming.ring_ties import bind, identity_of, tie_number


def extend(ring: Ring, finding: Finding, evidence: Mapping[str, Fact], update: Update) -> list[Change]:
    """Add members, evidence, ties and what the finding says; returns what of it may be news."""
    news: list[Change] = []
    before = len(update.new_members), len(update.new_evidence)
    for member in finding.members:
        known = ring.members.get(member.entity)
        if known is None:
            ring.members[member.entity] = RingMember(role=member.role, since=finding.time)
        elif member.role == "core" and known.role == "member":
            known.role = "core"
        else:
            continue
        update.new_members.append(member.entity)
    tie = tie_number(identity_of(finding))
    for key, fact in evidence.items():
        if key not in ring.evidence:
            ring.evidence[key] = fact._replace(tie=tie)
            update.new_evidence.append(key)
            ring.first_seen = min(ring.first_seen, fact.time)
            ring.last_seen = max(ring.last_seen, fact.time)
    update.folded += (len(update.new_members), len(update.new_evidence)) != before
    if ring.status == "confirmed" and len(update.new_evidence) != before[1]:
        news.append("acted")
    ring.last_found = max(ring.last_found, finding.time)
    bind(ring.ties, finding)
    return news + _describe(ring, finding)


def _describe(ring: Ring, finding: Finding) -> list[Change]:
    news: list[Change] = []
    known = ring.typologies.get(finding.rule)
    if known is None:
        news.append("typology_added")
    if known is None or finding.time >= known.time:
        ring.typologies[finding.rule] = Typology(
            rule_version=finding.rule_version,
            severity=finding.severity,
            parameters=finding.parameters,
            time=finding.time,
            measures=finding.measures,
            part=finding.part,
            notes=finding.notes,
        )
    if finding.burst is not None:
        ring.burst = max(finding.burst, ring.burst or 0.0)
    if SEVERITIES.index(finding.severity) > SEVERITIES.index(ring.severity):
        ring.severity = finding.severity
        news.append("escalated")
    return news
