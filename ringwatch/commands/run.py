"""``ringwatch run``: transactions in, ring alerts out."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from graph.errors import ConfigurationError
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, GraphAddress, Mappings, MoreMappings, TimeFormat
from ringwatch.composition import RunOptions, Stage, Worker, opened_worker
from ringwatch.settings import load
from ringwatch.telemetry import Telemetry
from streaming.mapping import parse_mapping
from streaming.ring_store import RingStore

_PLAIN_EVERY_S = 5.0


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
    stage: Annotated[str, typer.Option(help="all | detect | assemble")] = "all",
    group: Annotated[str | None, typer.Option(help="The consumer group, and the name of the checkpoints.")] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end that the topic had at the start.")
    ] = False,
    config: ConfigFile = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
) -> None:
    """Read transactions, keep the graph, and alert on rings as they form."""
    settings = load(config, {"graph.address": graph, "kafka.group": group})
    logs.configure(settings.log.level, settings.log.format)
    if stage not in ("all", "detect", "assemble"):
        raise ConfigurationError(f"--stage is all, detect or assemble, not {stage!r}")
    chosen: Stage = stage  # type: ignore[assignment] # checked above
    options = RunOptions(
        source=source,
        alerts=alerts,
        dead_letters=dead_letters,
        mapping=parse_mapping([*(mappings or []), *(more_mappings or [])]),
        time_format=time_format,
        sort=sort,
        stage=chosen,
        until_end=until_end,
    )
    with (
        Telemetry.start(settings.telemetry.host, settings.telemetry.port) as telemetry,
        opened_worker(settings, options, telemetry) as worker,
        stopped_by_signals(worker),
    ):
        started = time.monotonic()
        with shown_progress(worker):
            worker.pipeline.run()
        summary = summarise(worker, time.monotonic() - started)
    if report is not None:
        write_report(report, summary)
    print_summary(summary)


@contextmanager
def stopped_by_signals(worker: Worker) -> Iterator[None]:
    """SIGTERM and SIGINT drain: the batch in flight is committed, then the run ends."""

    def stop(*_: object) -> None:
        worker.pipeline.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def shown_progress(worker: Worker) -> Iterator[None]:
    """A bar on a terminal, a plain line every few seconds elsewhere; both on standard error."""
    console = Console(stderr=True)
    done = threading.Event()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("starting", total=None)

    def show() -> None:
        last = time.monotonic()
        while not done.wait(0.25):
            counts = worker.counts
            words = f"{counts.read:,} read, {counts.dead_lettered:,} dead letters, {worker.alerts():,} alerts"
            bar.update(task, description=words)
            if not console.is_terminal and time.monotonic() - last >= _PLAIN_EVERY_S:
                last = time.monotonic()
                print(words, file=sys.stderr, flush=True)  # noqa: T201 - plain lines are the point

    with bar:
        thread = threading.Thread(target=show, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def summarise(worker: Worker, seconds: float) -> dict[str, Any]:
    """What a run did, as the report says it."""
    counts = worker.counts
    rings = RingStore(worker.graph).count()
    return {
        "read": counts.read,
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "dead_lettered": counts.dead_lettered,
        "late": counts.late,
        "rings": sum(rings.values()) - rings.get("merged", 0),
        "alerts": worker.alerts(),
        "seconds": round(seconds, 3),
        "transactions_per_second": round(counts.read / seconds, 1) if seconds else 0.0,
    }


def write_report(path: Path, summary: dict[str, Any]) -> None:
    """Write the report as JSON."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {path}: {error.strerror}") from error


def print_summary(summary: dict[str, Any]) -> None:
    """One line for people, on standard error: standard output may carry alerts."""
    text = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.items())
    print(text, file=sys.stderr)  # noqa: T201 - the command's own output
