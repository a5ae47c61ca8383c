"""What becomes of rules, as it is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from queries.loader import load_rules
from queries.spec import Rule, RuleStatus
from ringwatch.rule_metrics import RuleMetrics
from streaming.metrics import Metrics


@dataclass
class Instrument:
    """A counter or a histogram that remembers its sum by rule."""

    sums: dict[str, float] = field(default_factory=dict)

    def add(self, amount: float, labels: dict[str, str]) -> None:
        self.sums[labels["rule"]] = self.sums.get(labels["rule"], 0) + amount

    record = add

    def replace(self, values: dict[str, float]) -> None:
        self.sums = dict(values)


class Instruments:
    """As many instruments as are asked for."""

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = Instrument()
        return self.__dict__[name]


def with_status(status: RuleStatus) -> Rule:
    rule = load_rules()[0]
    return msgspec.structs.replace(rule, header=msgspec.structs.replace(rule.header, status=status))


@pytest.fixture
def metrics() -> Instruments:
    return Instruments()


@pytest.mark.parametrize(
    ("status", "findings", "counted"),
    [
        ("stable", 3, (3, None)),
        ("experimental", 3, (3, None)),
        ("test", 3, (None, 3)),
    ],
)
def test_findings_are_counted_apart_by_what_becomes_of_them(
    metrics: Instruments, status: RuleStatus, findings: int, counted: tuple[int | None, ...]
) -> None:
    rule = with_status(status)
    told = RuleMetrics(cast(Metrics, metrics))
    told.ran(rule, 0.5, 7, findings)
    instruments = (metrics.rule_findings, metrics.shadow_findings)
    assert tuple(each.sums.get(rule.id) for each in instruments) == counted
    assert (metrics.rule_anchors.sums, metrics.rule_seconds.sums) == ({rule.id: 7}, {rule.id: 0.5})
    counts = told.counts[rule.id]
    assert (counts.anchors, counts.findings, counts.shadow_findings) == (7, counted[0] or 0, counted[1] or 0)


def test_a_failure_is_counted(metrics: Instruments) -> None:
    rule = with_status("stable")
    told = RuleMetrics(cast(Metrics, metrics))
    told.failed(rule)
    assert told.counts[rule.id].failures == 1
    assert metrics.rule_failures.sums == {rule.id: 1}
