"""``ringwatch evaluate``: rings and alerts beside the truth of a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graph.errors import ConfigurationError
from ringwatch.commands.wide import wide_console
from ringwatch.evaluation.found import read_reported
from ringwatch.evaluation.truth import read_truth


def evaluate(
    truth: Annotated[Path, typer.Option(help="A folder as `ringwatch simulate` writes it.")],
    rings: Annotated[Path, typer.Option(help="Rings, as `ringwatch rings export` writes them.")],
    alerts: Annotated[Path | None, typer.Option(help="The alerts file of the same run.")] = None,
    budget: Annotated[int, typer.Option(min=1, help="How many new rings analysts open each day.")] = 20,
    out: Annotated[Path, typer.Option(help="The folder for evaluation.json and evaluation.html.")] = Path(
        "evaluation"
    ),
) -> None:
    """Say how well rings were found: recall, precision, delay, loss, alerts, and two baselines beside them."""
    try:
        from ringwatch.evaluation import page, report
    except ImportError as error:
        raise ConfigurationError(
            f"evaluate needs what `pip install 'ringwatch[evaluate]'` brings: {error}"
        ) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the folder {out} cannot be made: {error.strerror}") from error
    found = report.evaluate(read_truth(truth), read_reported(rings, alerts), budget)
    console = wide_console()
    for table in report.tables(found):
        console.print(table)
    report.write_json(found, out / "evaluation.json")
    page.write_page(found, out / "evaluation.html")
    console.print(f"written: {out / 'evaluation.json'} and {out / 'evaluation.html'}")
