"""``ringwatch snapshot``: history as a training snapshot."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated

import typer

from gnn.transfer import MANIFEST, published
from graph.errors import BadEvent, ConfigurationError
from graph.events import Label
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, GraphAddress, Mappings, MoreMappings, TimeFormat
from ringwatch.commands.progress import shown_progress
from ringwatch.composition import connected_graph, tokenizer_for
from ringwatch.labelled_history import GraphHistory, LabelledHistory, labels_at
from ringwatch.settings import load
from streaming.codec import Codec
from streaming.mapping import parse_mapping


def snapshot(
    out: Annotated[str, typer.Option(help="Where to write: a new or empty folder, or gs://….")],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Transactions: a file or glob, gs://… or bigquery://…; without one, those in the graph.",
        ),
    ] = None,
    more_mappings: MoreMappings = None,
    labels: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Verdicts, likewise.")] = None,
    fraud: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=VALUE", help="Instead of --labels: what a fraudulent row says."),
    ] = None,
    known_after_days: Annotated[
        float, typer.Option(min=0, max=36_500, help="How long after a transaction what --fraud says became known.")
    ] = 7,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Write history as Parquet: transactions, labels, nodes, edges and features, with a manifest."""
    if importlib.util.find_spec("ibis") is None:
        raise ConfigurationError("snapshot needs what `pip install 'ringwatch[gnn]'` brings")
    settings = load(config, {"graph.address": graph})
    logs.configure(settings.log.level, settings.log.format)
    if source is None:
        if labels or fraud or mappings or more_mappings:
            raise ConfigurationError("labels and mappings go with --source: the graph has its own")
        with connected_graph(settings) as opened:
            history = GraphHistory(opened)
            _write(history, history.labels(), out, f"graph {settings.graph.address}")
        return
    if labels is not None and fraud is not None:
        raise ConfigurationError("--labels and --fraud are two ways to say the same: give one")
    codec = Codec(tokenizer_for(settings), parse_mapping([*(mappings or []), *(more_mappings or [])]), time_format)
    files = LabelledHistory(codec, source)
    told: Iterable[Label | BadEvent] = ()
    if labels is not None:
        told = labels_at(codec, labels)
    elif fraud is not None:
        column, separator, value = fraud.partition("=")
        if not (column and separator and value):
            raise ConfigurationError(f"--fraud takes COLUMN=VALUE, not {fraud!r}")
        told = files.labels_of_column(column, value, timedelta(days=known_after_days))
    try:
        _write(files, told, out, source)
    finally:
        for line in _advice(codec, files):
            sys.stderr.write(line + "\n")


def _advice(codec: Codec, history: LabelledHistory) -> Iterator[str]:
    """What whoever chose the mapping could do better, and what is wrong with the rows that were left out."""
    if history.read:
        yield from codec.advice()
    for why, number in history.refusals.most_common(3):
        yield f"left out {number:,} times: {why}"


def _write(
    history: LabelledHistory | GraphHistory, labels: Iterable[Label | BadEvent], out: str, origin: str
) -> None:
    from gnn.snapshot import write_snapshot  # what it needs is not everywhere, and takes long to import

    shown = shown_progress(lambda: f"{history.read:,} read, {history.bad:,} bad")
    with shown, published(out, MANIFEST) as folder:
        manifest = write_snapshot(history.transactions(), labels, folder, origin=origin)
    typer.echo(
        f"{out}: {manifest.transactions:,} transactions ({', '.join(manifest.kinds)}), "
        f"{manifest.frauds:,} called fraud, {history.bad:,} bad rows left out"
    )
    if left_out := manifest.labels_left_out:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in left_out.items())
        typer.echo(f"{sum(left_out.values()):,} labels left out: {reasons}")
