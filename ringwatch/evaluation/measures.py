"""The figures: recall, precision, delay, loss, members, alerts and churn, over all rings and by kind of ring."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ringwatch.evaluation.found import Reported
from ringwatch.evaluation.matching import Matching, match, member_f1
from ringwatch.evaluation.truth import TrueRing, Truth

_HOUR_MS = 3_600_000
_SIZES = ((5, "up to 5 cards"), (10, "6-10 cards"), (30, "11-30 cards"), (math.inf, "more than 30"))
_CAMOUFLAGE = ((0.0, "none"), (0.5, "up to 0.5 per fraud"), (1.5, "0.5 to 1.5"), (math.inf, "more than 1.5"))


class RingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well some true rings were found; medians are over the rings that were, and ``None`` where none was.

    ``half_shown`` are those of which reported rings hold half of the fraudulent transactions or more.
    ``member_f1`` is that of the cards behind the evidence. ``transactions_until_alert`` counts a ring's fraudulent
    transactions up to the event time of the first alert that showed one of them, the ones that raised it included;
    ``money_lost_share`` is the approved part of its takings by then, within the currency in which it took most.
    ``alerts_per_ring`` and ``churn`` (ids beyond the first that alerts gave one ring) are means. What is about
    alerts needs alerts.
    """

    rings: int
    found: int
    recall: float
    half_shown: int
    member_f1: float | None
    transactions_until_alert: float | None
    hours_until_alert: float | None
    money_lost_share: float | None
    alerts_per_ring: float | None
    churn: float | None


class LookAlikeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How often one kind of honest look-alike was taken for fraud.

    A transaction is flagged when a false alarm has it as evidence, a group when one of its transactions is.
    """

    groups: int
    groups_flagged: int
    transactions: int
    transactions_flagged: int
    flagged_share: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is measured of a set of reported rings."""

    reported: int
    false_alarms: int
    precision: float | None
    overall: RingFigures
    by_typology: dict[str, RingFigures]
    by_size: dict[str, RingFigures]
    by_camouflage: dict[str, RingFigures]
    look_alikes: dict[str, LookAlikeFigures]
    false_alarm_typologies: dict[str, int]


@dataclass(frozen=True)
class _Outcome:
    """What became of one true ring."""

    ring: TrueRing
    reported: Sequence[Reported]
    half_shown: bool = False
    member_f1: float = 0.0
    is_told: bool = False
    transactions: int = 0
    hours: float = 0.0
    lost: float = 0.0


def measure(truth: Truth, reported: Sequence[Reported]) -> Figures:
    """The figures for these reported rings."""
    matching = match(truth, reported)
    outcomes = [_outcome(truth, ring, matching.about.get(ring.ring_id, ())) for ring in truth.rings]
    return Figures(
        reported=len(reported),
        false_alarms=len(matching.false_alarms),
        precision=matching.true_alarms / len(reported) if reported else None,
        overall=_figures(outcomes),
        by_typology=_by(outcomes, sorted({ring.typology for ring in truth.rings}), lambda one: one.ring.typology),
        by_size=_by_step(outcomes, _SIZES, lambda one: len(truth.cards(one.ring.transaction_ids))),
        by_camouflage=_by_step(outcomes, _CAMOUFLAGE, lambda one: one.ring.camouflage_share()),
        look_alikes=look_alikes(truth, matching),
        false_alarm_typologies=_typologies(matching),
    )


def recall_and_precision(truth: Truth, reported: Sequence[Reported]) -> tuple[float, float | None]:
    """These two figures alone, as :func:`measure` has them."""
    matching = match(truth, reported)
    recall = len(matching.about) / len(truth.rings) if truth.rings else 0.0
    return recall, matching.true_alarms / len(reported) if reported else None


def look_alikes(truth: Truth, matching: Matching) -> dict[str, LookAlikeFigures]:
    """How false alarms fall on each kind of honest look-alike, and on honest traffic as a whole."""
    flagged = {key for one in matching.false_alarms for key in one.transactions} - truth.fraud
    kinds = {kind: [set(group.transaction_ids) for group in groups] for kind, groups in truth.honest_kind.items()}
    kinds["all honest traffic"] = [truth.times.keys() - truth.ring_of.keys()]
    found = {}
    for kind, groups in kinds.items():
        every = set().union(*groups)
        hit = len(every & flagged)
        found[kind] = LookAlikeFigures(
            groups=len(groups),
            groups_flagged=sum(not flagged.isdisjoint(group) for group in groups),
            transactions=len(every),
            transactions_flagged=hit,
            flagged_share=hit / len(every) if every else 0.0,
        )
    return found


