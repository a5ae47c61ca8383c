"""``ringwatch simulate``: a payment stream with the truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.commands.progress import shown_progress
from ringwatch.simulation import DAYS, Simulation, write


def simulate(
    transactions: Annotated[int, typer.Option(min=1, help="How many payments.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same stream.")],
    out: Annotated[Path, typer.Option(help="The folder for transactions, labels, rings and honest look-alikes.")],
    fraud_rate: Annotated[
        float, typer.Option(min=0.0, max=0.2, help="The share of fraud; small streams have more.")
    ] = 0.003,
    days: Annotated[
        int, typer.Option(min=1, help="How long it lasts, where that leaves 200 to 200,000 people.")
    ] = DAYS,
) -> None:
    """Write a simulated stream: honest traffic, honest look-alikes, and rings of known members."""
    done = 0

    def progress(written: int) -> None:
        nonlocal done
        done = written

    with shown_progress(lambda: f"{done:,} of {transactions:,} transactions", lambda: done, transactions):
        write(Simulation(transactions, seed, fraud_rate=fraud_rate, days=days), out, progress)
    typer.echo(f"{transactions:,} transactions written to {out}")
