"""What is said of rules that are wrong in themselves, by their text and by the database's plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from graph.driver import Graph
from queries.fixtures import load_fixtures
from queries.lint import check, check_fixtures
from queries.loader import load_rule, load_rules
from queries.spec import Rule
from tests.rules.rule_files import BODY, HEADER, write_rule


def texts(rule: Rule, graph: Graph | None = None) -> str:
    return "\n".join(problem.text for problem in check(rule, graph))


def test_a_sound_rule_has_no_problem(tmp_path: Path, graph: Graph) -> None:
    assert check(load_rule(write_rule(tmp_path)), graph) == []


def test_parameters_are_declared_and_used(tmp_path: Path) -> None:
    spoilt = write_rule(tmp_path, body=BODY.replace("$min_cards", "$most_cards"))
    assert texts(load_rule(spoilt)).splitlines() == [
        "uses $most_cards: declare it in [params.most_cards]",
        "declares 'min_cards' and never uses $min_cards",
    ]


def test_columns_are_those_of_the_header(tmp_path: Path, graph: Graph) -> None:
    spoilt = write_rule(tmp_path, body=BODY.replace("a.id AS device", "a.id AS machine"))
    assert "returns" in texts(load_rule(spoilt), graph)


def test_cypher_that_is_none_is_told(tmp_path: Path, graph: Graph) -> None:
    spoilt = write_rule(tmp_path, body=BODY.replace("UNWIND $anchors", "UNROLL $anchors"))
    assert f"does not run on {graph.engine}" in texts(load_rule(spoilt), graph)


@pytest.mark.parametrize(
    "start",
    ["MATCH (d:Device) WHERE d.id STARTS WITH a.id", "MATCH (d:Device) WHERE toUpper(d.id) = a.id"],
)
def test_every_rule_starts_from_an_index_seek(tmp_path: Path, graph: Graph, start: str) -> None:
    spoilt = load_rule(write_rule(tmp_path, body=BODY.replace("MATCH (d:Device {id: a.id})", start)))
    assert "anchored" in texts(spoilt, graph) or "index seek" in texts(spoilt, graph)


@pytest.mark.parametrize(
    "writing",
    [
        "MERGE (d:Device {id: a.id}) WITH a",
        "MATCH (d:Device {id: a.id}) SET d.seen = 1 WITH a",
        "CALL { WITH a merge (d:Device {id: 'new'}) RETURN d } WITH a",
        "CALL db.labels() YIELD label WITH a",
        "CALL apoc.create.node(a.id) YIELD node WITH a",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_rule_that_writes_is_told_and_writes_nothing(
    tmp_path: Path, graph: Graph, writing: str, first: bool
) -> None:
    graph.write(lambda tx: tx.run("CREATE (d:Device {id: 'there'})"))
    body = BODY.replace("MATCH (d:Device {id: a.id})", writing)
    if first:
        body = "MATCH (d:Device) SET d.seen = 1 WITH count(d) AS seen " + body
    assert "writes, or calls a procedure" in texts(load_rule(write_rule(tmp_path, body=body)), graph)
    assert graph.read("MATCH (d:Device) RETURN d.id AS id, d.seen AS seen") == [{"id": "there", "seen": None}]


@pytest.mark.parametrize(
    "spared", ["/* no CREATE */", "// DELETE\n", "WITH a, 'SET' AS `MERGE`, a.create AS created"]
)
def test_words_that_are_no_code_do_not_write(tmp_path: Path, spared: str) -> None:
    body = BODY.replace("MATCH (d:Device {id: a.id})", f"{spared} MATCH (d:Device {{id: a.id}})")
    assert texts(load_rule(write_rule(tmp_path, body=body))) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("LIMIT 100", "", "has no LIMIT"),
        ("<-[:MADE]-(c:Card)", "<-[:MADE*]-(c:Card)", "path of any length"),
        ("<-[:MADE]-(c:Card)", "<-[*2..]-(c:Card)", "path of any length"),
    ],
)
def test_what_is_without_bound_is_told_by_the_text_alone(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in texts(load_rule(write_rule(tmp_path, body=BODY.replace(old, new, 1))))


def test_what_is_no_query_is_told(tmp_path: Path, graph: Graph) -> None:
    assert texts(load_rule(write_rule(tmp_path, body="SHOW INDEXES")), graph)


@pytest.fixture
def planner(graph: Graph) -> Graph:
    """An engine whose plan shows the inside of subqueries."""
    if graph.engine != "neo4j":
        pytest.skip("its plan does not show the inside of a subquery")
    return graph


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(t:Transaction {device_hour: a.id + '|' + toString(hour)})", "(t:Transaction)", "not anchored"),
        ("(d:Device {id: a.id})", "(d:Device {id: a.id}), (e:Email {id: a.id})", "not anchored"),
        ("LIMIT 100", "", "has no LIMIT"),
        ("MATCH (d:Device {id: a.id})", "MATCH (d:Device {id: a.id})<-[:ON]-(:Transaction)", "whole history"),
        ("<-[:MADE]-(c:Card)", "<-[:MADE*]-(c:Card)", "path of any length"),
        ("<-[:MADE]-(c:Card)", "<-[:MADE*2..]-(c:Card)", "path of any length"),
    ],
)
def test_the_plan_is_looked_through(tmp_path: Path, planner: Graph, old: str, new: str, said: str) -> None:
    assert old in BODY
    assert said in texts(load_rule(write_rule(tmp_path, body=BODY.replace(old, new, 1))), planner)


def test_a_path_of_bounded_length_is_allowed(tmp_path: Path, planner: Graph) -> None:
    bounded = write_rule(tmp_path, body=BODY.replace("<-[:MADE]-(c:Card)", "<-[:MADE*1..2]-(c:Card)"))
    assert check(load_rule(bounded), planner) == []


def test_missing_fixtures_are_told(tmp_path: Path) -> None:
    rule = load_rule(write_rule(tmp_path, HEADER))
    cases = [case for case in load_fixtures("device_farm") if case.name in ("fires", "near_miss")]
    assert [str(problem) for problem in check_fixtures(rule, cases)] == [
        "case 'hub' is missing from its fixtures",
        "case 'family' is missing from its fixtures",
    ]
    assert any("same name" in problem.text for problem in check_fixtures(rule, cases * 2))


def test_a_false_positive_has_to_stay_quiet() -> None:
    rule = next(rule for rule in load_rules() if rule.id == "device_farm")
    renamed = {"kiosk": "fires", "fires": "kiosk"}
    swapped = [
        msgspec.structs.replace(case, name=renamed.get(case.name, case.name)) for case in load_fixtures(rule.id)
    ]
    assert {str(problem) for problem in check_fixtures(rule, swapped)} == {
        "case 'fires' must expect 'fires'",
        "case 'kiosk' must expect 'quiet'",
    }
