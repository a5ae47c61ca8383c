"""``ringwatch report``: how good learned scores are, measured on public data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _written_to(out):
        tempfile.TemporaryFile(dir=out).close()  # what cannot be written is better known now than after the work
    doing, standings = ["starting"], []
    with shown_progress(lambda: doing[-1]):
        for one in chosen:
            for standing in report.stand(one, data, doing.append):
                console.print(report.table(standing))
                standings.append(standing)
    found = report.quality_report(standings)
    with _written_to(out):
        (out / "quality.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        (out / "quality.md").write_text(report.markdown(found), encoding="utf-8")
    console.print(f"written: {out / 'quality.json'} and {out / 'quality.md'}")


@contextmanager
def _written_to(out: Path) -> Iterator[None]:
    """A folder that is made if need be, and written to.

    Raises:
        ConfigurationError: it cannot be.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {out}: {error.strerror}") from error