def _outcome(truth: Truth, ring: TrueRing, reported: Sequence[Reported]) -> _Outcome:
    if not reported:
        return _Outcome(ring, ())
    times = sorted(truth.times[key] for key in ring.transaction_ids if key in truth.times)
    theirs = set(ring.transaction_ids)
    shown = theirs & set().union(*(one.transactions for one in reported))
    half_shown = 2 * len(shown) >= len(theirs)
    first = _first_told(truth, ring, reported)
    if first is None:
        return _Outcome(ring, reported, half_shown, member_f1(truth, ring, reported))
    return _Outcome(
        ring,
        reported,
        half_shown,
        member_f1(truth, ring, reported),
        True,
        bisect_right(times, first),
        (first - times[0]) / _HOUR_MS if times else 0.0,
        _lost_share(truth, ring, first),
    )


def _first_told(truth: Truth, ring: TrueRing, reported: Sequence[Reported]) -> int | None:
    """When an alert first showed a fraud of this ring: others may have been told before of what it joined later.

    What a batch held is shown with the moment at which its ring was found, which may come before the payment.
    """
    done = truth.times.keys() & ring.transaction_ids
    shown = (
        max(alert.time, min(truth.times[key] for key in theirs))
        for one in reported
        for alert in one.alerts
        if (theirs := done & alert.transactions)
    )
    return min(shown, default=None)


def _lost_share(truth: Truth, ring: TrueRing, until: int) -> float:
    """The share of a ring's approved takings that was gone by a time; currencies are never added."""
    taken: defaultdict[str, float] = defaultdict(float)
    lost: defaultdict[str, float] = defaultdict(float)
    for key in ring.transaction_ids:
        payment = truth.by_id.get(key)
        if payment is not None and payment.status == "approved":
            taken[payment.currency] += payment.amount
            lost[payment.currency] += payment.amount if truth.times[key] <= until else 0.0
    if not taken:
        return 0.0
    main = max(taken, key=lambda currency: (taken[currency], currency))
    return lost[main] / taken[main] if taken[main] else 0.0


def _by(
    outcomes: Iterable[_Outcome], names: Iterable[str], name_of: Callable[[_Outcome], str]
) -> dict[str, RingFigures]:
    groups: defaultdict[str, list[_Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[name_of(outcome)].append(outcome)
    return {name: _figures(groups[name]) for name in names if name in groups}


def _by_step(
    outcomes: Iterable[_Outcome], steps: Sequence[tuple[float, str]], value_of: Callable[[_Outcome], float]
) -> dict[str, RingFigures]:
    def step(outcome: _Outcome) -> str:
        value = value_of(outcome)
        return next(name for limit, name in steps if value <= limit)

    return _by(outcomes, [name for _, name in steps], step)


def _figures(outcomes: Sequence[_Outcome]) -> RingFigures:
    found = [outcome for outcome in outcomes if outcome.reported]
    told = [outcome for outcome in found if outcome.is_told]
    return RingFigures(
        rings=len(outcomes),
        found=len(found),
        recall=len(found) / len(outcomes) if outcomes else 0.0,
        half_shown=sum(outcome.half_shown for outcome in found),
        member_f1=_mean([outcome.member_f1 for outcome in found]),
        transactions_until_alert=_median([outcome.transactions for outcome in told]),
        hours_until_alert=_median([outcome.hours for outcome in told]),
        money_lost_share=_median([outcome.lost for outcome in told]),
        alerts_per_ring=_mean([sum(len(one.alerts) for one in outcome.reported) for outcome in told]),
        churn=_mean([len(set().union(*(one.names for one in outcome.reported))) - 1 for outcome in told]),
    )


def _typologies(matching: Matching) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for one in matching.false_alarms:
        for typology in one.ring.typologies:
            counts[typology] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _median(values: Sequence[float]) -> float | None:
    return float(statistics.median(values)) if values else None


def rounded(value: object) -> object:
    """Figures with four decimals, which is more than they mean."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value
