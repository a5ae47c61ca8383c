"""When findings belong together, how long a ring lives, and when a change is worth an alert."""

from __future__ import annotations

from dataclasses import dataclass

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True)
class RingSettings:
    """All times are event time.

    ``expiry_ms``: a tie, and a ring, ends so long after what last held it. ``dismissal_ms``: how long a dismissal
    suppresses. ``growth_pause_ms``: the least time before an alert that a ring has doubled. ``quiet_ms``: smaller
    news (see :mod:`streaming.ring_news`) waits until so long after the last alert.
    """

    expiry_ms: int = 30 * _DAY_MS
    dismissal_ms: int = 30 * _DAY_MS
    growth_pause_ms: int = 5 * _MINUTE_MS
    quiet_ms: int = _HOUR_MS
    min_jaccard: float = 0.3
    min_containment: float = 0.5
