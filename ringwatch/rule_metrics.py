"""Counts what becomes of rules."""

from __future__ import annotations

from collections.abc import Mapping

from queries.observer import Observer
from queries.spec import Rule
from streaming.metrics import Metrics


class RuleMetrics(Observer):
    """Puts what a runner tells into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def ran(self, rule: Rule, seconds: float, anchors: int, findings: int) -> None:
        """Count a rule's turn; the findings of one that is only tried are counted apart."""
        labels, metrics = {"rule": rule.id}, self._metrics
        metrics.rule_seconds.record(seconds, labels)
        metrics.rule_anchors.add(anchors, labels)
        if rule.is_shadow:
            metrics.shadow_findings.add(findings, labels)
        else:
            metrics.rule_findings.add(findings, labels)

    def failed(self, rule: Rule) -> None:
        """Count a batch of which not every anchor could be tested."""
        self._metrics.rule_failures.add(1, {"rule": rule.id})

    def muted(self, rule: Rule, anchors: int) -> None:
        """Count what a muted rule was not asked."""
        self._metrics.muted_anchors.add(anchors, {"rule": rule.id})

    def put_off(self, rule: Rule, anchors: int) -> None:
        """Count anchors put off."""
        self._metrics.deferred_anchors.add(anchors, {"rule": rule.id})

    def caught_up(self, rule: Rule, anchors: int) -> None:
        """Count anchors worked off."""
        self._metrics.caught_up_anchors.add(anchors, {"rule": rule.id})

    def standing(self, muted: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        """Report who is muted and what waits."""
        self._metrics.muted_rules.replace(dict.fromkeys(muted, 1))
        self._metrics.waiting_anchors.replace(waiting)
