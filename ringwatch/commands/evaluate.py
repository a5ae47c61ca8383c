"""``ringwatch evaluate``: rings and alerts beside the truth of a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graph.errors import ConfigurationError
from ringwatch.commands.options import ConfigFile, Mappings, MoreMappings, TimeFormat
from ringwatch.commands.wide import wide_console
from ringwatch.composition import tokenizer_for
from ringwatch.evaluation.found import read_reported
from ringwatch.evaluation.truth import read_truth
from ringwatch.settings import load
from streaming.codec import Codec
from streaming.mapping import parse_mapping


def evaluate(
    truth: Annotated[Path, typer.Option(help="A folder as `ringwatch simulate` writes it.")],
    rings: Annotated[Path, typer.Option(help="Rings, as `ringwatch rings export` writes them.")],
    alerts: Annotated[Path | None, typer.Option(help="The alerts file of the same run.")] = None,
    budget: Annotated[int, typer.Option(min=1, help="How many new rings analysts open each day.")] = 20,
    out: Annotated[Path, typer.Option(help="The folder for evaluation.json and evaluation.html.")] = Path(
        "evaluation"
    ),
    mappings: Mappings = None,
    more_mappings: MoreMappings = None,
    time_format: TimeFormat = None,
    config: ConfigFile = None,
) -> None:
    """Say how well rings were found: recall, precision, delay, loss, alerts, and two baselines beside them.

    The truth's transactions are read as `run` read them: give it the same `--map` and `--time-format`.
    """
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
    mapping = parse_mapping([*(mappings or []), *(more_mappings or [])])
    known = read_truth(truth, Codec(tokenizer_for(load(config)), mapping, time_format))
    found = report.evaluate(known, read_reported(rings, alerts), budget)
    console = wide_console()
    for table in report.tables(found):
        console.print(table)
    if known.left_out:
        console.print(
            f"{known.left_out:,} of the truth's rows are no transactions or labels, and count for nothing"
        )
    if known.absent:
        console.print(
            f"{known.absent:,} transactions that the truth names are not in its stream, and cannot be found"
        )
    if shared := known.shared:
        console.print(f"{shared:,} transactions are named by several rings, and count for the last of them")
    report.write_json(found, out / "evaluation.json")
    page.write_page(found, out / "evaluation.html")
    console.print(f"written: {out / 'evaluation.json'} and {out / 'evaluation.html'}")
