"""Runs every rule once per micro-batch, anchored on what the batch touched.

Windows end at the touch, (t - w, t]: what a rule says at a touch does not depend on the batch around it.
"""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

from graph.driver import Graph, Row
from graph.errors import ServiceError, Unavailable
from graph.events import Entity, Transaction
from graph.rows import EntityState, TouchTimes
from graph.writer import Written
from queries.findings import finding_of
from queries.late import later_touches
from queries.observer import Observer
from queries.spec import GATE_GAP, Finding, Rule

#: One query takes no more anchors than this, which bounds what it holds in memory.
MAX_ANCHORS = 2_000

#: So many anchors are asked about at once where nothing is known of how long they take.
PORTION = 200

#: A rule is given up for a batch once so many of its anchors have failed one by one.
GIVEN_UP = 3

#: Rules that are run at the same time: they only read, and none waits for another. One rule alone takes nearly
#: half of all their time, so that more at once end no sooner, and the next batch is being written meanwhile.
AT_ONCE = 2

#: Label → entity id → a touch to test again → how many ms before it the nearest late event was.
_Later = dict[str, dict[str, dict[int, int]]]

log = logging.getLogger(__name__)


@dataclass
class Touches:
    """What a batch touched.

    ``times``: when, and ``states``: with what counters after the batch.
    ``late``: those of the times that are older than the entity's newest event before the batch, and those of
    labels: a verdict on one card changes what later verdicts on others see. ``transactions``: what touched.
    """

    times: TouchTimes = field(default_factory=dict)
    states: Mapping[str, Mapping[str, EntityState]] = field(default_factory=dict)
    late: TouchTimes = field(default_factory=dict)
    transactions: Sequence[Transaction] = ()

    @classmethod
    def of(cls, written: Written) -> Touches:
        """What a written batch touched."""
        touches = cls(written.touches, written.entities, transactions=written.accepted)
        for label, touched in written.touches.items():
            states = written.entities[label]
            for entity_id, times in touched.items():
                newest = states[entity_id].last_seen_before
                if newest is not None and times[0] < newest:
                    late = times[: bisect_left(times, newest)]
                    touches.late.setdefault(label, {})[entity_id] = late
        for card, times in written.labelled.items():
            late_times = touches.late.setdefault("Card", {})
            late_times[card] = sorted({*times, *late_times.get(card, ())})
        return touches


@dataclass(frozen=True)
class Ask:
    """What a rule is asked: about which rows, and how many anchors were touched in all.

    An anchor that its gate kept out was touched, and has no row.
    """

    rule: Rule
    rows: list[Row]
    touched: int


@dataclass(frozen=True)
class Answer:
    """What a rule said, and which rows it was not asked about for want of time."""

    rule: Rule
    findings: list[Finding]
    left: list[Row]


