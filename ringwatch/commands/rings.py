"""``ringwatch rings``: what was found, as tables for people and lines for programs, and what they decide of it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from graph.driver import Graph
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
from streaming.ring_state import Ring
from streaming.ring_store import RingStore
from streaming.ring_verdicts import Judgement
from streaming.risk import Calibration, assess

app = typer.Typer(help="List, show, export and judge rings.", no_args_is_help=True)
_KINDS = {label.lower(): label for label in ENTITY_LABELS}

Reason = Annotated[str, typer.Option(help="Why; it is kept in the ring's history.")]
By = Annotated[str | None, typer.Option(help="Who decides.")]


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
        store = RingStore(connection)
        rings, calibration = list(store.all(wanted)), store.calibration()
    if not rings:
        typer.echo("there are no rings" + (f" with {member}" if member else ""))
        return
    wide_console().print(ring_table(rings, calibration))


@app.command("show")
def show_ring(ring_id: str, graph: GraphAddress = None, config: ConfigFile = None) -> None:
    """Show one ring whole; the id of a merged ring shows the ring that it ended in."""
    settings = load(config, {"graph.address": graph})
    with opened_graph(settings) as connection:
        store = RingStore(connection)
        found, calibration = store.by_ids([ring_id]), store.calibration()
    if ring_id not in found:
        raise RingwatchError(f"there is no ring {ring_id}")
    record = ring_record(found[ring_id], calibration)
    typer.echo(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())


@app.command("export")
def export_rings(
    out: Annotated[Path, typer.Option(help="The file to write, one JSON object per line.")],
    graph: GraphAddress = None,
    config: ConfigFile = None,
) -> None:
    """Write every ring but merged ones, expired ones too, with all members and evidence."""
    with opened_graph(load(config, {"graph.address": graph})) as connection:
        count = write_rings(connection, out)
    typer.echo(f"{count} rings written to {out}")


@app.command("investigate")
def investigate_ring(
    ring_id: str, reason: Reason, by: By = None, graph: GraphAddress = None, config: ConfigFile = None
) -> None:
    """Note that somebody looks into an open ring."""
    _judge(ring_id, "investigating", reason, by, load(config, {"graph.address": graph}))


@app.command("confirm")
def confirm_ring(
    ring_id: str, reason: Reason, by: By = None, graph: GraphAddress = None, config: ConfigFile = None
) -> None:
    """Confirm a ring as fraud: it is told of whenever it acts again, and its rules are believed a little more."""
    _judge(ring_id, "confirmed", reason, by, load(config, {"graph.address": graph}))


@app.command("dismiss")
def dismiss_ring(
    ring_id: str, reason: Reason, by: By = None, graph: GraphAddress = None, config: ConfigFile = None
) -> None:
    """Dismiss a ring as honest: nothing more is told of it for a while, unless it becomes another one."""
    _judge(ring_id, "dismissed", reason, by, load(config, {"graph.address": graph}))


@app.command("reopen")
def reopen_ring(
    ring_id: str, reason: Reason, by: By = None, graph: GraphAddress = None, config: ConfigFile = None
) -> None:
    """Open a ring again, whatever was decided of it."""
    _judge(ring_id, "open", reason, by, load(config, {"graph.address": graph}))


def _judge(ring_id: str, judgement: Judgement, reason: str, by: str | None, settings: Settings) -> None:
    if not reason.strip():
        raise ConfigurationError("--reason wants a word or two: the next one to look at the ring will ask")
    with opened_graph(settings) as connection:
        ring = RingStore(connection).judge(
            ring_id, judgement, reason=reason, by=by, at=time.time_ns() // 1_000_000
        )
    merged = f" ({ring_id} has merged into it)" if ring.id != ring_id else ""
    expired = ", and has expired" if ring.status == "expired" else ""
    typer.echo(f"{ring.id} is {judgement} now{expired}{merged}")


def parse_member(text: str, settings: Settings, option: str = "--member") -> Entity:
    """``kind:value`` as the graph names it: cards, e-mails and phones are hashed, addresses normalised."""
    kind, _, value = text.partition(":")
    label = _KINDS.get(kind.lower())
    if label is None or not value:
        raise ConfigurationError(f"{option} wants kind:value with a kind out of {', '.join(_KINDS)}, not {text!r}")
    try:
        return Entity(label, Codec(tokenizer_for(settings)).identify(label, value))
    except BadEvent as error:
        raise ConfigurationError(f"{option}: that is no {kind.lower()}: {error}") from error


def write_rings(graph: Graph, out: Path) -> int:
    """Write a graph's rings, one JSON object per line; returns how many.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    store = RingStore(graph)
    calibration = store.calibration()
    count = 0
    try:
        with out.open("wb") as file:
            for ring in store.all():
                file.write(msgspec.json.encode(ring_record(ring, calibration)) + b"\n")
                count += 1
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    return count


def ring_record(ring: Ring, calibration: Calibration) -> dict[str, Any]:
    """A ring as the export writes it; ``confidences`` go with ``transaction_ids``."""
    members: dict[str, list[str]] = {}
    for label, entity_id in sorted(ring.members):
        members.setdefault(label.lower(), []).append(entity_id)
    evidence = sorted(ring.evidence.items(), key=lambda item: (item[1].time, item[0]))
    return {
        "ring_id": ring.id,
        "typologies": sorted(ring.typologies),
        "severity": ring.severity,
        "status": ring.status,
        "verdict": ring.verdict,
        "risk": assess(ring, calibration),
        "first_seen": rfc3339(ring.first_seen),
        "last_seen": rfc3339(ring.last_seen),
        "detected_at": rfc3339(ring.detected_at),
        "revision": ring.revision,
        "members": members,
        "transaction_ids": [key for key, _ in evidence],
        "confidences": [fact.confidence for _, fact in evidence],
        "amounts": [
            {"currency": currency, "amount": str(to_major(amount, currency))}
            for currency, amount in ring.amounts().items()
        ],
        "merged_from": ring.merged_from,
        "split_from": ring.split_from,
        "suppressed_count": ring.suppressed_count,
        "history": [
            {
                "ring_id": made.ring_id,
                "status": made.status,
                "reason": made.reason,
                "by": made.by,
                "at": rfc3339(made.at),
            }
            for made in ring.history
        ],
        "reasons": reasons(ring),
    }


def ring_table(rings: list[Ring], calibration: Calibration, title: str | None = None) -> Table:
    """Rings as a table that a newcomer understands, on eighty columns too."""
    table = Table(title=title, show_lines=True)
    table.add_column("ring, typology", no_wrap=True)
    table.add_column("members, amount, evidence", overflow="fold", max_width=22)
    table.add_column("why", overflow="fold")
    for ring in rings:
        members = Counter(label.lower() for label, _ in sorted(ring.members))
        first, last = rfc3339(ring.first_seen)[:10], rfc3339(ring.last_seen)[:10]
        states = dict.fromkeys((ring.severity, ring.status, ring.verdict or ring.status))
        risk = f"risk {assess(ring, calibration).final:.2f}"
        table.add_row(
            "\n".join((ring.id, *sorted(ring.typologies), ", ".join(states), risk)),
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
