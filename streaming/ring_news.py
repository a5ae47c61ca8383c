"""What of a ring's changes is worth an alert, and when.

At once: created, split off, opened again by what its dismissal did not cover, more severe, withdrawn. When it has
doubled since the last alert, and a pause has passed: grown. Merged, another typology, a confirmed ring's new
transactions: with the next alert, which is due for their sake after a quiet while. Anything less is folded into
the next alert, and comes out when the stream ends or the ring expires.
"""

from __future__ import annotations

from streaming.ring_settings import RingSettings
from streaming.ring_state import Announced, Ring, Update


def decide(update: Update, settings: RingSettings, now: int) -> None:
    """Say in ``update.changes`` what is to be announced (nothing: it is folded), and revise the ring accordingly.

    ``now`` is the event time reached.
    """
    ring = update.ring
    if ring.status == "merged" or ring.verdict == "dismissed":
        update.changes, ring.pending = [], []
        ring.suppressed_count += update.folded
        return
    now = max(now, ring.last_seen)
    due = due_at(ring, settings)
    if not update.changes and (due is None or now < due):
        ring.suppressed_count += update.folded
        return
    if _doubled(ring) and not update.changes and now >= ring.announced.time + settings.growth_pause_ms:
        update.changes.append("grown")
    update.changes += [change for change in ring.pending if change not in update.changes]
    update.suppressed, ring.suppressed_count, ring.pending = ring.suppressed_count, 0, []
    ring.revision += 1
    ring.announced = Announced(now, len(ring.members), len(ring.evidence))


def due_at(ring: Ring, settings: RingSettings) -> int | None:
    """The event time from which what is folded is worth an alert of its own, if it ever is."""
    if ring.verdict == "dismissed":
        return None
    said = ring.announced.time
    moments = [said + settings.growth_pause_ms] if _doubled(ring) else []
    moments += [said + settings.quiet_ms] if ring.pending else []
    return min(moments, default=None)


def _doubled(ring: Ring) -> bool:
    return len(ring.members) >= 2 * ring.announced.members
