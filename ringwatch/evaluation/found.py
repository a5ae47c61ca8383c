"""What a detector reported: rings (as ``ringwatch rings export`` writes them) and the alerts that told of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from graph.errors import ConfigurationError
from ringwatch.evaluation.truth import moment, read_lines


class Risk(msgspec.Struct, frozen=True):
    """How sure the detector is, from 0 to 1."""

    final: float = 0.0


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """A ring as it ended, with all its evidence; a merged one is named in its survivor's ``merged_from``."""

    ring_id: str
    transaction_ids: list[str]
    first_seen: str
    typologies: list[str] = []
    status: str = "open"
    merged_from: list[str] = []
    risk: Risk | None = None


class Evidence(msgspec.Struct, frozen=True):
    """The evidence that an alert carries."""

    transaction_ids: list[str] = []


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """What the evaluation reads of an alert."""

    ring_id: str
    revision: int = 1
    risk: Risk = Risk()
    evidence: Evidence = Evidence()
    detected_at: str | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alerts file."""

    time: str
    data: AlertData


class Telling(NamedTuple):
    """One alert: its event time in ms, and the evidence that it showed."""

    time: int
    transactions: frozenset[str]


@dataclass
class Reported:
    """A ring as an analyst met it: when, with what risk, and how often it was told of.

    ``first_alert`` is event time in ms: the touch at which the ring was found, to which a running worker adds its
    latency (a file's batches are cut by size, so that their ends say nothing of time). Without alerts it is the
    ring's first evidence, and ``alerts`` is empty.
    ``names`` are all ids that its alerts bore.
    """

    ring: Ring
    first_alert: int
    risk: float
    alerts: Sequence[Telling] = ()
    names: set[str] = field(default_factory=set)

    @property
    def transactions(self) -> set[str]:
        """Its evidence."""
        return set(self.ring.transaction_ids)


def read_reported(rings_file: Path, alerts_file: Path | None) -> list[Reported]:
    """Every ring of an export, with what its alerts say if there are any, in order of first alert.

    Raises:
        ConfigurationError: a file cannot be read, or the alerts are all of other rings.
    """
    rings = list(read_lines(rings_file, Ring))
    survivors = {name: ring.ring_id for ring in rings for name in (*ring.merged_from, ring.ring_id)}
    told: defaultdict[str, list[tuple[int, Alert]]] = defaultdict(list)
    # A revision may be told twice after a crash, where nobody can take a line back.
    once = {(one.data.ring_id, one.data.revision): one for one in _alerts(alerts_file)}
    for alert in once.values():
        name = alert.data.ring_id
        told[survivors.get(name, name)].append((moment(alert.time, alerts_file or rings_file), alert))
    if told and rings and told.keys().isdisjoint(survivors):
        raise ConfigurationError(f"{alerts_file} tells of none of the rings in {rings_file}: are they of one run?")
    reported = []
    for ring in rings:
        alerts = told.get(ring.ring_id, [])
        if alerts_file and not alerts:
            continue  # nobody was told of it
        first, risk = moment(ring.first_seen, rings_file), ring.risk.final if ring.risk else 0.0
        if alerts:
            first, opening = min(alerts, key=lambda item: (item[0], item[1].data.revision))
            first = moment(opening.data.detected_at or opening.time, alerts_file or rings_file)
            risk = opening.data.risk.final
        names = {alert.data.ring_id for _, alert in alerts}
        tellings = [Telling(time, frozenset(alert.data.evidence.transaction_ids)) for time, alert in alerts]
        reported.append(Reported(ring, first, risk, tellings, names or {ring.ring_id}))
    return sorted(reported, key=lambda one: (one.first_alert, one.ring.ring_id))


def _alerts(file: Path | None) -> Iterator[Alert]:
    return iter(()) if file is None else read_lines(file, Alert)
