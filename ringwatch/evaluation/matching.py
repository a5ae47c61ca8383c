"""Which reported ring is about which true one.

A reported ring is *about* a true ring when more than half of its evidence was that ring's doing, camouflage
included; otherwise it is a false alarm. A true ring is *found* when some reported ring is about it.
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
    """Reported rings by the true ring that they are about, and those about none."""

    about: dict[str, list[Reported]] = field(default_factory=dict)
    false_alarms: list[Reported] = field(default_factory=list)

    @property
    def true_alarms(self) -> int:
        """How many reported rings are about some true ring."""
        return sum(map(len, self.about.values()))


def match(truth: Truth, reported: Iterable[Reported]) -> Matching:
    """Match reported rings with the truth."""
    about: defaultdict[str, list[Reported]] = defaultdict(list)
    false_alarms = []
    for one in reported:
        ring_id = subject(truth, one.transactions)
        if ring_id is None:
            false_alarms.append(one)
        else:
            about[ring_id].append(one)
    return Matching(dict(about), false_alarms)


def subject(truth: Truth, transaction_ids: set[str]) -> str | None:
    """The true ring that did more than half of these transactions, if one did."""
    done_by = Counter(ring for key in transaction_ids if (ring := truth.ring_of.get(key)) is not None)
    if not done_by:
        return None
    ((ring_id, count),) = done_by.most_common(1)
    return ring_id if 2 * count > len(transaction_ids) else None


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
    """F1 of the cards of the best single reported ring against those that took part in the fraud."""
    theirs = truth.cards(ring.transaction_ids)
    best = 0.0
    for one in reported:
        found = truth.cards(one.transactions)
        best = max(best, 2 * len(theirs & found) / (len(theirs) + len(found)) if theirs or found else 0.0)
    return best
