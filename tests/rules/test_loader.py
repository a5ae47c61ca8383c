"""Rule files: what is read from them, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.errors import ConfigurationError
from queries.fixtures import load_fixtures
from queries.loader import RuleError, load_rule, load_rules
from tests.rules.rule_files import BODY, HEADER, write_rule


def test_reads_header_body_and_defaults(tmp_path: Path) -> None:
    rule = load_rule(write_rule(tmp_path))
    assert rule.id == "shared_device"
    assert rule.parameters == {"window_ms": 3_600_000, "min_cards": 2}
    assert rule.body.startswith("UNWIND $anchors")
    assert not rule.body.endswith(";")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace('title = "Shared device"', ""), "title"),
        (HEADER.replace('"Device"]', '"Teapot"]'), "anchor must name labels"),
        (HEADER.replace('degree = "min_cards"', 'degree = "cards"'), "not in [params]"),
        (HEADER.replace('degree = "min_cards"', 'size = "min_cards"'), "degree, identifiers"),
        (HEADER.replace('identity = ["device"]', 'identity = ["ring"]'), "not in [returns]"),
        (HEADER.replace("default = 2", "default = 11"), "must lie within"),
        (HEADER.replace("window_ms", "span_ms"), "window_ms"),
        (HEADER.replace('id = "shared_device"', 'id = "shared_ip"'), "file's stem"),
        (HEADER.replace('severity = "low"', 'severity = "dire"'), "severity"),
        (HEADER.replace("version = 1", "version = one"), "not TOML"),
        (HEADER + "\n[extra]\nkey = 1\n", "extra"),
        (HEADER.replace('{ role = "evidence" }', '{ role = "fact" }'), "evidence"),
    ],
)
def test_a_wrong_header_is_refused_in_one_line_that_names_the_file(tmp_path: Path, header: str, said: str) -> None:
    assert header != HEADER
    path = write_rule(tmp_path, header)
    with pytest.raises(RuleError) as caught:
        load_rule(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert isinstance(caught.value, ConfigurationError)


@pytest.mark.parametrize("text", ["", BODY, f"// {HEADER}", f"/*{HEADER}", f"MATCH (n) /*{HEADER}*/{BODY}"])
def test_a_file_without_a_leading_comment_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shared_device.cypher"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RuleError, match="begin the file"):
        load_rule(path)


def test_a_file_without_cypher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="Cypher after the header"):
        load_rule(write_rule(tmp_path, body="\n"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.cypher").write_bytes(b"/* \xe9 */")
    for name in ("missing", "latin"):
        with pytest.raises(RuleError, match="cannot be read"):
            load_rule(tmp_path / f"{name}.cypher")


def test_the_rules_that_come_along_are_the_folder_s() -> None:
    rules = load_rules()
    assert [rule.id for rule in rules] == sorted(rule.id for rule in rules)
    assert {
        "account_takeover_fan_in",
        "bin_attack",
        "card_testing",
        "device_farm",
        "merchant_collusion",
        "synthetic_identity",
    } <= {rule.id for rule in rules}


def test_a_rule_without_a_fixture_file_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="every rule has a fixture file"):
        load_fixtures("shared_device", tmp_path)
