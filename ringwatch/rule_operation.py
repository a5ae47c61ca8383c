"""Wiring of the rules: which ones the settings choose, and how a worker operates them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.events import Entity
from queries.backlog import Backlog
from queries.breaker import BreakerSettings
from queries.lint import check
from queries.loader import RULES_FOLDER
from queries.operation import Operation
from queries.rule_set import RuleChoice, RuleSet
from queries.runner import Runner
from ringwatch.rule_metrics import RuleMetrics
from ringwatch.settings import Settings

_MINUTE_MS = 60_000


def rule_choice(settings: Settings) -> RuleChoice:
    """The shipped rules and those of the user's folder, which win, with the settings' parameters."""
    chosen = settings.rules
    own = () if chosen.folder is None else (chosen.folder,)
    return RuleChoice((RULES_FOLDER, *own), chosen.disabled, chosen.parameters)


def operated_rules(
    graph: Graph,
    settings: Settings,
    checkpoints: Checkpoints,
    told: RuleMetrics,
    order: Callable[[Entity], float] | None = None,
) -> tuple[Operation, Callable[[], None]]:
    """The rules as a worker operates them, and what lets changed rule files take effect at its next batch.

    ``told`` hears what becomes of them; ``order`` says how urgent an anchor is, larger is more urgent, for when
    time is short.
    """
    rules = RuleSet(rule_choice(settings), lambda rule: check(rule, graph))
    chosen = settings.breaker
    runner = Runner(graph, rules.rules, told, order=order)
    breaker = BreakerSettings(
        chosen.share, chosen.anchors, chosen.times_norm, mute_ms=chosen.mute_minutes * _MINUTE_MS
    )
    operation = Operation(runner, checkpoints, Backlog(graph), breaker, settings.rules.budget_factor, told)
    checkpoints.accompany(operation)
    return operation, partial(_reload, rules, runner, told)


def _reload(rules: RuleSet, runner: Runner, told: RuleMetrics) -> None:
    news = rules.refresh()
    for path in news.refused:
        told.refused(path.stem)
    if news.taken or news.removed:
        runner.use(rules.rules)
