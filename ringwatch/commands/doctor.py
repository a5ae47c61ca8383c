"""``ringwatch doctor``: what is reachable, in which version and state, and what to do about what is not."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Annotated, NamedTuple

import typer
from rich.table import Table

from graph import schema
from graph.driver import Graph
from graph.errors import ConfigurationError, RingwatchError
from graph.scores import last_pass
from queries.lint import check
from queries.operation import standing
from queries.rule_set import RuleSet
from ringwatch.commands.options import ConfigFile, GraphAddress
from ringwatch.commands.wide import wide_console
from ringwatch.composition import connected_graph, rules_for, tokenizer_for
from ringwatch.rule_operation import rule_choice
from ringwatch.settings import Settings, load
from streaming.addresses import is_kafka, parse_kafka
from streaming.alerts import rfc3339
from streaming.ring_store import RingStore
from streaming.sources.files import FileSource
from streaming.topics import broker_version, group_lag, partition_count


class Finding(NamedTuple):
    """One thing that was looked at: what was seen, and what to do if it is not well (``None``: it is)."""

    what: str
    seen: str
    remedy: str | None = None


def doctor(
    graph: GraphAddress = None,
    source: Annotated[
        str | None, typer.Option(help="What `run` is to read: kafka://host:port/topic, a file or a glob.")
    ] = None,
    alerts: Annotated[str | None, typer.Option(help="kafka://host:port/topic to look at.")] = None,
    group: Annotated[str | None, typer.Option(help="The consumer group whose lag is shown.")] = None,
    config: ConfigFile = None,
) -> None:
    """Look at everything that a run needs; ends with 1 if something is missing."""
    settings = load(config, {"graph.address": graph, "kafka.group": group})
    findings = list(examined(settings, source, alerts))
    table = Table()
    for column in ("what", "seen", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(finding.what, finding.seen, finding.remedy or "")
    wide_console().print(table)
    if any(finding.remedy for finding in findings):
        raise typer.Exit(1)


def examined(settings: Settings, source: str | None, alerts: str | None) -> Iterator[Finding]:
    """Look at one thing after another; what cannot be looked at is a finding too."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("ringwatch", "neo4j", "confluent-kafka"))
    yield Finding("program", f"Python {platform.python_version()}, {packages}")
    yield from _looked(
        "card key", lambda: _card_key(settings), "set RINGWATCH_CARD_KEY (the same secret on every worker)"
    )
    yield from _looked("rules", lambda: _rules(settings), "mend or disable what is named")
    yield from _looked(
        f"graph {settings.graph.address}",
        lambda: _graph(settings),
        "start the graph, or mend its address and credentials (RINGWATCH_GRAPH_USER, RINGWATCH_GRAPH_PASSWORD)",
    )
    for address in (source, alerts):
        if address is not None and is_kafka(address):
            yield from _looked(
                address, partial(_topic, settings, address), "start the broker, or create the topic"
            )
    if source is not None and not is_kafka(source):
        yield from _looked(source, lambda: _files(source), "name a file, or a glob, that is there")


def _looked(what: str, look: Callable[[], list[Finding]], remedy: str) -> Iterator[Finding]:
    try:
        yield from look()
    except RingwatchError as error:
        yield Finding(what, str(error), remedy)


def _card_key(settings: Settings) -> list[Finding]:
    tokenizer_for(settings)
    return [Finding("card key", "present")]


def _rules(settings: Settings) -> list[Finding]:
    return [Finding("rules", ", ".join(f"{rule.id} v{rule.header.version}" for rule in rules_for(settings)))]


def _graph(settings: Settings) -> list[Finding]:
    what = f"graph {settings.graph.address}"
    with connected_graph(settings) as graph:
        findings = [Finding(what, graph.agent)]
        if missing := schema.missing(graph):
            lacking = f"{len(missing)} of its constraints and indexes are missing; the next run creates them"
            findings.append(Finding("schema", lacking))
            return findings
        findings.append(Finding("schema", f"version {schema.VERSION}, complete"))
        rings = RingStore(graph).count()
        counted = ", ".join(f"{count} {status}" for status, count in sorted(rings.items())) or "none"
        findings.append(Finding("rings", counted))
        if settings.rules.folder is not None:
            findings.append(_own_rules(settings, graph))
        findings += [_operation(graph), _scores(graph)]
    return findings


def _own_rules(settings: Settings, graph: Graph) -> Finding:
    """Whether a worker would take them up."""
    what = "your rules on this graph"
    try:
        RuleSet(rule_choice(settings), lambda rule: check(rule, graph))
    except ConfigurationError as error:
        return Finding(what, str(error), "mend or disable what is named")
    return Finding(what, "checked")


def _operation(graph: Graph) -> Finding:
    """Which rules are muted (they come back by themselves), and what waits for them."""
    muted, waiting = standing(graph)
    seen = [f"{rule_id} is muted until {rfc3339(until)} (event time)" for rule_id, until in muted.items()]
    seen += [f"{anchors:,} anchors wait for {rule_id}" for rule_id, anchors in waiting.items()]
    return Finding("rules at work", "; ".join(seen) or "none is muted, nothing waits")


def _scores(graph: Graph) -> Finding:
    """How old the learned part is: with a scorer that has ended, more and more waits."""
    done = last_pass(graph)
    if done is None:
        return Finding("scores", "no pass has ever scored this graph")
    return Finding(
        "scores",
        f"last pass by model {done.model}, as of {rfc3339(done.time)} (event time); "
        f"{done.waiting:,} payments wait for the next",
    )


def _files(address: str) -> list[Finding]:
    found = FileSource(address).assigned()
    return [Finding(address, f"{len(found):,} {'file' if len(found) == 1 else 'files'} to read")]


def _topic(settings: Settings, address: str) -> list[Finding]:
    parsed, client = parse_kafka(address), settings.kafka.properties()
    count = partition_count(parsed, client)
    lag = group_lag(parsed, client, settings.kafka.group)
    seen = f"{broker_version(parsed, client)}; {count} partitions"
    if lag is not None:
        seen += f"; group {settings.kafka.group} is {lag:,} records behind"
    return [Finding(address, seen)]
