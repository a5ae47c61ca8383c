"""``ringwatch rings``: what was found, as tables for people and lines for programs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from graph.errors import BadEvent, ConfigurationError, RingwatchError
from graph.events import Entity
from graph.schema import ENTITY_LABELS
from ringwatch.commands.options import ConfigFile, GraphAddress
from ringwatch.commands.wide import wide_console
from ringwatch.composition import opened_graph, tokenizer_for
from ringwatch.settings import Settings, load
from streaming.alerts import reasons, rfc3339
from streaming.codec import Codec
from streaming.money import to_major
from streaming.ring_store import RingStore
from streaming.rings import Ring

app = typer.Typer(help="List, show and export rings.", no_args_is_help=True)
_KINDS = {label.lower(): label for label in ENTITY_LABELS}


@app.command("list")
def list_rings(
    member: Annotated[str | None, typer.Option(metavar="KIND:VALUE", help="Only rings with this member.")] = None,
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """List every ring but merged ones, oldest first."""
    settings = load(config, {"graph.address": graph})
    wanted = parse_member(member, settings) if member else None
    with opened_graph(settings) as connection:
        rings = list(RingStore(connection).all(wanted))
    if not rings:
        typer.echo("there are no rings" + (f" with {member}" if member else ""))
        return
    wide_console().print(ring_table(rings))


@app.command("show")
def show_ring(ring_id: str, graph: GraphAddress = None, config: ConfigFile = None) -> None:
    """Show one ring whole; the id of a merged ring shows the ring that it ended in."""
    settings = load(config, {"graph.address": graph})
    with opened_graph(settings) as connection:
        found = RingStore(connection).by_ids([ring_id])
    if ring_id not in found:
        raise RingwatchError(f"there is no ring {ring_id}")
    typer.echo(msgspec.json.format(msgspec.json.encode(ring_record(found[ring_id])), indent=2).decode())


@app.command("export")
def export_rings(
    out: Annotated[Path, typer.Option(help="The file to write, one JSON object per line.")],
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Write every ring but merged ones, expired ones too, with all members and evidence."""
    settings = load(config, {"graph.address": graph})
    count = 0
    try:
        with opened_graph(settings) as connection, out.open("wb") as file:
            for ring in RingStore(connection).all():
                file.write(msgspec.json.encode(ring_record(ring)) + b"\n")
                count += 1
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"{count} rings written to {out}")


def parse_member(text: str, settings: Settings) -> Entity:
    """``kind:value`` as the graph names it: cards, e-mails and phones are hashed, addresses normalised."""
    kind, _, value = text.partition(":")
    label = _KINDS.get(kind.lower())
    if label is None or not value:
        raise ConfigurationError(f"--member wants kind:value with a kind out of {', '.join(_KINDS)}, not {text!r}")
    try:
        return Entity(label, Codec(tokenizer_for(settings)).identify(label, value))
    except BadEvent as error:
        raise ConfigurationError(f"--member: that is no {kind.lower()}: {error}") from error


def ring_record(ring: Ring) -> dict[str, Any]:
    """A ring as the export writes it."""
    members: dict[str, list[str]] = {}
    for label, entity_id in sorted(ring.members):
        members.setdefault(label.lower(), []).append(entity_id)
    evidence = sorted(ring.evidence.items(), key=lambda item: (item[1].time, item[0]))
    return {
        "ring_id": ring.id,
        "typologies": sorted(ring.typologies),
        "severity": ring.severity,
        "status": ring.status,
        "first_seen": rfc3339(ring.first_seen),
        "last_seen": rfc3339(ring.last_seen),
        "revision": ring.revision,
        "members": members,
        "transaction_ids": [key for key, _ in evidence],
        "amounts": [
            {"currency": currency, "amount": str(to_major(amount, currency))}
            for currency, amount in ring.amounts().items()
        ],
        "merged_from": ring.merged_from,
        "reasons": reasons(ring),
    }


def ring_table(rings: list[Ring], title: str | None = None) -> Table:
    """Rings as a table that a newcomer understands, on eighty columns too."""
    table = Table(title=title, show_lines=True)
    table.add_column("ring, typology", no_wrap=True)
    table.add_column("members, amount, evidence", overflow="fold", max_width=22)
    table.add_column("why", overflow="fold")
    for ring in rings:
        members = Counter(label.lower() for label, _ in sorted(ring.members))
        first, last = rfc3339(ring.first_seen)[:10], rfc3339(ring.last_seen)[:10]
        table.add_row(
            "\n".join((ring.id, *sorted(ring.typologies), f"{ring.severity}, {ring.status}")),
            "\n".join(
                (
                    *(f"{count} {kind}" for kind, count in members.items()),
                    *(f"{to_major(amount, currency)} {currency}" for currency, amount in ring.amounts().items()),
                    f"{len(ring.evidence)} transactions",
                    first if first == last else f"{first} …\n{last}",
                )
            ),
            "\n".join(reasons(ring)).replace("; ", "\n"),
        )
    return table
