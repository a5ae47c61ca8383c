"""Wiring of what comes in: addresses of transactions and labels become one source."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from graph.errors import ConfigurationError
from ringwatch.settings import Settings
from streaming.addresses import is_kafka, parse_kafka
from streaming.codec import Codec
from streaming.findings import findings_topic
from streaming.labels import COLUMNS, LabelCodec
from streaming.records import Source
from streaming.sources.files import FileSource
from streaming.sources.kafka import KafkaSource
from streaming.sources.labelled import LabelledSource, TimedLabelsSource
from streaming.sources.sorting import SortedSource
from streaming.topics import ensure_topic

if TYPE_CHECKING:
    from ringwatch.composition import RunOptions


class Sources(NamedTuple):
    """Where records come from; ``merged`` is what is read, with labels beside the transactions if any."""

    transactions: Source
    merged: Source


def opened_sources(
    settings: Settings,
    options: RunOptions,
    group: str,
    codec: Codec,
    stack: ExitStack,
    given: Source | None = None,
) -> Sources:
    """The sources that the options name (or ``given`` for the transactions), closed with the stack.

    Labels end when the transactions do.
    """
    transactions = given or _transactions(settings, options, group, codec)
    stack.callback(transactions.close)
    if options.labels is None:
        return Sources(transactions, transactions)
    decoder = LabelCodec(codec)
    if not is_kafka(options.labels):
        labels = SortedSource(options.labels, decoder, COLUMNS)
        stack.callback(labels.close)
        return Sources(transactions, TimedLabelsSource(transactions, labels, decoder, codec))
    address, ends = parse_kafka(options.labels), options.until_end or not is_kafka(options.source)
    topic = KafkaSource(address, settings.kafka.properties(), f"{group}.labels", until_end=ends)
    stack.callback(topic.close)
    return Sources(transactions, LabelledSource(transactions, topic, decoder))


def _transactions(settings: Settings, options: RunOptions, group: str, codec: Codec) -> Source:
    if not is_kafka(options.source):
        if options.stage == "assemble":
            raise ConfigurationError("--stage assemble needs a Kafka source")
        columns = set(options.mapping.values())
        return (
            SortedSource(options.source, codec, columns) if options.sort else FileSource(options.source, columns)
        )
    if options.sort:
        raise ConfigurationError("--sort orders files; a topic is read as it comes")
    address, client = parse_kafka(options.source), settings.kafka.properties()
    if options.stage == "assemble":
        address = findings_topic(address)
        ensure_topic(address, client, 1)
    return KafkaSource(address, client, group, until_end=options.until_end)