class Runner:
    """Evaluates a set of rules against one graph.

    ``order`` says how urgent an anchor is (larger is more urgent); ``clock`` gives seconds.
    """

    def __init__(
        self,
        graph: Graph,
        rules: Sequence[Rule],
        observer: Observer | None = None,
        *,
        order: Callable[[Entity], float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._graph = graph
        self.rules = list(rules)
        self._observer = observer or Observer()
        self._order = order
        self.clock = clock
        self._pace_s: dict[str, float] = {}  # by rule, per anchor

    def use(self, rules: Sequence[Rule]) -> None:
        """Evaluate these rules from now on."""
        self.rules = list(rules)

    def run(self, touches: Touches) -> list[Finding]:
        """What the rules say at these touches, in no time limit, sorted by time, rule and identity.

        A rule that fails is logged and observed, and the others go on. What a shadow rule finds is only observed.

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return announced(pool.map(self.answer, self.asks(self.rules, touches)))

    def evaluate(self, rule: Rule, touches: Touches) -> list[Finding]:
        """What one rule says at these touches, in order of time and identity.

        Raises:
            ServiceError: the rule failed.
        """
        findings = [
            finding
            for ask in self.asks([rule], touches)
            for start in range(0, len(ask.rows), MAX_ANCHORS)
            for finding in self._read(rule, ask.rows[start : start + MAX_ANCHORS])
        ]
        return sorted(findings, key=lambda finding: (finding.time, finding.identity))

    def asks(self, rules: Sequence[Rule], touches: Touches) -> list[Ask]:
        """What to ask each rule that a batch concerns, the dearest first: it is not to run alone in the end.

        Raises:
            Unavailable: the graph is away.
        """
        later = self._later(rules, touches)
        asks = [Ask(rule, list(_anchors(rule, touches, later)), _touched(rule, touches, later)) for rule in rules]
        return sorted((ask for ask in asks if ask.touched), key=lambda ask: -self._expected_s(ask))

    def answer(self, ask: Ask, budget_s: float = math.inf) -> Answer:
        """Ask a rule in portions, the most urgent rows first, until its time is spent; always one portion.

        A portion that fails is halved: it may have wanted too much memory, or one of its anchors did.

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        rule, started = ask.rule, self.clock()
        rows = ask.rows if self._fitting(rule, budget_s) >= len(ask.rows) else self._sorted(ask.rows)
        findings: list[Finding] = []
        asked, failed, most = 0, 0, MAX_ANCHORS
        while asked < len(rows) and failed < GIVEN_UP:
            left_s = budget_s - (self.clock() - started)
            if asked and left_s <= 0:
                break
            portion = rows[asked : asked + min(most, self._fitting(rule, left_s))]
            try:
                findings += self._timed(rule, portion)
            except Unavailable:
                raise
            except ServiceError as error:
                if len(portion) > 1:
                    most = len(portion) // 2
                    continue
                log.error("rule_failed", extra={"rule": rule.id, "error": str(error)})
                failed += 1
            asked += len(portion)
            most = 2 * len(portion)
        if rows:
            self._observer.ran(rule, self.clock() - started, asked, len(findings))
        if failed:
            self._observer.failed(rule)
        return Answer(rule, findings, [] if failed == GIVEN_UP else rows[asked:])

    def _timed(self, rule: Rule, rows: Sequence[Row]) -> list[Finding]:
        started = self.clock()
        findings = self._read(rule, rows)
        self._pace_s[rule.id] = (self.clock() - started) / len(rows)
        return findings

    def _fitting(self, rule: Rule, left_s: float) -> int:
        """How many anchors can be asked about in the time left, by how long the last ones took."""
        if left_s == math.inf:
            return MAX_ANCHORS
        pace_s = self._pace_s.get(rule.id)
        fitting = int(left_s / pace_s) if pace_s else PORTION
        return min(max(fitting, PORTION), MAX_ANCHORS)

    def _expected_s(self, ask: Ask) -> float:
        return self._pace_s.get(ask.rule.id, 0.0) * len(ask.rows)

    def _sorted(self, rows: Iterable[Row]) -> list[Row]:
        if self._order is None:
            return list(rows)
        order = self._order
        return sorted(rows, key=lambda row: -order(Entity(row["label"], row["id"])))

    def _read(self, rule: Rule, rows: Sequence[Row]) -> list[Finding]:
        return [finding_of(rule, row) for row in self._graph.read(rule.body, anchors=rows, **rule.parameters)]

    def _later(self, rules: Sequence[Rule], touches: Touches) -> _Later:
        """The touches after late events that any of the rules has to test again."""
        windows: dict[str, int] = {}
        for rule in rules:
            for label in rule.header.anchor:
                windows[label] = max(rule.reach_ms(label), windows.get(label, 0))
        return {
            label: later_touches(self._graph, label, touches.late, window_ms)
            for label, window_ms in windows.items()
        }


def announced(answers: Iterable[Answer]) -> list[Finding]:
    """What reaches rings, sorted by time, rule and identity: nothing of a shadow rule."""
    findings = [finding for answer in answers if not answer.rule.is_shadow for finding in answer.findings]
    return sorted(findings, key=lambda finding: (finding.time, finding.rule, finding.identity))


def _touched(rule: Rule, touches: Touches, later: _Later) -> int:
    return sum(
        len(touches.times.get(label, {}).keys() | later.get(label, {}).keys()) for label in rule.header.anchor
    )


def _anchors(rule: Rule, touches: Touches, later: _Later) -> Iterator[Row]:
    """One row for each run of touches of each anchor that passes the rule's gate."""
    fitting = _of_fitting_transactions(rule, touches)
    for label in rule.header.anchor:
        touched, again = touches.times.get(label, {}), later.get(label, {})
        states = touches.states.get(label, {})
        for entity_id in sorted(touched.keys() | again.keys()):
            times = touched.get(entity_id, [])
            if state := states.get(entity_id):
                if not _passes(rule, state):
                    continue
                times = _not_alone(rule, state, times)
            if fitting is not None:
                times = [time for time in times if (label, entity_id, time) in fitting]
            if entity_id in again:
                retested = (touch for touch, ms in again[entity_id].items() if ms <= rule.reach_ms(label))
                times = sorted({*times, *retested})
            for run in runs(times, rule.window_ms):
                yield {"label": label, "id": entity_id, "first": run[0], "last": run[-1], "times": run}


def _of_fitting_transactions(rule: Rule, touches: Touches) -> set[tuple[str, str, int]] | None:
    """The touches (label, id, time) at which a rule may hold, or ``None`` if it may at all of them."""
    wanted = rule.header.touch
    if wanted is None:
        return None
    return {
        (label, entity_id, transaction.event_time)
        for transaction in touches.transactions
        if wanted.fits(transaction)
        for label, entity_id in transaction.entities()
        if label in rule.header.anchor
    }


def _passes(rule: Rule, state: EntityState) -> bool:
    return all(
        getattr(state, counter) >= rule.parameters[name]
        for counter, name in rule.header.gate.items()
        if counter != GATE_GAP
    )


def _not_alone(rule: Rule, state: EntityState, times: list[int]) -> list[int]:
    """Those touches that came soon enough after the anchor was seen before, where the rule's gate asks for it.

    What lies before a late touch is not known, nor which touches stand for several events at one moment.
    """
    name = rule.header.gate.get(GATE_GAP)
    if name is None or len(times) != state.events:
        return times
    gap_ms, newest = rule.parameters[name], state.last_seen_before
    if newest is None:
        return [time for before, time in pairwise(times) if time - before <= gap_ms]
    return [time for before, time in pairwise([newest, *times]) if time - max(before, newest) <= gap_ms]


def runs(times: list[int], window_ms: int) -> Iterator[list[int]]:
    """Cut sorted times into runs that each span at most one window, so that a run reads at most two."""
    while times:
        size = bisect_right(times, times[0] + window_ms)
        yield times[:size]
        times = times[size:]
