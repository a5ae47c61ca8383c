"""One suite that interrogates every rule on every engine: a new rule needs a rule file and a fixture file only."""

from __future__ import annotations

import pytest

from graph.driver import Graph
from graph.events import Event, Label, id_of
from queries.fixtures import Case, contradictions, load_fixtures, replay, replay_events
from queries.lint import check, check_fixtures
from queries.loader import load_rules
from queries.spec import Rule
from tests.engines import on

RULES = load_rules()
CASES = [(rule, case) for rule in RULES for case in load_fixtures(rule.id)]
FIRING = [(rule, case) for rule, case in CASES if case.expect == "fires"]
TOLD_ONE_BY_ONE = [(rule, case) for rule, case in FIRING if not case.labels and len(case.events()) < 120]
PLAIN = [(rule, case) for rule, case in FIRING if case.name == "fires"]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
#: What is the rule's own and no engine's: on Neo4j fixtures are replayed as they are.
on_one_engine = on("arcadedb")


def each(pairs: list[tuple[Rule, Case]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("rule", "case"), pairs, ids=[f"{rule.id}-{case.name}" for rule, case in pairs])


@every_rule
def test_is_well_formed(rule: Rule, graph: Graph) -> None:
    assert check(rule, graph) == []


@every_rule
def test_has_its_fixtures(rule: Rule) -> None:
    assert check_fixtures(rule, load_fixtures(rule.id)) == []


@each(CASES)
def test_fixture_holds(rule: Rule, case: Case, graph: Graph) -> None:
    assert contradictions(case, replay(case, graph, rule)) == []


@on("neo4j-2026")
@each(PLAIN)
def test_fires_on_the_latest_release(rule: Rule, case: Case, graph: Graph) -> None:
    assert contradictions(case, replay(case, graph, rule)) == []


@on_one_engine
@each(FIRING)
def test_carries_no_more_evidence_than_allowed(rule: Rule, case: Case, graph: Graph) -> None:
    most = rule.header.params["max_evidence"].min
    findings = replay(case, graph, rule.with_parameters({"max_evidence": most}))
    assert findings
    assert all(len(finding.evidence) <= most for finding in findings)


@on_one_engine
@each(FIRING)
def test_says_the_same_however_the_stream_is_cut_into_batches(rule: Rule, case: Case, graph: Graph) -> None:
    def said(batch: int) -> list[str]:
        namespace = f"by{batch}/"
        found = replay(case, graph, rule, namespace=namespace, batch=batch)
        return [str(finding).replace(namespace, "") for finding in found]

    assert said(7) == said(50) == said(1_000)


@on_one_engine
@each(PLAIN)
def test_one_transaction_less_than_the_least_ring_is_no_ring(rule: Rule, case: Case, graph: Graph) -> None:
    for number, missing in enumerate(case.evidence):
        namespace = f"without{number}/"
        events = [event for event in case.events(namespace) if id_of(event) != namespace + missing]
        assert replay_events(events, graph, rule) == []


@on_one_engine
@each(TOLD_ONE_BY_ONE)
def test_a_ring_whose_events_come_late_is_found_all_the_same(rule: Rule, case: Case, graph: Graph) -> None:
    events = case.events()
    ring = [event for event in events if id_of(event) in case.evidence]
    others = [event for event in events if id_of(event) not in case.evidence]
    said = contradictions(case, replay_events([*others, *reversed(ring)], graph, rule, batch=1))
    # What was there before the rest came may have been a ring with something else in it.
    assert [word for word in said if case.name == "fires" or word.startswith("missing")] == []


@on_one_engine
@each([(rule, case) for rule, case in FIRING if case.labels])
def test_a_ring_whose_labels_come_in_any_order_is_found_all_the_same(rule: Rule, case: Case, graph: Graph) -> None:
    for number, backwards in enumerate((False, True)):
        events = case.events(f"{number}/")
        labels = [event for event in events if isinstance(event, Label)]
        others = [event for event in events if not isinstance(event, Label)]
        told: list[Event] = [*others, *reversed(labels)] if backwards else [*labels, *others]
        assert contradictions(case, replay_events(told, graph, rule, batch=1), f"{number}/") == []
