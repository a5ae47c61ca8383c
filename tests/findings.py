"""Findings and books of rings for tests, made with as few words as a test needs."""

from __future__ import annotations

from graph.events import Entity
from queries.spec import Finding, Member, Severity
from streaming.ring_settings import RingSettings
from streaming.ring_state import Fact, Ring, Update
from streaming.rings import RingBook

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SETTINGS = RingSettings(expiry_ms=30 * DAY)


def finding(
    device: str,
    cards: list[str],
    *,
    time: int = DAY,
    rule: str = "device_farm",
    severity: Severity = "high",
    core_label: str = "Device",
    suffix: str = "",
) -> Finding:
    """A finding that rests on one transaction of each card; another ``suffix`` names other transactions."""
    return Finding(
        rule=rule,
        rule_version=1,
        severity=severity,
        anchor=Entity(core_label, device),
        time=time,
        identity=(device,),
        members=tuple(
            sorted([Member(core_label, device, "core"), *(Member("Card", card, "member") for card in cards)])
        ),
        evidence=tuple(f"t-{card}{suffix}" for card in sorted(cards)),
    )


def taken(book: RingBook, *findings: Finding) -> list[Update]:
    """What becomes of the findings in one batch; a transaction is as old as the first finding that names it."""
    for one in findings:
        book.facts.update({key: Fact(one.time, 100, "EUR", 0.9) for key in one.evidence if key not in book.facts})
        book.take(one)
    return book.updates()


def only(book: RingBook) -> Ring:
    """The one ring that there is."""
    (ring,) = book.rings()
    return ring
