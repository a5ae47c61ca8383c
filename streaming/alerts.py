"""One ring as an alert: CloudEvents 1.0, structured JSON; ``alert.schema.json`` beside this file is its schema."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import msgspec

from graph.events import Entity
from streaming.money import to_major
from streaming.ring_state import STRENGTH, Change, Ring, Update
from streaming.ring_store import Letter
from streaming.risk import Calibration, assess, risk_in_words

SCHEMA_VERSION = 2
_MAX_MEMBERS = 500
_MAX_TRANSACTIONS = 500
_LAST_MS = 253_402_300_799_000

_TYPES: tuple[tuple[Change, str], ...] = (
    # The weightiest change names the alert.
    ("withdrawn", "ringwatch.ring.withdrawn"),
    ("allow_listed", "ringwatch.ring.withdrawn"),
    ("created", "ringwatch.ring.created"),
    ("split", "ringwatch.ring.split"),
    ("reopened", "ringwatch.ring.reopened"),
    ("merged", "ringwatch.ring.merged"),
    ("escalated", "ringwatch.ring.escalated"),
)

_WORDS: Mapping[Change, str] = {
    "created": "a new ring was found",
    "split": "what held two parts of a ring together has expired",
    "reopened": "the ring's dismissal does not cover what it has become",
    "grown": "the ring has doubled since the last alert",
    "escalated": "the ring has become more severe",
    "typology_added": "the ring shows another typology",
    "merged": "rings were found to be one",
    "acted": "a confirmed ring has acted again",
    "withdrawn": "what held the ring together is shared by too many to be evidence",
    "allow_listed": "what held the ring together was put on the allow-list",
    "updated": "what was folded since the last alert",
}


class EntityFacts(msgspec.Struct, frozen=True):
    """What the graph says of a ring's entity now."""

    degree: int
    is_hub: bool


def rfc3339(time_ms: int) -> str:
    """Epoch milliseconds as UTC text, which ends with the year 9999."""
    moment = datetime.fromtimestamp(min(time_ms, _LAST_MS) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def browser_url(graph_address: str, ring_id: str) -> str | None:
    """A link that opens the ring in Neo4j Browser, where the graph has one."""
    parts = urlsplit(graph_address)
    if not parts.scheme.startswith(("bolt", "neo4j")) or parts.hostname is None:
        return None
    query = f"MATCH (r:Ring {{id: '{ring_id}'}})<-[m:MEMBER_OF]-(e) RETURN r, m, e"
    return f"http://{parts.hostname}:7474/browser/?cmd=edit&arg={quote(query)}"


class AlertFactory:
    """Makes numbered alerts for one graph."""

    def __init__(self, graph_id: str, graph_address: str) -> None:
        self._source = f"ringwatch/{graph_id}"
        self._graph_address = graph_address

    def alert(
        self,
        update: Update,
        facts: Mapping[Entity, EntityFacts],
        calibration: Calibration,
        lane: str,
        number: int,
    ) -> Letter:
        """The ring's present revision, as the ``number``-th letter of ``lane``."""
        ring, changes = update.ring, update.changes
        key = f"{ring.id}/{ring.revision}"
        event = {
            "specversion": "1.0",
            "id": key,
            "source": self._source,
            "type": next((name for change, name in _TYPES if change in changes), "ringwatch.ring.updated"),
            "subject": ring.id,
            "time": rfc3339(_moment(update)),
            "datacontenttype": "application/json",
            "outboxlane": lane,
            "outboxnumber": number,
            "data": self._data(update, facts, calibration, key),
        }
        return Letter(lane, number, ring.id, msgspec.json.encode(event).decode())

    def _data(
        self, update: Update, facts: Mapping[Entity, EntityFacts], calibration: Calibration, key: str
    ) -> dict[str, object]:
        ring, changes = update.ring, update.changes
        amounts = ring.amounts()
        main = next(iter(amounts))
        members = sorted(ring.members.items(), key=lambda item: (item[1].role, item[0]))
        evidence = sorted(ring.evidence.items(), key=lambda item: (item[1].time, item[0]))
        return {
            "schema_version": SCHEMA_VERSION,
            "ring_id": ring.id,
            "revision": ring.revision,
            "dedup_key": key,
            "status": ring.status,
            "verdict": ring.verdict,
            "severity": ring.severity,
            "risk": assess(ring, calibration),
            "changes": list(changes),
            "typologies": [
                {"id": rule, "rule_version": typology.rule_version, "params": typology.parameters}
                for rule, typology in sorted(ring.typologies.items())
            ],
            "members": [
                {
                    "kind": entity.label.lower(),
                    "id": entity.id,
                    "role": member.role,
                    "strength": 1.0 if member.role == "core" else STRENGTH[entity.label],
                }
                for entity, member in members[:_MAX_MEMBERS]
            ],
            "member_count": len(members),
            "shared_entities": [
                {
                    "kind": entity.label.lower(),
                    "id": entity.id,
                    "degree": facts[entity].degree,
                    "rarity": round(1 / math.log(facts[entity].degree + 5), 6),
                    "is_hub": facts[entity].is_hub,
                }
                for entity, member in members
                if member.role == "core" and entity in facts
            ],
            "evidence": {
                "transaction_ids": [key for key, _ in evidence[-_MAX_TRANSACTIONS:]],
                "transaction_count": len(evidence),
                "amount": str(to_major(amounts[main], main)),
                "currency": main,
                "amounts": [
                    {"currency": currency, "amount": str(to_major(amount, currency))}
                    for currency, amount in amounts.items()
                ],
            },
            "first_seen": rfc3339(ring.first_seen),
            "last_seen": rfc3339(ring.last_seen),
            "detected_at": rfc3339(ring.detected_at),
            "suppressed_count": update.suppressed,
            "merged_from": ring.merged_from,
            "split_from": ring.split_from,
            "truncated": len(members) > _MAX_MEMBERS or len(evidence) > _MAX_TRANSACTIONS,
            "reasons": reasons(ring) + risk_in_words(ring, calibration) + [_WORDS[change] for change in changes],
            "browser_url": browser_url(self._graph_address, ring.id),
        }


def _moment(update: Update) -> int:
    """The event time (ms) that an alert is of: what a batch brought counts from itself, not from the batch's end.

    A ring has come to be when it was first found, however much of it came in the same batch. What nothing new
    has prompted is told when its time has come.
    """
    if "created" in update.changes:
        return update.ring.detected_at
    return update.ring.last_active if update.new_evidence else update.ring.announced.time


def reasons(ring: Ring) -> list[str]:
    """Why each typology holds, in words: every measured value beside its threshold."""
    said = []
    for rule, typology in sorted(ring.typologies.items()):
        measures = "; ".join(
            f"{measure.means}: {measure.value:g}"
            + (f" (threshold {measure.threshold:g})" if measure.threshold is not None else "")
            for measure in typology.measures
        )
        said.append(f"{rule}: {measures}" if measures else rule)
        said += [f"{rule}: {note}" for note in typology.notes]
    return said
