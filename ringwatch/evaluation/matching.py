"""Which reported ring is about which true one.

A reported ring is a *false alarm* unless more than half of its evidence was the doing of rings, camouflage
included. Otherwise it is *about* the ring that did more than half of it, and about every ring of whose doings it
holds more than half: rings take over each other's devices, and what is one group to the graph may be two to the
truth. One that holds a little of several is about none of them, and no false alarm either. A true ring is *found*
when some reported ring is about it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ringwatch.evaluation.found import Reported
from ringwatch.evaluation.truth import TrueRing, Truth

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Matching:
    """Reported rings by the true rings that they are about, the false alarms, and how many are none."""

    about: dict[str, list[Reported]] = field(default_factory=dict)
    false_alarms: list[Reported] = field(default_factory=list)
    true_alarms: int = 0


def match(truth: Truth, reported: Iterable[Reported]) -> Matching:
    """Match reported rings with the truth."""
    done = Counter(truth.ring_of.values())
    about: defaultdict[str, list[Reported]] = defaultdict(list)
    false_alarms = []
    true_alarms = 0
    for one in reported:
        held = Counter(ring for key in one.transactions if (ring := truth.ring_of.get(key)) is not None)
        if 2 * held.total() <= len(one.transactions):
            false_alarms.append(one)
            continue
        true_alarms += 1
        for ring_id, count in sorted(held.items()):
            if 2 * count > len(one.transactions) or 2 * count > done[ring_id]:
                about[ring_id].append(one)
    return Matching(dict(about), false_alarms, true_alarms)


def within_budget(reported: Sequence[Reported], rings_per_day: int) -> list[Reported]:
    """What analysts get to see who open, each day, the riskiest ``rings_per_day`` of the day's new rings."""
    days: defaultdict[int, list[Reported]] = defaultdict(list)
    for one in reported:
        days[one.first_alert // _DAY_MS].append(one)
    return [
        one
        for day in sorted(days)
        for one in sorted(days[day], key=lambda one: (-one.risk, one.first_alert, one.ring.ring_id))[
            :rings_per_day
        ]
    ]


def member_f1(truth: Truth, ring: TrueRing, reported: Sequence[Reported]) -> float:
    """F1 of the cards of the best single reported ring against those that took part in the fraud.

    Where a reported ring is about several true ones, the others' cards count as wrong to each of them.
    """
    theirs = truth.cards(ring.transaction_ids)
    best = 0.0
    for one in reported:
        found = truth.cards(one.transactions)
        best = max(best, 2 * len(theirs & found) / (len(theirs) + len(found)) if theirs or found else 0.0)
    return best
