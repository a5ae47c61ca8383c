"""``ringwatch rules``: what the rules say, whether they are well formed, and whether their fixtures hold."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graph.errors import ConfigurationError
from queries.fixtures import FIXTURES_FOLDER, contradictions, load_fixtures, replay
from queries.lint import check, check_fixtures
from queries.spec import Rule
from ringwatch.commands.options import ConfigFile, GraphAddress
from ringwatch.commands.wide import wide_console
from ringwatch.composition import opened_graph, refuse_history, rules_for
from ringwatch.rule_operation import rule_choice
from ringwatch.settings import Settings, load

app = typer.Typer(help="List, show, check and test rules.", no_args_is_help=True)

#: Rules are checked and tested on an engine of their own unless a graph is named.
_APART = "embedded:temporary"


@app.command("list")
def list_rules(config: ConfigFile = None) -> None:
    """List the rules that run."""
    table = Table()
    for column in ("rule", "version", "status", "severity", "anchor", "title"):
        table.add_column(column, overflow="fold")
    for rule in rules_for(load(config)):
        header = rule.header
        anchors = ", ".join(header.anchor)
        status = "test (shadow: counted, never alerts)" if rule.is_shadow else header.status
        table.add_row(header.id, str(header.version), status, header.severity, anchors, header.title)
    wide_console().print(table)


@app.command("show")
def show_rule(rule_id: str, config: ConfigFile = None) -> None:
    """Show one rule: why it is, what it misses, what to look at first, and its Cypher."""
    rule = _named(load(config), [rule_id])[0]
    header = rule.header
    console = wide_console()
    about = f" v{header.version} ({header.status}, {header.severity}): {header.title}\n"
    console.print(Text.assemble((header.id, "bold"), about))
    for name, text in (
        ("why", header.rationale),
        ("source", header.source),
        ("blind spots", header.blind_spots),
        ("look first at", header.triage),
        ("quiet on", "; ".join(each.name for each in header.false_positives)),
    ):
        console.print(Text.assemble((name, "bold"), f": {text}"))
    table = Table()
    for column in ("parameter", "value", "least", "most", "meaning"):
        table.add_column(column, overflow="fold")
    for name, parameter in header.params.items():
        value = rule.parameters[name]
        table.add_row(name, f"{value:g}", f"{parameter.min:g}", f"{parameter.max:g}", parameter.meaning)
    console.print(table)
    typer.echo(rule.body)


@app.command("check")
def check_rules(
    files: Annotated[list[Path] | None, typer.Argument(help="Rule files (default: the rules that run).")] = None,
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Check that rules are well formed, and ask an engine what it makes of them."""
    settings = load(config, {"graph.address": graph or _APART})
    rules = [rule_choice(settings).read(file) for file in files] if files else rules_for(settings)
    failed = False
    with opened_graph(settings) as connection:
        for rule in rules:
            problems = check(rule, connection)
            failed |= bool(problems)
            typer.echo(f"{rule.id}: {'ok' if not problems else '; '.join(map(str, problems))}")
    if failed:
        raise typer.Exit(1)


@app.command("test")
def try_fixtures(
    rule_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Default: every rule.")] = None,
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Replay every fixture of the rules through the real writer and compare what they find.

    Those of a rule in a folder of yours are in "fixtures" below it.
    """
    settings = load(config, {"graph.address": graph or _APART})
    passed = failed = 0
    with opened_graph(settings) as connection:
        refuse_history(connection, "a test of rules")
        for rule in _named(settings, rule_ids):
            cases = load_fixtures(rule.id, _own_fixtures(settings, rule.id))
            for problem in check_fixtures(rule, cases):
                failed += 1
                typer.echo(f"{rule.id}: {problem}")
            for case in cases:
                namespace = f"{uuid.uuid4().hex[:8]}-"
                wrong = contradictions(case, replay(case, connection, rule, namespace=namespace), namespace)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                typer.echo(f"{rule.id} / {case.name}: {'; '.join(wrong) if wrong else 'ok'}")
    typer.echo(f"{passed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


def _own_fixtures(settings: Settings, rule_id: str) -> Path | None:
    """Where the user keeps a rule's fixtures; ``None``: those that are shipped serve."""
    name, own = f"{rule_id}.toml", settings.rules.folder
    if own is None or ((FIXTURES_FOLDER / name).exists() and not (own / "fixtures" / name).exists()):
        return None
    return own / "fixtures"


def _named(settings: Settings, rule_ids: list[str] | None) -> list[Rule]:
    rules = {rule.id: rule for rule in rules_for(settings)}
    if unknown := set(rule_ids or ()) - rules.keys():
        raise ConfigurationError(f"there is no rule {', '.join(sorted(unknown))}; there are {', '.join(rules)}")
    return [rule for rule_id, rule in rules.items() if not rule_ids or rule_id in rule_ids]
