"""Counts what becomes of rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from queries.observer import Observer
from queries.spec import Rule
from streaming.metrics import Metrics


class RuleCounts(msgspec.Struct):
    """What became of one rule in a run; ``failures`` are of batches, ``refused`` of changes of its file.

    Anchors that were put off and worked off later are in ``anchors`` as well, muted ones are not.
    """

    anchors: int = 0
    findings: int = 0
    shadow_findings: int = 0
    failures: int = 0
    muted_anchors: int = 0
    put_off: int = 0
    caught_up: int = 0
    refused: int = 0


class RuleMetrics(Observer):
    """Puts what a runner tells into metrics, and into ``counts``, by rule, for the report of a run."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.counts: defaultdict[str, RuleCounts] = defaultdict(RuleCounts)

    def ran(self, rule: Rule, seconds: float, anchors: int, findings: int) -> None:
        """Count a rule's turn; the findings of one that is only tried are counted apart."""
        labels, metrics, counts = {"rule": rule.id}, self._metrics, self.counts[rule.id]
        counts.anchors += anchors
        metrics.rule_seconds.record(seconds, labels)
        metrics.rule_anchors.add(anchors, labels)
        if rule.is_shadow:
            counts.shadow_findings += findings
            metrics.shadow_findings.add(findings, labels)
        else:
            counts.findings += findings
            metrics.rule_findings.add(findings, labels)

    def failed(self, rule: Rule) -> None:
        """Count a batch of which not every anchor could be tested."""
        self.counts[rule.id].failures += 1
        self._metrics.rule_failures.add(1, {"rule": rule.id})

    def muted(self, rule: Rule, anchors: int) -> None:
        """Count what a muted rule was not asked."""
        self.counts[rule.id].muted_anchors += anchors
        self._metrics.muted_anchors.add(anchors, {"rule": rule.id})

    def put_off(self, rule: Rule, anchors: int) -> None:
        """Count anchors put off."""
        self.counts[rule.id].put_off += anchors
        self._metrics.deferred_anchors.add(anchors, {"rule": rule.id})

    def caught_up(self, rule: Rule, anchors: int) -> None:
        """Count anchors worked off."""
        self.counts[rule.id].caught_up += anchors
        self._metrics.caught_up_anchors.add(anchors, {"rule": rule.id})

    def refused(self, rule_id: str) -> None:
        """Count a changed file that is no valid rule."""
        self.counts[rule_id].refused += 1
        self._metrics.rule_refusals.add(1, {"rule": rule_id})

    def standing(self, muted: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        """Report who is muted and what waits."""
        self._metrics.muted_rules.replace(dict.fromkeys(muted, 1))
        self._metrics.waiting_anchors.replace(waiting)
