"""Runs every rule once per micro-batch, anchored on what the batch touched.

Windows end at the touch, (t - w, t]: what a rule says at a touch does not depend on the batch around it.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from graph.driver import Graph, Row
from graph.errors import ServiceError, Unavailable
from graph.rows import EntityState, TouchTimes
from graph.writer import Written
from queries.findings import finding_of
from queries.late import later_touches
from queries.observer import Observer
from queries.spec import Finding, Rule

#: One query takes no more anchors than this, which bounds what it holds in memory.
MAX_ANCHORS = 2_000

#: Rules that are run at the same time: they only read, and none waits for another.
AT_ONCE = 4

#: Label → entity id → a touch to test again → how many ms before it the nearest late event was.
_Later = dict[str, dict[str, dict[int, int]]]

log = logging.getLogger(__name__)


@dataclass
class Touches:
    """What a batch touched.

    ``times``: when, and ``states``: with what counters after the batch.
    ``late``: those of the times that are older than the entity's newest event before the batch.
    """

    times: TouchTimes = field(default_factory=dict)
    states: Mapping[str, Mapping[str, EntityState]] = field(default_factory=dict)
    late: TouchTimes = field(default_factory=dict)

    @classmethod
    def of(cls, written: Written) -> Touches:
        """What a written batch touched."""
        touches = cls(written.touches, written.entities)
        for label, touched in written.touches.items():
            states = written.entities[label]
            for entity_id, times in touched.items():
                newest = states[entity_id].last_seen_before
                if newest is not None and times[0] < newest:
                    late = times[: bisect_left(times, newest)]
                    touches.late.setdefault(label, {})[entity_id] = late
        return touches


class Runner:
    """Evaluates a set of rules against one graph."""

    def __init__(self, graph: Graph, rules: Sequence[Rule], observer: Observer | None = None) -> None:
        self._graph = graph
        self._rules = list(rules)
        self._observer = observer or Observer()

    def use(self, rules: Sequence[Rule]) -> None:
        """Evaluate these rules from now on."""
        self._rules = list(rules)

    def run(self, touches: Touches) -> list[Finding]:
        """What the rules say at these touches, sorted by time, rule and identity.

        A rule that fails is logged and observed, and the others go on. What a shadow rule finds is only observed.

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        later = self._later(self._rules, touches)
        asked = [(rule, rows) for rule in self._rules if (rows := list(_anchors(rule, touches, later)))]
        findings: list[Finding] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for (rule, _), found in zip(asked, pool.map(self._observed, asked), strict=True):
                findings += [] if rule.is_shadow else found
        return sorted(findings, key=lambda finding: (finding.time, finding.rule, finding.identity))

    def _observed(self, asked: tuple[Rule, list[Row]]) -> list[Finding]:
        """What a rule says at its anchors; nothing if it failed."""
        rule, rows = asked
        started = time.perf_counter()
        found: list[Finding] | None = None
        try:
            found = self._read(rule, rows)
        except Unavailable:
            raise
        except ServiceError as error:
            log.error("rule_failed", extra={"rule": rule.id, "error": str(error)})
        seconds = time.perf_counter() - started
        self._observer.ran(rule, seconds, len(rows), None if found is None else len(found))
        return found or []

    def evaluate(self, rule: Rule, touches: Touches) -> list[Finding]:
        """What one rule says at these touches, in order of time and identity.

        Raises:
            ServiceError: the rule failed.
        """
        found = self._read(rule, list(_anchors(rule, touches, self._later([rule], touches))))
        return sorted(found, key=lambda finding: (finding.time, finding.identity))

    def _read(self, rule: Rule, rows: Sequence[Row]) -> list[Finding]:
        return [
            finding_of(rule, row)
            for start in range(0, len(rows), MAX_ANCHORS)
            for row in self._graph.read(rule.body, anchors=rows[start : start + MAX_ANCHORS], **rule.parameters)
        ]

    def _later(self, rules: Sequence[Rule], touches: Touches) -> _Later:
        """The touches after late events that any of the rules has to test again."""
        windows: dict[str, int] = {}
        for rule in rules:
            for label in rule.header.anchor:
                windows[label] = max(rule.window_ms, windows.get(label, 0))
        return {
            label: later_touches(self._graph, label, touches.late, window_ms)
            for label, window_ms in windows.items()
        }


def _anchors(rule: Rule, touches: Touches, later: _Later) -> Iterator[Row]:
    """One row for each run of touches of each anchor that passes the rule's gate."""
    for label in rule.header.anchor:
        touched, again = touches.times.get(label, {}), later.get(label, {})
        states = touches.states.get(label, {})
        for entity_id in sorted(touched.keys() | again.keys()):
            if entity_id in states and not _passes(rule, states[entity_id]):
                continue
            times = touched.get(entity_id, [])
            if entity_id in again:
                retested = (touch for touch, ms in again[entity_id].items() if ms <= rule.window_ms)
                times = sorted({*times, *retested})
            for run in runs(times, rule.window_ms):
                yield {"label": label, "id": entity_id, "first": run[0], "last": run[-1], "times": run}


def _passes(rule: Rule, state: EntityState) -> bool:
    return all(getattr(state, counter) >= rule.parameters[name] for counter, name in rule.header.gate.items())


def runs(times: list[int], window_ms: int) -> Iterator[list[int]]:
    """Cut sorted times into runs that each span at most one window, so that a run reads at most two."""
    while times:
        size = bisect_right(times, times[0] + window_ms)
        yield times[:size]
        times = times[size:]
