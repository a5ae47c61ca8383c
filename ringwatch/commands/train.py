"""``ringwatch train``: from a snapshot to a model with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from graph.errors import ConfigurationError
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.wide import wide_console


def train(
    snapshot: Annotated[Path, typer.Option(help="A folder as `ringwatch snapshot` writes it.")],
    out: Annotated[Path, typer.Option(help="The folder for the model and its card; it must be new or empty.")],
    complaint_days: Annotated[int, typer.Option(min=0, help="How long complaints take to come in.")] = 7,
    seeds: Annotated[int, typer.Option(min=1, help="Models per contender; their mean counts.")] = 3,
) -> None:
    """Let all models compete on a snapshot, and keep the best at arrival and at a later pass, with a card."""
    try:
        from gnn import training
    except ImportError as error:
        raise ConfigurationError(f"train needs what `pip install 'ringwatch[gnn]'` brings: {error}") from error
    doing = ["reading"]
    with shown_progress(lambda: doing[-1]):
        card = training.train(snapshot, out, complaint_days=complaint_days, seeds=range(seeds), told=doing.append)
    shown = Table(title=f"{out}: average precision on what was not learned from")
    for column in ("model", *card.moments):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for name in next(iter(card.moments.values())).contenders:
        cells = [
            f"{told.contenders[name].average_precision:.3f}{' *' if name == told.promoted else ''}"
            for told in card.moments.values()
        ]
        shown.add_row(name, *cells)
    console = wide_console()
    console.print(shown)
    console.print(f"* promoted. All figures, and what they were measured on: {out / 'card.md'}")
