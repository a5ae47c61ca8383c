"""``ringwatch train``: from a snapshot to a model with its card, on a laptop as in a container of Vertex AI."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gnn.store import open_store
from gnn.transfer import CARD, MANIFEST, fetched, published
from graph.errors import ConfigurationError
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.wide import wide_console


def train(
    snapshot: Annotated[
        str,
        typer.Option(
            envvar="AIP_TRAINING_DATA_URI", help="A folder or gs://…, as `ringwatch snapshot` writes it."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(envvar="AIP_MODEL_DIR", help="Where the model and its card go: a new folder, or gs://…."),
    ],
    checkpoints: Annotated[
        str | None,
        typer.Option(
            envvar="AIP_CHECKPOINT_DIR", help="A folder or gs://… from which a run that was cut off goes on."
        ),
    ] = None,
    complaint_days: Annotated[int, typer.Option(min=0, help="How long complaints take to come in.")] = 7,
    seeds: Annotated[int, typer.Option(min=1, help="Models per contender; their mean counts.")] = 3,
    trees_only: Annotated[
        bool, typer.Option("--trees-only", help="Without networks: minutes, and no torch wherever it scores.")
    ] = False,
) -> None:
    """Let all models compete on a snapshot, and keep the best at arrival and at a later pass, with a card."""
    try:
        from gnn import training
    except ImportError as error:
        raise ConfigurationError(f"train needs what `pip install 'ringwatch[gnn]'` brings: {error}") from error
    doing = ["reading"]
    with (
        shown_progress(lambda: doing[-1]),
        published(out, CARD) as folder,
        fetched(snapshot, MANIFEST) as data,
    ):
        card = training.train(
            data,
            folder,
            complaint_days=complaint_days,
            seeds=range(seeds),
            checkpoints=open_store(checkpoints) if checkpoints else None,
            trees_only=trees_only,
            told=doing.append,
            warned=lambda said: typer.echo(f"warning: {said}", err=True),
        )
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
    console.print(f"* promoted. All figures, and what they were measured on: {out.rstrip('/')}/card.md")
