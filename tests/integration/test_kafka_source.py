"""A topic as a source, in a group of several."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from graph.errors import ServiceError, Unavailable
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


@pytest.mark.parametrize("again", [False, True])
def test_a_topic_that_ends_before_what_was_dealt_with_is_refused(kafka: KafkaServer, again: bool) -> None:
    address = topic(kafka, partitions=1)
    with worker(address) as late:
        late.open(lambda names: dict.fromkeys(names, 100), lambda _: None)
        given(late)

        def read() -> bool:
            return bool(late.read_range({f"{address.topic}/0": (100, 120)}) if again else late.read(10, 0.1))

        with pytest.raises(ServiceError, match="ends at 5, and 100 records of it were dealt with"):
            until(read)


def test_a_range_that_the_broker_does_not_hand_over_is_read_again_from_its_start(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.sources.kafka._CALL_TIMEOUT_S", 2.0)
    address = topic(kafka, partitions=1)
    whole = {f"{address.topic}/0": (0, 2 * RECORDS)}
    with worker(address) as reader:
        join(reader)
        given(reader)
        with pytest.raises(Unavailable, match="does not hand over"):
            reader.read_range(whole)
        fill(address, 1)
        assert [record.offset for record in reader.read_range(whole)] == list(range(2 * RECORDS))


def test_a_partition_that_is_added_meanwhile_is_beyond_the_end_that_counts(kafka: KafkaServer) -> None:
    address = topic(kafka, partitions=1)
    with closing(KafkaSource(address, {"topic.metadata.refresh.interval.ms": "500"}, "g", until_end=True)) as one:
        join(one)
        until(lambda: is_done(one))
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_partitions([NewPartitions(address.topic, 2)])[address.topic].result()
        fill(address, 2)
        until(lambda: is_done(one) and len(one.assigned()) == 2)


def given(worker: KafkaSource) -> None:
    """Wait for its partitions, and read nothing yet."""
    while not worker.assigned():
        worker.idle(0.1)


@contextmanager
def worker(address: KafkaAddress) -> Iterator[KafkaSource]:
    """One that does not end by itself."""
    with closing(KafkaSource(address, {}, uuid.uuid4().hex)) as one:
        yield one


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
    fill(address, partitions)
    return address


def fill(address: KafkaAddress, partitions: int) -> None:
    """Some more records in each partition."""
    producer = confluent_kafka.Producer({"bootstrap.servers": address.bootstrap})
    for partition in range(partitions):
        for number in range(RECORDS):
            producer.produce(address.topic, b"%d" % number, partition=partition)
    producer.flush()
