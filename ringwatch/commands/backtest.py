"""``ringwatch backtest``: what a rule would have found in history, before it is switched on."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from graph.errors import ServiceError
from queries.spec import Rule
from ringwatch import logs
from ringwatch.backtest import Backtest, opened_backtest
from ringwatch.commands.options import ConfigFile, GraphAddress, Labels, Mappings, MoreMappings, TimeFormat
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.run import write_report
from ringwatch.commands.signals import on_termination
from ringwatch.commands.wide import wide_console
from ringwatch.composition import RunOptions
from ringwatch.rule_operation import rule_choice
from ringwatch.settings import Settings, load
from ringwatch.telemetry import Telemetry
from streaming.mapping import parse_mapping

#: History is replayed on an engine of its own unless a graph is named.
_APART = "embedded:temporary"


def backtest(
    rule: Annotated[Path, typer.Option(metavar="FILE", help="A rule file, of any status.")],
    source: Annotated[str, typer.Option(help="A file or glob, or kafka://host:port[,host:port…]/topic.")],
    more_mappings: MoreMappings = None,
    labels: Labels = None,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    sort: Annotated[bool, typer.Option("--sort", help="Order a file by event time first.")] = False,
    graph: GraphAddress = None,
    config: ConfigFile = None,
    report: Annotated[Path | None, typer.Option(help="Write what was found as JSON.")] = None,
) -> None:
    """Replay history with one rule, and say what it would have found, day by day."""
    settings = load(config, {"graph.address": graph or _APART})
    logs.configure(settings.log.level, settings.log.format)
    chosen = rule_choice(settings).read(rule)
    options = RunOptions(
        source=source,
        mapping=parse_mapping([*(mappings or []), *(more_mappings or [])]),
        time_format=time_format,
        sort=sort,
        labels=labels,
        until_end=True,
    )
    if report is not None:
        write_report(report, {})  # a path that cannot be written is better known now than after the run
    summary, failures = _replayed(settings, options, chosen)
    if report is not None:
        write_report(report, summary)
    wide_console().print(_table(summary))
    if failures:
        raise ServiceError(f"{chosen.id} failed on {failures} batches, so this is not all: the log says why")


def _replayed(settings: Settings, options: RunOptions, rule: Rule) -> tuple[dict[str, Any], int]:
    """What a replay found, and on how many batches the rule failed."""
    with (
        Telemetry.start(settings.telemetry.host, None) as telemetry,
        opened_backtest(settings, options, rule, telemetry) as replay,
        on_termination(replay.pipeline.stop),
    ):
        started = time.monotonic()
        with shown_progress(partial(_progress, replay)):
            replay.pipeline.run()
        for line in replay.codec.advice():
            sys.stderr.write(line + "\n")
        days, total = replay.found.days()
        counts = replay.counts
        summary = {
            "rule": rule.id,
            "version": rule.header.version,
            "status": rule.header.status,
            "parameters": rule.parameters,
            "read": counts.read,
            "accepted": counts.accepted,
            "labels": counts.labels,
            "duplicates": counts.duplicates,
            "dead_lettered": dict(replay.letters.reasons),
            "days": days,
            "total": total,
            "seconds": round(time.monotonic() - started, 3),
        }
        return summary, replay.failures.count


def _progress(replay: Backtest) -> str:
    counts = replay.counts
    return f"{counts.read:,} read, {counts.dead_lettered:,} bad"


def _table(summary: dict[str, Any]) -> Table:
    """A line for each day on which the rule held, and one for all of them."""
    table = Table(title=f"{summary['rule']} v{summary['version']}: {summary['accepted']:,} transactions replayed")
    for column in ("day", "findings", "identities", "transactions", "amount", *_KNOWN):
        table.add_column(column, justify="left" if column == "day" else "right")
    for day in summary["days"]:
        table.add_row(day["day"], *_cells(day))
    table.add_section()
    table.add_row("in all", *_cells(summary["total"]))
    return table


_KNOWN = ("fraud", "legitimate", "unknown", "precision")


def _cells(told: dict[str, Any]) -> list[str]:
    amounts = "\n".join(f"{each['amount']} {each['currency']}" for each in told["amounts"])
    counts = [f"{told[name]:,}" for name in ("findings", "identities", "transactions")]
    known = [f"{told[name]:,}" for name in _KNOWN[:-1]]
    precision = "–" if told["precision"] is None else f"{told['precision']:.1%}"
    return [*counts, amounts, *known, precision]
