"""The rules that run: how they are chosen, and what becomes of files that change while they do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graph.driver import Graph
from graph.errors import ConfigurationError, Unavailable
from queries.lint import check
from queries.loader import RuleError
from queries.rule_set import RuleChoice, RuleSet
from queries.spec import Rule
from tests.rules.rule_files import BODY, HEADER, write_rule

NEWER = HEADER.replace("version = 1", "version = 2")
OTHER = HEADER.replace('id = "shared_device"', 'id = "other"')


def chosen(*folders: Path, **choice: object) -> RuleSet:
    return RuleSet(RuleChoice(folders, **choice))  # type: ignore[arg-type]


def versions(rules: RuleSet) -> dict[str, int]:
    return {rule.id: rule.header.version for rule in rules.rules}


def test_parameters_are_set_and_rules_switched_off(tmp_path: Path) -> None:
    write_rule(tmp_path)
    write_rule(tmp_path, OTHER, name="other")
    rules = chosen(tmp_path, disabled={"other"}, parameters={"shared_device": {"min_cards": 5}})
    (rule,) = rules.rules
    assert (rule.id, rule.parameters["min_cards"]) == ("shared_device", 5)


def test_of_two_rules_with_one_id_the_later_folder_s_counts(tmp_path: Path) -> None:
    for name, header in (("shipped", HEADER), ("own", NEWER)):
        (tmp_path / name).mkdir()
        write_rule(tmp_path / name, header)
    rules = chosen(tmp_path / "shipped", tmp_path / "own")
    assert versions(rules) == {"shared_device": 2}
    (tmp_path / "own" / "shared_device.cypher").unlink()
    assert rules.refresh().taken == ["shared_device"]
    assert versions(rules) == {"shared_device": 1}


def test_a_deprecated_rule_does_not_run(tmp_path: Path) -> None:
    write_rule(tmp_path, HEADER.replace('"experimental"', '"deprecated"'))
    assert chosen(tmp_path).rules == []


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"parameters": {"shared_ip": {"min_cards": 5}}}, "do not exist: shared_ip"),
        ({"disabled": {"shared_ip"}}, "do not exist: shared_ip"),
        ({"parameters": {"shared_device": {"cards": 5}}}, "no parameter 'cards'"),
        ({"parameters": {"shared_device": {"min_cards": 11}}}, "outside 1 … 10"),
    ],
)
def test_at_the_start_a_choice_of_what_does_not_exist_is_refused(
    tmp_path: Path, choice: dict[str, object], said: str
) -> None:
    write_rule(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        chosen(tmp_path, **choice)


def test_at_the_start_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="No such file"):
        chosen(tmp_path / "nowhere")


def test_at_the_start_a_rule_that_does_not_pass_is_refused(tmp_path: Path, graph: Graph) -> None:
    anchored = "MATCH (d:Device {id: a.id})"
    write_rule(tmp_path, body=BODY.replace(anchored, f"{anchored} SET d.seen = 1 WITH a, d"))
    with pytest.raises(RuleError, match=r"shared_device\.cypher: .*([Ww]rites|Writing)"):
        RuleSet(RuleChoice((tmp_path,)), lambda rule: check(rule, graph))


def test_changed_added_and_removed_files_take_effect(tmp_path: Path) -> None:
    write_rule(tmp_path)
    rules = chosen(tmp_path)
    assert rules.refresh() == ([], [], {})
    write_rule(tmp_path, NEWER)
    write_rule(tmp_path, OTHER, name="other")
    assert rules.refresh() == (["other", "shared_device"], [], {})
    assert versions(rules) == {"other": 1, "shared_device": 2}
    (tmp_path / "other.cypher").unlink()
    assert rules.refresh() == ([], ["other"], {})
    assert versions(rules) == {"shared_device": 2}


def test_a_file_that_was_only_touched_is_no_news(tmp_path: Path) -> None:
    path = write_rule(tmp_path)
    rules = chosen(tmp_path)
    os.utime(path, (0, 0))
    assert rules.refresh() == ([], [], {})


@pytest.mark.parametrize(
    ("header", "body", "said"),
    [
        ("id = 'shared_device'", BODY, "missing required field"),
        (
            NEWER.replace("[params.min_cards]", "[params.least]").replace("min_cards", "least"),
            BODY,
            "no parameter",
        ),
        (NEWER, BODY.replace("$min_cards", "$cards"), "declare it in"),
    ],
)
def test_an_invalid_file_is_refused_once_and_the_old_rule_stays(
    tmp_path: Path, header: str, body: str, said: str
) -> None:
    path = write_rule(tmp_path)
    rules = RuleSet(RuleChoice((tmp_path,), parameters={"shared_device": {"min_cards": 5}}), check)
    write_rule(tmp_path, header, body)
    write_rule(tmp_path, OTHER, name="other")  # the others are not held up
    taken, removed, refused = rules.refresh()
    assert (taken, removed, list(refused)) == (["other"], [], [path])
    assert said in refused[path]
    assert versions(rules)["shared_device"] == 1
    assert rules.refresh().refused == {}
    assert rules.refused.keys() == {path}
    write_rule(tmp_path, NEWER)
    assert rules.refresh() == (["shared_device"], [], {})
    assert rules.refused == {}


def test_a_file_that_is_renamed_without_its_id_is_refused_and_its_rule_stays(tmp_path: Path) -> None:
    path = write_rule(tmp_path)
    rules = chosen(tmp_path)
    renamed = path.rename(tmp_path / "many_cards.cypher")
    taken, removed, refused = rules.refresh()
    assert (taken, removed, list(refused)) == ([], [], [renamed])
    assert "set it to the file's stem" in refused[renamed]
    assert rules.refresh() == ([], [], {})
    assert versions(rules) == {"shared_device": 1}
    write_rule(tmp_path, NEWER.replace('"shared_device"', '"many_cards"'), name="many_cards")
    assert rules.refresh() == (["many_cards"], ["shared_device"], {})


def test_rules_whose_folder_cannot_be_read_for_now_stay(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    write_rule(folder)
    rules = chosen(folder)
    folder.rename(tmp_path / "away")
    assert list(rules.refresh().refused) == [folder]
    assert versions(rules) == {"shared_device": 1}
    (tmp_path / "away").rename(folder)
    assert rules.refresh() == ([], [], {})
    assert rules.refused == {}


def test_while_the_engine_is_away_nothing_is_taken_up_nor_forgotten(tmp_path: Path) -> None:
    away = False

    def inspect(_: Rule) -> list[str]:
        if away:
            raise Unavailable("away")
        return []

    write_rule(tmp_path)
    rules = RuleSet(RuleChoice((tmp_path,)), inspect)
    write_rule(tmp_path, NEWER)
    away = True
    with pytest.raises(Unavailable):
        rules.refresh()
    assert versions(rules) == {"shared_device": 1}
    away = False
    assert rules.refresh().taken == ["shared_device"]


def test_a_rule_that_the_engine_refuses_is_not_taken_up(tmp_path: Path, graph: Graph) -> None:
    path = write_rule(tmp_path)
    rules = RuleSet(RuleChoice((tmp_path,)), lambda rule: check(rule, graph))
    write_rule(tmp_path, NEWER, BODY.replace("UNWIND $anchors", "UNROLL $anchors"))
    assert "does not run on" in rules.refresh().refused[path]
    write_rule(tmp_path, NEWER)
    assert rules.refresh().taken == ["shared_device"]
