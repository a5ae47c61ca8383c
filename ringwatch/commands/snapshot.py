"""``ringwatch snapshot``: history as a training snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from graph.errors import ConfigurationError
from graph.events import Label
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, Mappings, MoreMappings, TimeFormat
from ringwatch.commands.progress import shown_progress
from ringwatch.composition import tokenizer_for
from ringwatch.labelled_history import LabelledHistory, labels_of_file
from ringwatch.settings import load
from streaming.codec import Codec
from streaming.mapping import parse_mapping


def snapshot(
    source: Annotated[str, typer.Option(help="A file or glob of transactions.")],
    out: Annotated[Path, typer.Option(help="The folder to write; it must be new or empty.")],
    more_mappings: MoreMappings = None,
    labels: Annotated[str | None, typer.Option(help="Verdicts: a file or glob.")] = None,
    fraud: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=VALUE", help="Instead of --labels: what a fraudulent row says."),
    ] = None,
    known_after_days: Annotated[
        float, typer.Option(min=0, help="How long after a transaction what --fraud says became known.")
    ] = 7,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    config: ConfigFile = None,
) -> None:
    """Write history as Parquet: transactions, labels, nodes, edges and features, with a manifest."""
    try:
        from gnn.snapshot import write_snapshot
    except ImportError as error:
        raise ConfigurationError(f"snapshot needs what `pip install 'ringwatch[gnn]'` brings: {error}") from error
    if labels is not None and fraud is not None:
        raise ConfigurationError("--labels and --fraud are two ways to say the same: give one")
    settings = load(config, {})
    logs.configure(settings.log.level, settings.log.format)
    codec = Codec(tokenizer_for(settings), parse_mapping([*(mappings or []), *(more_mappings or [])]), time_format)
    history = LabelledHistory(codec, source)
    told: Iterable[Label] = ()
    if labels is not None:
        told = labels_of_file(codec, labels)
    elif fraud is not None:
        column, separator, value = fraud.partition("=")
        if not (column and separator and value):
            raise ConfigurationError(f"--fraud takes COLUMN=VALUE, not {fraud!r}")
        told = history.labels_of_column(column, value, timedelta(days=known_after_days))
    with shown_progress(lambda: f"{history.read:,} read, {history.bad:,} bad"):
        manifest = write_snapshot(history.transactions(), told, out, origin=source)
    typer.echo(
        f"{out}: {manifest.transactions:,} transactions ({', '.join(manifest.kinds)}), "
        f"{manifest.frauds:,} called fraud, {history.bad:,} bad rows left out"
    )
