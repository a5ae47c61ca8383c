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
    address = topic(kafka, partitions=1)
    with (
        closing(KafkaSource(address, {}, "group", until_end=True)) as busy,
        closing(KafkaSource(address, {}, "group", until_end=True)) as idle,
    ):
        busy.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        until(lambda: is_done(busy))
        idle.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        until(
            lambda: busy.read(10, 0.1) == idle.read(10, 0.1) and caplog.messages.count("partitions_assigned") > 1
        )
        assert (busy.assigned(), idle.assigned()) == ([f"{address.topic}/0"], [])
        assert not idle.exhausted()
        busy.commit({f"{address.topic}/0": RECORDS})
        until(idle.exhausted)


def test_a_worker_that_is_done_waits_for_the_partitions_of_others(kafka: KafkaServer) -> None:
    """They may be those of a worker that was just killed, which come here one after the other."""
    address = topic(kafka, partitions=2)
    with (
        closing(KafkaSource(address, {}, "group", until_end=True)) as first,
        closing(KafkaSource(address, {}, "group", until_end=True)) as second,
    ):
        first.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        until(lambda: is_done(first))
        second.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        share(first, second)
        until(lambda: first.read(10, 0.1) == second.read(10, 0.1) == [])
        assert not second.exhausted()
        first.commit(dict.fromkeys(first.assigned(), RECORDS))
        until(lambda: first.read(10, 0.1) == [] and is_done(second))


def test_a_worker_that_is_done_does_not_wait_for_the_living_for_good(kafka: KafkaServer) -> None:
    address, client = topic(kafka, partitions=2), {"session.timeout.ms": "6000"}
    with (
        closing(KafkaSource(address, client, "group", until_end=True)) as first,
        closing(KafkaSource(address, client, "group")) as slow,
    ):
        first.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        slow.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
        share(first, slow)
        until(lambda: len(slow.read(1, 0.1)) <= 1 and is_done(first))


def share(first: KafkaSource, second: KafkaSource) -> None:
    """Let both take part until each has a partition."""
    until(
        lambda: [len(worker.read(1, 0.1)) <= 1 and len(worker.assigned()) for worker in (first, second)] == [1, 1]
    )


def is_done(worker: KafkaSource) -> bool:
    return not worker.read(10, 0.1) and worker.exhausted()


def topic(kafka: KafkaServer, partitions: int) -> KafkaAddress:
    """A new topic with some records in each of its partitions."""
    address = KafkaAddress(kafka.bootstrap, f"topic-{uuid.uuid4().hex}")
    kafka.create_topic(address.topic, partitions)
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap})
    for partition in range(partitions):
        for number in range(RECORDS):
            producer.produce(address.topic, b"%d" % number, partition=partition)
    producer.flush()
    return address
