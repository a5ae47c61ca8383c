"""The documents say what the code does: whatever they name exists, and whatever a user can name is in them."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import typer.main
from pydantic import BaseModel
from typer.core import TyperGroup

from graph.events import Transaction
from queries.loader import load_rules
from ringwatch.cli import app
from ringwatch.settings import Settings
from streaming.mapping import FIELDS
from streaming.metrics import definitions

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [
    README,
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs/measured.md",
    ROOT / "queries/rules/README.md",
    *DECISIONS,
]
COMMAND_LINE = typer.main.get_command(app)

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def blocks(document: Path, *languages: str) -> list[str]:
    """The fenced code blocks in one of the languages (\"\": none is named)."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language in languages]


def prose(document: Path) -> str:
    """The document without its code blocks."""
    return re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def spoken(document: Path) -> list[str]:
    """What the prose puts in backticks."""
    return re.findall(r"`([^`\n]+)`", prose(document))


def rows(document: Path, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = document.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines[2:]]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def typed(document: Path) -> Iterator[list[str]]:
    """Every ``ringwatch …`` line of the code blocks, as arguments."""
    for block in blocks(document, "", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("ringwatch "):
                yield shlex.split(line, comments=True)[1:]


def parse(command: Any, arguments: Sequence[str]) -> None:
    """Read the arguments as the command line would, without running anything."""
    context = command.make_context("ringwatch", list(arguments))
    if isinstance(command, TyperGroup):
        _, chosen, left = command.resolve_command(context, list(arguments))
        parse(chosen, left)


def commands() -> dict[str, Any]:
    """Every command by its name, as in ``rings list``."""
    assert isinstance(COMMAND_LINE, TyperGroup)
    found: dict[str, Any] = {}
    for name, command in COMMAND_LINE.commands.items():
        if isinstance(command, TyperGroup):
            found |= {f"{name} {below}": each for below, each in command.commands.items()}
        else:
            found[name] = command
    return found


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}


def section_of(name: str) -> type[BaseModel] | None:
    field = Settings.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def variables() -> set[str]:
    """Every environment variable that sets something."""
    named = set()
    for name in Settings.model_fields:
        section = section_of(name)
        named |= {f"{name}_{key}" for key in section.model_fields} if section else {name}
    return {f"RINGWATCH_{name.upper()}" for name in named}


def test_every_command_that_the_readme_shows_is_understood() -> None:
    shown = list(typed(README))
    assert {"run", "produce", "doctor"} <= {arguments[0] for arguments in shown}
    for arguments in shown:
        parse(COMMAND_LINE, arguments)


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    for wrong in (["runs"], ["run", "--source", "f", "--sorted"], ["rings", "lists"], ["run"]):
        with pytest.raises(Exception, match=r"(?i)no such|missing"):
            parse(COMMAND_LINE, wrong)


def test_the_readme_lists_every_command_with_its_options() -> None:
    listed = {quoted(row[0])[0]: set(quoted(row[2])) for row in rows(README, "Commands")}
    assert listed == {name: options(command) for name, command in commands().items()}


@each_document
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    known = commands()
    groups = {name.split()[0] for name in known}
    every_option = set().union(*map(options, known.values()))
    for text in spoken(document):
        words = text.split()
        if words[0].startswith("--"):
            assert words[0] in every_option, text
        elif words[0] == "ringwatch" and words[1:] and words[1].isascii():
            assert " ".join(words[1:3]) in known or words[1] in known or words[1:] == [*groups & {words[1]}], text


@each_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"^make (\w+)", "\n".join(blocks(document, "", "sh")), re.MULTILINE)
    named += re.findall(r"`make (\w+)`", prose(document))
    assert set(named) <= targets


@each_document
def test_every_setting_that_is_named_exists(document: Path) -> None:
    for keys, name in re.findall(r"((?:`\w+`(?:, | and )?)+) in\s`\[(\w+)\]`", prose(document)):
        section = section_of(name)
        assert section, f"there is no section [{name}]"
        assert set(quoted(keys)) <= set(section.model_fields), f"{keys} in [{name}]"
    for variable in re.findall(r"RINGWATCH_[A-Z_]+[A-Z]", document.read_text("utf-8")):
        assert variable in variables(), variable


def test_the_settings_file_names_every_setting() -> None:
    text = (ROOT / "docker" / "ringwatch.toml").read_text("utf-8")
    shown = tomllib.loads(text)
    for name in Settings.model_fields:
        section = section_of(name)
        if section is None:
            assert name in shown or f"({name})" in text, name
            continue
        for key in section.model_fields:
            without_default = rf"^# {key} = |\b{key} in \[{name}\]"
            assert key in shown[name] or re.search(without_default, text, re.MULTILINE), f"{key} in [{name}]"


@each_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", prose(document))]
    for link in links:
        if link and "://" not in link:
            assert (document.parent / link).exists(), link
    for text in spoken(document):
        if re.fullmatch(r"(?:docker|docs|graph|queries|ringwatch|streaming|tests|benchmarks)/[\w./*-]*", text):
            assert any(ROOT.glob(text)), text


@each_document
def test_every_link_into_the_page_finds_its_heading(document: Path) -> None:
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", prose(document))) <= anchors


@each_document
def test_every_metric_that_is_named_exists(document: Path) -> None:
    known = {f"ringwatch_{name}" for name, _, _ in definitions()}
    for name in re.findall(r"`(ringwatch_\w+)`", prose(document)):
        assert name.removesuffix("_total") in known, name


def test_the_readme_describes_every_field_of_an_event() -> None:
    described = list(chain.from_iterable(quoted(row[0]) for row in rows(README, "Events")))
    assert sorted(described) == sorted(FIELDS)
    required = {field.name for field in msgspec.structs.fields(Transaction) if field.required} - {"digest"}
    assert set(described[: len(required)]) == required


def test_the_readme_names_every_rule() -> None:
    said = README.read_text("utf-8").partition("\nThe rules: ")[2].partition(".")[0]
    assert sorted(quoted(said)) == sorted(rule.id for rule in load_rules())


def test_the_alert_in_the_readme_is_one() -> None:
    schema = json.loads((ROOT / "streaming" / "alert.schema.json").read_text("utf-8"))
    (example,) = blocks(README, "json")
    jsonschema.validate(json.loads(example), shortened(schema))


def shortened(schema: Any) -> Any:
    """The schema of an alert from which something was left out, and to which nothing was added."""
    if isinstance(schema, list):
        return [shortened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    short = {key: shortened(value) for key, value in schema.items() if key not in ("required", "minItems")}
    return short | {"additionalProperties": False} if "properties" in schema else short
