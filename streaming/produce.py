"""Transactions or labels from files onto a topic, with tokens in the place of cards before anything leaves.

What is sent is our wire format, keyed by card, so that a card's transactions stay in order and meet one worker; a
label is keyed by what it speaks of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import confluent_kafka as kafka
import msgspec

from graph.errors import BadEvent, ServiceError
from graph.events import Event, Label
from streaming import codec, labels
from streaming.addresses import KafkaAddress
from streaming.records import Record
from streaming.sources.files import FileSource
from streaming.topics import hand_over, kafka_client, partition_count, refused

_BATCH = 500
_DELIVERY_TIMEOUT_S = 30.0


class Produced(msgspec.Struct):
    """How many events were read, and of these sent (and acknowledged) or rejected."""

    read: int = 0
    sent: int = 0
    rejected: int = 0


class Outlet(Protocol):
    """Where events are sent; ``acknowledged`` of them have arrived."""

    @property
    def acknowledged(self) -> int:
        """How many are known to have arrived."""

    def send(self, event: Event) -> None:
        """Hand one over; it leaves soon after."""

    def wait(self, seconds: float) -> None:
        """Let time pass and see what was acknowledged."""

    def flush(self) -> None:
        """Wait until everything is acknowledged."""


def produce(
    source: FileSource,
    decode: Callable[[Any], Event],
    topic: Outlet,
    reject: Callable[[Record, BadEvent], None],
    *,
    rate: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    produced: Produced | None = None,
) -> Produced:
    """Send every event of ``source``, at most ``rate`` per second, and see them acknowledged.

    ``decode`` makes an event of a record's value. A bad one goes to ``reject``, and the rest go on. ``stopped`` is
    asked between small batches; ``produced`` is kept up to date for whoever shows the progress.

    Raises:
        ServiceError: the broker refuses an event, or does not answer; what was acknowledged by then is sent.
    """
    produced = Produced() if produced is None else produced
    started_s = time.monotonic()
    limit = _BATCH if rate is None else max(1, min(_BATCH, int(rate / 10)))
    while not source.exhausted() and not stopped():
        for record in source.read(limit, 1.0):
            produced.read += 1
            try:
                topic.send(decode(record.value))
            except BadEvent as error:
                produced.rejected += 1
                reject(record, error)
        produced.sent = topic.acknowledged
        due_s = started_s + produced.read / rate if rate else 0.0
        topic.wait(max(0.0, due_s - time.monotonic()))
    topic.flush()
    produced.sent = topic.acknowledged
    return produced


class Topic:
    """A topic to send events to; each is acknowledged by all replicas, once, in order.

    Raises:
        Unavailable: no broker answers.
        ConfigurationError: there is no such topic (it is not created).
    """

    def __init__(self, address: KafkaAddress, client: Mapping[str, str]) -> None:
        partition_count(address, client)
        self._address = address
        self._failure: kafka.KafkaError | None = None
        self.acknowledged = 0
        self._producer = kafka_client(
            kafka.Producer,
            address,
            {
                **client,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "message.timeout.ms": int(_DELIVERY_TIMEOUT_S * 1000),
                "partitioner": "murmur2_random",  # where the Java clients, too, put a card
            },
        )

    def send(self, event: Event) -> None:
        """Hand one over; it leaves soon after."""
        if isinstance(event, Label):
            value, key = labels.encode(event), event.subject.id
        else:
            value, key = codec.encode(event), event.card
        hand_over(
            self._producer,
            self._address.topic,
            value,
            lambda: self.wait(0.1),
            key=key,
            on_delivery=self._on_delivery,
        )

    def wait(self, seconds: float) -> None:
        """Let time pass and see what was acknowledged.

        Raises:
            ServiceError: something was not, for good.
        """
        deadline_s = time.monotonic() + seconds
        while True:
            remaining_s = max(0.0, deadline_s - time.monotonic())
            self._producer.poll(remaining_s)
            self._check()
            if not remaining_s:
                return

    def flush(self) -> None:
        """Wait until everything is acknowledged.

        Raises:
            ServiceError: something was not, for good.
        """
        remaining = self._producer.flush(_DELIVERY_TIMEOUT_S + 5)
        self._check()
        if remaining:
            raise ServiceError(f"{self._address} has not acknowledged {remaining} events")

    def _on_delivery(self, error: kafka.KafkaError | None, _: kafka.Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self._failure = self._failure or error

    def _check(self) -> None:
        if self._failure is not None:
            raise refused(self._address.topic, self._failure)
