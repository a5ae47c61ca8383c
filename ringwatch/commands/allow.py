"""``ringwatch allow``: entities that are shared for an honest reason, and hold no ring together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from graph.errors import ConfigurationError, RingwatchError
from ringwatch.commands.options import ConfigFile, GraphAddress
from ringwatch.commands.rings import parse_member
from ringwatch.commands.wide import wide_console
from ringwatch.composition import opened_graph
from ringwatch.settings import load
from streaming.alerts import rfc3339
from streaming.allow_list import Allowed, AllowListStore

app = typer.Typer(help="List, add and remove entities that hold no ring together.", no_args_is_help=True)

_DAY_MS = 86_400_000

AnEntity = Annotated[str, typer.Argument(metavar="KIND:VALUE", help="The entity, as in ip:198.51.100.7.")]


@app.command("add")
def add(
    entity: AnEntity,
    reason: Annotated[str, typer.Option(help="Why it is shared honestly.")],
    owner: Annotated[str, typer.Option(help="Who answers for that.")],
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day (UTC) whose events are covered.")
    ],
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Put an entity on the allow-list, or change what is said of it; a running worker knows within seconds."""
    if not (reason.strip() and owner.strip()):
        raise ConfigurationError("--reason and --owner want a word or two: somebody will ask")
    settings = load(config, {"graph.address": graph})
    end = int(until.replace(tzinfo=UTC).timestamp() * 1000) + _DAY_MS
    entry = Allowed(parse_member(entity, settings, "KIND:VALUE"), reason, owner, end)
    with opened_graph(settings) as connection:
        AllowListStore(connection).add(entry)
    typer.echo(f"{entity} holds no ring together before {rfc3339(end)}")


@app.command("list")
def list_allowed(graph: GraphAddress = None, config: ConfigFile = None) -> None:
    """List every entry, those that have ended too."""
    with opened_graph(load(config, {"graph.address": graph})) as connection:
        entries = AllowListStore(connection).all()
    if not entries:
        typer.echo("nothing is on the allow-list")
        return
    table = Table()
    for column in ("kind", "id", "covers events before", "owner", "reason"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        label, entity_id = entry.entity
        table.add_row(label.lower(), entity_id, rfc3339(entry.until), entry.owner, entry.reason)
    wide_console().print(table)


@app.command("remove")
def remove(entity: AnEntity, graph: GraphAddress = None, config: ConfigFile = None) -> None:
    """Take an entity off the allow-list; what it held back before is not told afterwards."""
    settings = load(config, {"graph.address": graph})
    wanted = parse_member(entity, settings, "KIND:VALUE")
    with opened_graph(settings) as connection:
        if not AllowListStore(connection).remove(wanted):
            raise RingwatchError(f"{entity} is not on the allow-list")
    typer.echo(f"{entity} is not allowed any more")
