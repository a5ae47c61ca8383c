"""``ringwatch dead-letters``: what was set aside, and how it comes back once the cause is mended."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from graph.errors import ConfigurationError
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, GraphAddress, Mappings, TimeFormat
from ringwatch.commands.run import print_summary, run_worker
from ringwatch.commands.wide import wide_console
from ringwatch.composition import RunOptions, beside_the_graph, tokenizer_for
from ringwatch.settings import Settings, load
from streaming.addresses import KafkaAddress
from streaming.codec import Codec
from streaming.dead_letter_topic import TopicPlaces
from streaming.dead_letters import DeadLetter, list_letters
from streaming.labels import LabelCodec
from streaming.mapping import parse_mapping
from streaming.records import Position, Record
from streaming.replay import Originals, read_originals
from streaming.sources.files import FileSource
from streaming.sources.labelled import PREFIX, LabelPlaces
from streaming.sources.listed import ListedSource

#: What goes on from ``--map a=b``, and is no position: in those a colon, a dash or a slash comes first.
_PAIR = re.compile(r"\w+=")

app = typer.Typer(help="List dead letters and replay their events.", no_args_is_help=True)
Letters = Annotated[
    str | None,
    typer.Option("--dead-letters", metavar="ADDRESS", help="file.jsonl | kafka://… (default: beside the graph)."),
]


@app.command("list")
def list_command(letters: Letters = None, graph: GraphAddress = None, config: ConfigFile = None) -> None:
    """List what was set aside: where it stands, why, and what it looked like (masked)."""
    settings = load(config, {"graph.address": graph})
    console = wide_console()
    address = _address(settings, letters)
    if letters is None and not Path(address).exists():
        typer.echo(f"nothing has been set aside: there is no {address}", err=True)
        return
    found = list_letters(address, settings.kafka.properties())
    if not console.is_terminal:
        for letter in found:
            typer.echo("\t".join((_text(letter.position), letter.reason, letter.message, letter.event or "")))
        return
    table = Table(show_lines=True)
    table.add_column("position, reason, event", overflow="fold")
    for letter in found:
        shown = letter.event if letter.event is not None else "(not kept)"
        table.add_row(f"{_text(letter.position)}\n{letter.reason}: {letter.message}\n{shown[:400]}")
    console.print(table)


@app.command("replay")
def replay_command(
    positions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[POSITION]…", help="As listed (default: all of them); and more for --map."),
    ] = None,
    letters: Letters = None,
    graph: GraphAddress = None,
    alerts: Annotated[str | None, typer.Option(help="file.jsonl | - | kafka://…")] = None,
    broker: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the topics are that positions name.")
    ] = None,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    config: ConfigFile = None,
) -> None:
    """Read the original events again by position and run them through the pipeline."""
    settings = load(config, {"graph.address": graph})
    logs.configure(settings.log.level, settings.log.format)
    address = _address(settings, letters)
    pairs = [text for text in positions or () if _PAIR.match(text)]
    wanted = [text for text in positions or () if not _PAIR.match(text)]
    chosen = _chosen(list_letters(address, settings.kafka.properties()), wanted)

    def opened(partition: str) -> Originals:
        if partition.startswith(PREFIX):
            return LabelPlaces(opened(partition.removeprefix(PREFIX)), LabelCodec(Codec(tokenizer_for(settings))))
        if partition.startswith("file:"):
            return FileSource.at(partition)
        if broker is None:
            raise ConfigurationError(f"{partition} is a topic's: say with --broker where that topic is")
        return TopicPlaces(KafkaAddress(broker, partition.rpartition("/")[0]), settings.kafka.properties())

    records: list[Record] = []
    for letter, original in read_originals(chosen, opened):
        if original is None:
            typer.echo(f"{_text(letter.position)} is not there any more", err=True)
        else:
            records.append(original)
    options = RunOptions(
        source="",
        alerts=alerts,
        dead_letters=address,
        mapping=parse_mapping([*(mappings or []), *pairs]),
        time_format=time_format,
    )
    source = ListedSource(records, f"replay|{uuid.uuid4().hex}")
    print_summary(run_worker(settings, replace(options, until_end=True), source))


def _address(settings: Settings, given: str | None) -> str:
    return given or str(beside_the_graph(settings, "dead-letters.jsonl"))


def _text(position: Position) -> str:
    return f"{position.partition}@{position.offset}"


def _chosen(letters: Iterator[DeadLetter], positions: list[str]) -> list[DeadLetter]:
    found = {_text(letter.position): letter for letter in letters}
    if unknown := set(positions) - found.keys():
        raise ConfigurationError(f"there is no dead letter at {', '.join(sorted(unknown))}")
    return [letter for text, letter in found.items() if not positions or text in positions]
