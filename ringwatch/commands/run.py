"""``ringwatch run``: transactions in, ring alerts out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from graph.errors import ConfigurationError
from ringwatch import logs
from ringwatch.commands.options import (
    ConfigFile,
    GraphAddress,
    Labels,
    Mappings,
    Models,
    MoreMappings,
    TimeFormat,
)
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.signals import on_termination
from ringwatch.composition import RunOptions, Stage, Worker, beside_the_graph, opened_worker
from ringwatch.rule_metrics import RuleCounts
from ringwatch.settings import Settings, load
from ringwatch.telemetry import Telemetry
from streaming.addresses import is_kafka
from streaming.mapping import parse_mapping
from streaming.records import Source
from streaming.ring_store import RingStore

#: A file of which more than this share is late was not in order.
_MUCH = 0.1


def run(
    source: Annotated[str, typer.Option(help="A file or glob, or kafka://host:port[,host:port…]/topic.")],
    more_mappings: MoreMappings = None,
    graph: GraphAddress = None,
    alerts: Annotated[
        str | None,
        typer.Option(help="file.jsonl | - | kafka://… (default: a file beside the graph)."),
    ] = None,
    dead_letters: Annotated[
        str | None, typer.Option(help="file.jsonl | - | kafka://… (default: a file beside the graph).")
    ] = None,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    sort: Annotated[bool, typer.Option("--sort", help="Order a file by event time first.")] = False,
    labels: Labels = None,
    stage: Annotated[str, typer.Option(help="all | detect | assemble")] = "all",
    group: Annotated[str | None, typer.Option(help="The consumer group, and the name of the checkpoints.")] = None,
    models: Models = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end that the topic had at the start.")
    ] = False,
    config: ConfigFile = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
) -> None:
    """Read transactions, keep the graph, and alert on rings as they form."""
    settings = load(config, {"graph.address": graph, "kafka.group": group, "scores.models": models})
    logs.configure(settings.log.level, settings.log.format)
    if stage not in ("all", "detect", "assemble"):
        raise ConfigurationError(f"--stage is all, detect or assemble, not {stage!r}")
    if labels is not None and stage == "assemble":
        raise ConfigurationError("--labels is for the stage that reads transactions, not for --stage assemble")
    chosen: Stage = stage  # type: ignore[assignment] # checked above
    options = RunOptions(
        source=source,
        alerts=alerts,
        dead_letters=dead_letters,
        mapping=parse_mapping([*(mappings or []), *(more_mappings or [])]),
        time_format=time_format,
        sort=sort,
        labels=labels,
        stage=chosen,
        until_end=until_end,
    )
    if report is not None:
        write_report(report, {})  # a path that cannot be written is better known now than after the run
    summary = run_worker(settings, options)
    print_summary(summary)
    if summary["dead_lettered"]:
        where = dead_letters or beside_the_graph(settings, "dead-letters.jsonl")
        sys.stderr.write(f"what was set aside, and why: {where}\n")
    if report is not None:
        write_report(report, summary)


def run_worker(settings: Settings, options: RunOptions, source: Source | None = None) -> dict[str, Any]:
    """Run a worker until its source ends or the process is asked to end; returns what it did.

    With a ``source`` at hand nothing is served: another worker may be serving at the settings' port.
    """
    port = settings.telemetry.port if source is None else None
    with (
        Telemetry.start(settings.telemetry.host, port) as telemetry,
        opened_worker(settings, options, telemetry, source) as worker,
        on_termination(worker.pipeline.stop),
    ):
        started = time.monotonic()
        with shown_progress(partial(_progress, worker)):
            worker.pipeline.run()
        for line in _advice(worker, options):
            sys.stderr.write(line + "\n")
        return summarise(worker, time.monotonic() - started)


def _advice(worker: Worker, options: RunOptions) -> Iterator[str]:
    """What whoever started the run could do better next time, and what is wrong with what was refused."""
    counts = worker.counts
    yield from worker.codec.advice()
    if not options.sort and not is_kafka(options.source) and counts.late > _MUCH * counts.accepted:
        yield f"{counts.late:,} transactions stood behind later ones: --sort orders a file by time"
    for why, number in Counter(counts.refusals).most_common(3):
        yield f"set aside {number:,} times: {why}"
    for rule, told in sorted(worker.rules.items()):
        yield from _of_rule(rule, told)


def _of_rule(rule: str, told: RuleCounts) -> Iterator[str]:
    """What went another way with a rule than rules go."""
    if told.shadow_findings:
        yield f"{rule}, in the shadow, would have found something {told.shadow_findings:,} times"
    if told.failures:
        yield f"{rule} failed on {told.failures:,} batches: the log says why"
    if told.muted_anchors:
        yield f"{rule} was muted, and not asked of {told.muted_anchors:,} anchors"
    if told.put_off > told.caught_up:
        yield f"{rule} ran out of time: {told.put_off - told.caught_up:,} anchors still wait for it"
    if told.refused:
        yield f"{rule}: a changed file was refused {told.refused:,} times: the log says why"


def _progress(worker: Worker) -> str:
    counts = worker.counts
    return f"{counts.read:,} read, {counts.dead_lettered:,} dead letters, {worker.alerts():,} alerts"


def summarise(worker: Worker, seconds: float) -> dict[str, Any]:
    """What a run did, as the report says it."""
    counts = worker.counts
    rings = RingStore(worker.graph).count()
    return {
        "read": counts.read,
        "accepted": counts.accepted,
        "labels": counts.labels,
        "duplicates": counts.duplicates,
        "dead_lettered": counts.dead_lettered,
        "late": counts.late,
        "rings": sum(rings.values()) - rings.get("merged", 0),
        "alerts": worker.alerts(),
        "seconds": round(seconds, 3),
        "transactions_per_second": round(counts.read / seconds, 1) if seconds else 0.0,
        "rules": dict(sorted(worker.rules.items())),
    }


def write_report(path: Path, summary: dict[str, Any]) -> None:
    """Write the report as JSON."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {path}: {error.strerror}") from error


def print_summary(summary: dict[str, Any]) -> None:
    """One line for people, on standard error: standard output may carry alerts."""
    text = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.items() if key != "rules")
    print(text, file=sys.stderr)  # noqa: T201 - the command's own output
