"""Reads rule files: a TOML header in the leading block comment, then Cypher that pastes into Neo4j Browser."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from graph.errors import ConfigurationError
from queries.spec import Header, Rule

#: The rules that come with Ringwatch.
RULES_FOLDER = Path(__file__).parent / "rules"


class RuleError(ConfigurationError):
    """A rule file that cannot be used: the message names the file and what to change."""


def load_rule(path: Path) -> Rule:
    """Read one rule file, with its parameters at their defaults.

    Raises:
        RuleError: the file cannot be read, or is not a rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    start, opened, rest = text.partition("/*")
    comment, closed, body = rest.partition("*/")
    if start.strip() or not opened or not closed:
        raise RuleError(f"{path}: begin the file with one /* … */ comment that holds the TOML header")
    if not body.strip():
        raise RuleError(f"{path}: write the rule's Cypher after the header")
    try:
        header = msgspec.convert(tomllib.loads(comment), Header)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{path}: the header is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise RuleError(f"{path}: {error}") from error
    if header.id != path.stem:
        raise RuleError(f"{path}: id is {header.id!r}; set it to the file's stem, {path.stem!r}")
    defaults = {name: parameter.default for name, parameter in header.params.items()}
    return Rule(header, body.strip().removesuffix(";"), defaults)


def load_rules(folder: Path = RULES_FOLDER) -> list[Rule]:
    """Read every rule of a folder (Ringwatch's own by default), in order of id.

    Raises:
        RuleError: a file is not a rule.
    """
    return [load_rule(path) for path in sorted(folder.glob("*.cypher"))]
