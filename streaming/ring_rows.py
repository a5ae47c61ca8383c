"""Rings as the graph keeps them: a node's properties, its members and its evidence as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from graph.driver import Row
from streaming.ring_state import STRENGTH, Ring, Update

_encoder = msgspec.json.Encoder(order="sorted")


def ring_properties(ring: Ring) -> dict[str, Any]:
    """What the node says to people, and its state for the next start."""
    state = msgspec.structs.replace(ring, members={}, evidence={})
    amounts = ring.amounts()
    return {
        "status": ring.status,
        "verdict": ring.verdict,
        "verdict_at": ring.judged_at,
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
        "split_from": ring.split_from,
        "state": _encoder.encode(state).decode(),
    }


def member_rows(updates: Iterable[Update]) -> Mapping[str, list[Row]]:
    """The memberships to write, by the entity's label."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for update in updates:
        if update.ring.status == "merged":
            continue
        changed = update.ring.members if update.replaced else update.new_members
        for entity in changed:
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


def evidence_rows(updates: Iterable[Update], version: int) -> list[Row]:
    """The evidence to write: a node for each ring and save, since nothing written before changes."""
    rows: list[Row] = []
    for update in updates:
        ring = update.ring
        keys = list(ring.evidence) if update.replaced else update.new_evidence
        if ring.status == "merged" or not keys:
            continue
        facts = [ring.evidence[key] for key in keys]
        rows.append(
            {
                "id": f"{ring.id}|{version}",
                "ring": ring.id,
                "transactions": keys,
                "times": [fact.time for fact in facts],
                "amounts": [fact.amount for fact in facts],
                "currencies": [fact.currency for fact in facts],
                "confidences": [fact.confidence for fact in facts],
                "ties": [fact.tie for fact in facts],
            }
        )
    return rows
