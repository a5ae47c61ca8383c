"""A topic as a source, in a group of several."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

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
    with two_workers(address) as (busy, idle):
        join(busy)
        until(lambda: is_done(busy))
        join(idle)
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
    with two_workers(address) as (first, second):
        join(first)
        until(lambda: is_done(first))
        join(second)
        share(first, second)
        until(lambda: first.read(10, 0.1) == second.read(10, 0.1) == [])
        assert not second.exhausted()
        first.commit(dict.fromkeys(first.assigned(), RECORDS))
        until(lambda: first.read(10, 0.1) == [] and is_done(second))


def test_a_worker_that_is_done_does_not_wait_for_the_living_for_good(kafka: KafkaServer) -> None:
    address = topic(kafka, partitions=2)
    with two_workers(address, {"session.timeout.ms": "6000"}) as (first, slow):
        join(first)
        join(slow)
        share(first, slow)
        until(lambda: len(slow.read(1, 0.1)) <= 1 and is_done(first))


@contextmanager
def two_workers(
    address: KafkaAddress, client: Mapping[str, str] | None = None
) -> Iterator[tuple[KafkaSource, KafkaSource]]:
    """Two of one group, which have not joined it yet."""
    with (
        closing(KafkaSource(address, client or {}, "group", until_end=True)) as first,
        closing(KafkaSource(address, client or {}, "group", until_end=True)) as second,
    ):
        yield first, second


def join(worker: KafkaSource) -> None:
    worker.open(lambda names: dict.fromkeys(names, 0), lambda _: None)


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
