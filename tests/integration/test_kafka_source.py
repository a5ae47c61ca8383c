"""A topic as a source, in a group of several."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing

import confluent_kafka
import pytest

from streaming.addresses import KafkaAddress
from streaming.sources.kafka import KafkaSource
from tests.services.kafka import KafkaServer

pytestmark = pytest.mark.kafka

RECORDS = 5


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"


def test_a_worker_that_was_given_nothing_ends_when_the_others_have_done_all(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "streaming.sources.kafka")
    address = KafkaAddress(kafka.bootstrap, f"one-partition-{uuid.uuid4().hex}")
    kafka.create_topic(address.topic, 1)
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(RECORDS):
        producer.produce(address.topic, b"%d" % number)
    producer.flush()
    with (
        closing(KafkaSource(address, {}, "group", until_end=True)) as busy,
        closing(KafkaSource(address, {}, "group", until_end=True)) as idle,
    ):
        busy.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        until(lambda: busy.read(10, 0.1) == [] and busy.exhausted())
        idle.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        until(
            lambda: busy.read(10, 0.1) == idle.read(10, 0.1) and caplog.messages.count("partitions_assigned") > 1
        )
        assert (busy.assigned(), idle.assigned()) == ([f"{address.topic}/0"], [])
        assert not idle.exhausted()
        busy.commit({f"{address.topic}/0": RECORDS})
        until(idle.exhausted)
