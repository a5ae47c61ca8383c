"""Verdicts: what people decide of a ring, what a dismissal suppresses, and what its transactions inherit.

A verdict labels a ring. Its transactions inherit it (confirmed: fraud, dismissed: legitimate) with the confidence
that each of them has in the ring's evidence, since a fraudster's own card also pays honest merchants honestly. In
the graph a ``Ring`` has ``verdict`` and ``verdict_at`` (wall-clock epoch ms), and each ``Evidence`` node of that
``ring`` has ``confidences`` beside its ``transactions``; whoever reads labels joins the two.
"""

from __future__ import annotations

from typing import Literal

from graph.errors import RingwatchError
from graph.events import Label
from queries.spec import SEVERITIES, Finding
from streaming.ring_settings import RingSettings
from streaming.ring_state import Decision, Dismissal, Ring, Verdict

Judgement = Literal["open", "investigating", "confirmed", "dismissed"]

#: A transaction that a finding rests on is nearly as certain as the ring …
CONFIDENCE = 0.9
#: … but at a merchant where everybody buys it may as well be camouflage.
CONFIDENCE_AT_HUB = 0.5

#: Who decides where nobody has: the time of such a decision is event time.
RINGWATCH = "ringwatch"

#: A dismissal holds while fewer than this share of the ring's strong members have joined since.
_NEW_SHARE = 0.5


class RefusedVerdictError(RingwatchError):
    """A ring cannot be judged so, or is so already."""


def confidence(time: int, merchant_hub_since: int | None) -> float:
    """How sure it is that a ring's verdict holds for its transaction at ``time``, by the merchant that it paid."""
    at_hub = merchant_hub_since is not None and merchant_hub_since <= time
    return CONFIDENCE_AT_HUB if at_hub else CONFIDENCE


def judge(ring: Ring, judgement: Judgement, *, reason: str, by: str | None, at: int, now: int) -> None:
    """Change a ring's status, and note it; ``at`` is wall-clock epoch ms, ``now`` the event time reached.

    An expired ring can be confirmed, and stays expired; dismissed or opened again it lives on from ``now``.

    Raises:
        RefusedVerdictError: the ring is so already, or cannot become so.
    """
    if judgement == (ring.verdict or ring.status):
        raise RefusedVerdictError(f"{ring.id} is {judgement} already")
    if judgement == "investigating" and ring.status != "open":
        raise RefusedVerdictError(f"{ring.id} is {ring.verdict or ring.status}: reopen it first")
    if judgement == "open" and ring.status == "investigating":
        raise RefusedVerdictError(f"{ring.id} is under investigation, and open as such")
    verdict: Verdict | None = judgement if judgement == "confirmed" or judgement == "dismissed" else None
    ring.verdict, ring.dismissal = verdict, None
    if judgement == "dismissed":
        ring.dismissal = Dismissal(now, ring.strong_members(), ring.severity, sorted(ring.typologies))
    if judgement == "open":
        ring.resumed = now
    if not (judgement == "confirmed" and ring.status == "expired"):
        ring.status = judgement
    ring.history.append(Decision(ring.id, judgement, reason, by, at))


def heed(ring: Ring, label: Label, now: int) -> None:
    """Judge a ring as a label says; ``now`` is the event time reached.

    Raises:
        RefusedVerdictError: it is so already, the label has judged it before, or somebody has decided since.
    """
    judgement: Judgement = "confirmed" if label.verdict == "fraud" else "dismissed"
    for made in ring.history:
        if (made.by, made.at, made.status) == (label.source, label.time, judgement):
            raise RefusedVerdictError(f"{label.source} has said so of {ring.id} before")
        if made.by != RINGWATCH and made.at > label.time:
            raise RefusedVerdictError(f"{ring.id} has been judged since")
    judge(ring, judgement, reason=f"a label says {label.verdict}", by=label.source, at=label.time, now=now)


def broken(ring: Ring, finding: Finding, settings: RingSettings) -> str | None:
    """Why a dismissal does not hold any more now that this finding has joined the ring (``None``: it holds)."""
    dismissal = ring.dismissal
    if dismissal is None:
        return None
    if finding.time > dismissal.time + settings.dismissal_ms:
        return "the dismissal has lapsed"
    strong = ring.strong_members()
    if strong and (strong - dismissal.strong_members) / strong >= _NEW_SHARE:
        return (
            f"{strong - dismissal.strong_members} of its {strong} strong members have joined since its dismissal"
        )
    more_severe = SEVERITIES.index(finding.severity) > SEVERITIES.index(dismissal.severity)
    if more_severe and finding.rule not in dismissal.typologies:
        return f"it shows a more severe typology than those dismissed: {finding.rule}"
    return None
