"""``ringwatch report``: how good learned scores are, measured on public data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from graph.errors import ConfigurationError
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.wide import wide_console

app = typer.Typer(no_args_is_help=True, help="How good learned scores are.")


@app.callback()
def _report() -> None:
    """Keeps ``quality`` a command of its own."""


@app.command()
def quality(
    data: Annotated[Path, typer.Option(help="The folder with the public sets.")],
    out: Annotated[Path, typer.Option(help="The folder for quality.json and quality.md.")] = Path("quality"),
    sets: Annotated[str, typer.Option(help="Which sets, separated by commas.")] = "remix,ringjan,handbook",
) -> None:
    """Let all models compete on public sets, at arrival and after the next pass; the largest takes an hour."""
    try:
        from ringwatch.quality import report
        from ringwatch.quality.sets import quality_sets
    except ImportError as error:
        raise ConfigurationError(f"report needs what `pip install 'ringwatch[gnn]'` brings: {error}") from error
    chosen = list(quality_sets(data, [name.strip() for name in sets.split(",")]))
    console = wide_console()
    doing, standings = ["starting"], []
    with shown_progress(lambda: doing[-1]):
        for one in chosen:
            for standing in report.stand(one, data, doing.append):
                console.print(report.table(standing))
                standings.append(standing)
    found = report.quality_report(standings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "quality.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        (out / "quality.md").write_text(report.markdown(found), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {out}: {error.strerror}") from error
    console.print(f"written: {out / 'quality.json'} and {out / 'quality.md'}")
