"""``ringwatch produce``: a file onto a Kafka topic, cards tokenised before they leave."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from graph.errors import BadEvent, ConfigurationError
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, Mappings, MoreMappings, TimeFormat
from ringwatch.commands.progress import shown_progress
from ringwatch.commands.signals import on_termination
from ringwatch.composition import tokenizer_for
from ringwatch.settings import load
from streaming.addresses import parse_kafka
from streaming.codec import Codec
from streaming.dead_letters import DeadLetter, open_sink
from streaming.labels import COLUMNS, LabelCodec
from streaming.mapping import parse_mapping
from streaming.produce import Produced, Topic
from streaming.produce import produce as send_all
from streaming.records import Record
from streaming.sources.files import FileSource
from streaming.sources.labelled import PREFIX


def produce(
    source: Annotated[str, typer.Option(help="A file or glob of transactions.")],
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="kafka://host:port[,host:port…]/topic")],
    more_mappings: MoreMappings = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second at most.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="The source holds labels instead.")] = False,
    mappings: Mappings = None,
    time_format: TimeFormat = None,
    dead_letters: Annotated[
        str | None, typer.Option(help="Where bad events go (default: .ringwatch/dead-letters.jsonl).")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send transactions, or labels, to Kafka; card numbers, e-mails and phones leave as keyed hashes only."""
    settings = load(config)
    logs.configure(settings.log.level, settings.log.format)
    mapping = parse_mapping([*(mappings or []), *(more_mappings or [])])
    if labels and (mapping or time_format):
        raise ConfigurationError("--map and --time-format are for transactions: labels have names of their own")
    codec = Codec(tokenizer_for(settings, own_key_allowed=False), mapping, time_format)
    decode, columns = (LabelCodec(codec).decode, COLUMNS) if labels else (codec.decode, mapping.values())
    stop = threading.Event()
    produced = Produced()
    client = settings.kafka.properties()
    with (
        closing(FileSource(source, columns)) as events,
        closing(open_sink(dead_letters or str(Path(".ringwatch") / "dead-letters.jsonl"), client)) as letters,
        on_termination(stop.set),
        shown_progress(lambda: f"{produced.read:,} read, {produced.sent:,} sent, {produced.rejected:,} bad"),
    ):

        def reject(record: Record, error: BadEvent) -> None:
            partition = f"{PREFIX}{record.partition}" if labels else record.partition
            letters.write(DeadLetter.of(msgspec.structs.replace(record, partition=partition), error))

        topic = Topic(parse_kafka(to), client)
        send_all(events, decode, topic, reject, rate=rate, stopped=stop.is_set, produced=produced)
        letters.flush()
    typer.echo(f"{produced.sent:,} sent to {to}, {produced.rejected:,} bad")
