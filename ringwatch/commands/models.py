"""``ringwatch models``: which models there are, which of them is used, and who decided that."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from gnn.registry import Registry, open_registry
from gnn.transfer import CARD, MANIFEST, fetched
from gnn.versions import Standing, Version
from graph.errors import ConfigurationError
from ringwatch.commands.options import ConfigFile, Models
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.wide import wide_console
from ringwatch.settings import load
from streaming.alerts import rfc3339

app = typer.Typer(help="Register, list, show and promote models.", no_args_is_help=True)

By = Annotated[str | None, typer.Option(help="Who decides.")]
Name = Annotated[str, typer.Argument(metavar="VERSION", help="As `ringwatch models list` names it.")]


@app.command("register")
def register(
    model: Annotated[str, typer.Argument(help="A folder or gs://…, as `ringwatch train` writes it.")],
    models: Models = None,
    config: ConfigFile = None,
) -> None:
    """Add a trained model as a version, which never changes."""
    registry = _registry(models, config)
    with fetched(model, CARD) as folder:
        _check(folder)
        typer.echo(registry.register(folder).name)


@app.command("list")
def list_models(models: Models = None, config: ConfigFile = None) -> None:
    """List every version, oldest first, with what was last decided about it."""
    registry = _registry(models, config)
    versions, (standing, _) = registry.versions(), registry.standing()
    if not versions:
        typer.echo("there are no models")
        return
    table = Table(title="average precision as each version's card has it")
    for column in ("version", "learned until", "at arrival", "later", "last decision", "reason"):
        table.add_column(column, overflow="fold")
    for version in versions:
        last = next((one for one in reversed(standing.decisions) if one.version == version.name), None)
        used = version.name == standing.current
        table.add_row(
            Text(f"{version.name} *", "bold") if used else version.name,
            rfc3339(version.learned_until)[:10],
            _precision(version, "arrival"),
            _precision(version, "later"),
            f"{last.action} {rfc3339(last.at)[:10]}" if last else "",
            last.reason if last else "",
        )
    console = wide_console()
    console.print(table)
    console.print("* in use" if standing.current else "none is in use")


@app.command("show")
def show_model(version: Name, models: Models = None, config: ConfigFile = None) -> None:
    """Show one version whole, with every decision about it."""
    registry = _registry(models, config)
    record = msgspec.to_builtins(registry.version(version))
    record["decisions"] = [one for one in msgspec.to_builtins(registry.history()) if one["version"] == version]
    typer.echo(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())


@app.command("promote")
def promote(
    version: Name,
    snapshot: Annotated[
        str | None,
        typer.Option(
            help="A folder or gs://…: the model must be better on what is new in it than the one in use."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without comparing; with --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with the decision.")] = None,
    by: By = None,
    models: Models = None,
    config: ConfigFile = None,
) -> None:
    """Use a version from now on if it is better beyond the noise; the decision is kept either way."""
    registry = _registry(models, config)
    standing, _ = registry.standing()
    if force:
        if not reason or snapshot:
            raise ConfigurationError("--force takes a --reason, and no --snapshot")
        registry.promote(version, reason=reason, by=by, at=_now())
    elif standing.current is None:
        registry.promote(version, reason=reason or "the first one", by=by, at=_now(), over=standing)
    elif version == standing.current:
        raise ConfigurationError(f"{version} is in use already")
    elif snapshot is None:
        raise ConfigurationError(f"--snapshot says what to compare {version} and {standing.current} on")
    elif not _challenged(registry, standing, version, snapshot, reason, by):
        raise typer.Exit(1)
    typer.echo(f"{version} is in use")


@app.command("rollback")
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")],
    by: By = None,
    models: Models = None,
    config: ConfigFile = None,
) -> None:
    """Use the version again that was in use before the current one."""
    decision = _registry(models, config).rollback(reason=reason, by=by, at=_now())
    typer.echo(f"{decision.version} is in use again")


def _registry(models: str | None, config: Path | None) -> Registry:
    address = load(config, {"scores.models": models}).scores.models
    if address is None:
        raise ConfigurationError("--models (or scores.models in the settings) says where models are registered")
    return open_registry(address)


def _check(model: Path) -> None:
    """Refuse what no worker could load: it would be noticed only when it is promoted."""
    try:
        from gnn.arrival_model import ArrivalModel
    except ImportError as error:
        raise ConfigurationError(f"models need what `pip install 'ringwatch[scores]'` brings: {error}") from error
    for moment in ("arrival", "later"):
        ArrivalModel(model / moment)  # the files of both moments are read alike


def _challenged(
    registry: Registry, standing: Standing, version: str, snapshot: str, reason: str | None, by: str | None
) -> bool:
    """Compare a version with the one in use, and keep the decision; whether it is the version's."""
    try:
        from gnn.challenge import compare
    except ImportError as error:
        raise ConfigurationError(f"comparing needs what `pip install 'ringwatch[gnn]'` brings: {error}") from error
    assert standing.current is not None
    with (
        tempfile.TemporaryDirectory(prefix="ringwatch-") as scratch,
        fetched(snapshot, MANIFEST) as data,
        shown_progress(lambda: f"comparing {version} with {standing.current}"),
    ):
        champion, challenger = (registry.fetch(name, Path(scratch)) for name in (standing.current, version))
        comparison = compare(champion, challenger, data)
    told = f"{comparison}, beside {standing.current}" + (f" ({reason})" if reason else "")
    typer.echo(told)
    if comparison.is_won:
        registry.promote(version, reason=told, by=by, at=_now(), over=standing)
    else:
        registry.decline(version, reason=told, by=by, at=_now())
        typer.echo(f"{standing.current} stays in use")
    return comparison.is_won


def _precision(version: Version, moment: str) -> str:
    told = version.moments[moment]
    return f"{told.contenders[told.promoted].average_precision:.3f} ({told.promoted})"


def _now() -> int:
    return round(time.time() * 1000)
