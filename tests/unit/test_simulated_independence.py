"""The simulator and the rules know nothing of each other."""

from __future__ import annotations

import ast
from pathlib import Path

from queries.loader import load_rules

ROOT = Path(__file__).parents[2]
SIMULATION = sorted((ROOT / "ringwatch" / "simulation").rglob("*.py"))


def numbers(file: Path) -> set[float]:
    """The numbers that a module writes down."""
    constants = [
        node.value for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Constant)
    ]
    return {float(value) for value in constants if isinstance(value, (int, float)) and not isinstance(value, bool)}


def test_the_simulator_imports_no_detector() -> None:
    assert len(SIMULATION) > 20
    for file in SIMULATION:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in ("queries", "streaming", "gnn"), f"{file} imports {name}"
                assert not name.startswith("graph.") or name == "graph.errors", f"{file} imports {name}"


def test_no_rule_speaks_of_what_only_the_simulator_writes() -> None:
    for rule in load_rules():
        for mark in ("simulated-", "merchant-", "acct-", "dev-", "example.com", "Example Street"):
            assert mark not in rule.body, f"{rule.id} knows {mark}"


def test_no_telling_number_is_in_both() -> None:
    """Small and round numbers are everybody's; whatever is more particular than that must not be in both."""
    parameters = [float(value) for rule in load_rules() for value in rule.parameters.values()]
    thresholds = {value for value in parameters if particular(value)}
    assert thresholds
    for file in SIMULATION:
        assert not numbers(file) & thresholds, file


def particular(number: float) -> bool:
    digits = f"{number:.12g}".replace(".", "").strip("0")
    return len(digits) > 2
