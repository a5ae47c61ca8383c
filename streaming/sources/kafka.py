"""A Kafka topic as a source: one consumer of a group, rebalanced cooperatively.

Where to read is decided by the graph's checkpoints and not by the group's committed offsets (which are kept for
those who watch the lag): ``starts`` is asked whenever partitions arrive.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import confluent_kafka as kafka

from graph.errors import ConfigurationError, Fenced, ServiceError, Unavailable
from streaming.addresses import KafkaAddress
from streaming.records import Leaving, Record, Starts
from streaming.topics import kafka_client, partition_count

log = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 10.0
_POLL_S = 0.1


class KafkaSource:
    """Reads the partitions of a topic that the group gives to this worker.

    With ``until_end`` the source is finite: it ends where each partition ended when it was opened.
    """

    def __init__(
        self, address: KafkaAddress, client: Mapping[str, str], group: str, *, until_end: bool = False
    ) -> None:
        self._address = address
        self._count = partition_count(address, client)
        self._until_end = until_end
        self._starts: Starts = lambda _: {}
        self._leaving: Leaving = lambda _: None
        self._positions: dict[str, int] = {}
        self._held: set[str] = set()
        self._joined = False
        self._ends: dict[str, int] = {}
        settings: dict[str, Any] = {"session.timeout.ms": 10_000, **client}
        # A member that has died counts for a session, and the others hear of it with a heartbeat.
        self._settling_s = 1.5 * float(settings["session.timeout.ms"]) / 1000
        self._settled_s = math.inf
        self._consumer = kafka_client(
            kafka.Consumer,
            address,
            {
                **settings,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "cooperative-sticky",
                "error_cb": lambda error: log.warning("broker", extra={"reason": error.str()}),
            },
        )

    @property
    def finite(self) -> bool:
        """Whether it ends by itself."""
        return self._until_end

    def open(self, starts: Starts, leaving: Leaving) -> None:
        """Join the group, which gives partitions and takes them away, now or later."""
        self._starts = starts
        self._leaving = leaving
        if self._until_end:
            self._ends = {self._name(p): self._watermarks(p)[1] for p in range(self._count)}
        self._subscribe()

    def assigned(self) -> list[str]:
        """The partitions that this worker reads now."""
        return sorted(self._positions)

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records; whatever came within ``wait_s`` seconds."""
        self._release(self._held)
        return self._records(self._consumer.consume(limit, wait_s))

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """Exactly the records with offsets in [start, end) of each partition; the others wait.

        Raises:
            Fenced: a partition was taken away meanwhile.
            Unavailable: the broker is away.
        """
        self._hold(self._positions.keys() - ranges.keys())
        for partition, (start, _) in ranges.items():
            if self._positions.get(partition, start) != start:  # the broker went away in the middle
                self._seek(partition, start)
        self._release(self._held & ranges.keys())
        records: list[Record] = []
        reading, heard = set(ranges), time.monotonic()
        while reading:
            if lost := reading - self._positions.keys():
                raise Fenced(f"lost {', '.join(sorted(lost))} while reading again")
            largest = max(1, *(ranges[p][1] - self._positions[p] for p in reading))
            found = self._records(self._consumer.consume(min(largest, 10_000), _POLL_S))
            if found:
                heard = time.monotonic()
            elif time.monotonic() > heard + _CALL_TIMEOUT_S:
                raise Unavailable(f"the broker does not hand over {', '.join(sorted(reading))} again")
            records += [record for record in found if record.offset < ranges[record.partition][1]]
            for partition in [p for p in reading if self._positions.get(p, 0) >= ranges[p][1]]:
                reading.discard(partition)
                end = ranges[partition][1]
                self._hold({partition})
                self._seek(partition, end)
        return records

    def idle(self, wait_s: float) -> None:
        """Stay a member of the group while nothing can be processed."""
        self._hold(self._positions)
        self._consumer.poll(wait_s)

    def rejoin(self, error: Fenced) -> None:  # noqa: ARG002 - a topic is shared: losing partitions is no failure
        """Leave the group and join it again."""
        self._consumer.unsubscribe()
        self._joined = False
        self._positions.clear()
        self._held.clear()
        self._subscribe()

    def exhausted(self) -> bool:
        """Whether everything that was there at the start has been handed over.

        A worker that was killed still counts for a while, and what it had comes here next, one partition after the
        other. Those that are elsewhere are waited for: until the group has dealt with them, or has not changed for
        so long that they belong to the living.
        """
        if not self._until_end or not self._joined:
            return False
        if any(position < self._ends.get(partition, 0) for partition, position in self._positions.items()):
            return False
        others = self._ends.keys() - self._positions.keys()
        return self._is_committed(others) or time.monotonic() > self._settled_s

    def past_end(self, record: Record) -> bool:
        """Whether a record came after the end that counts."""
        return self._until_end and record.offset >= self._ends.get(record.partition, 0)

    def commit(self, ends: Mapping[str, int]) -> None:
        """Tell the group how far this worker has got, for those who watch the lag."""
        if ends:
            self._consumer.commit(offsets=self.offsets(ends)[0], asynchronous=True)

    def offsets(self, ends: Mapping[str, int]) -> tuple[list[kafka.TopicPartition], Any]:
        """Offsets and the group's metadata, to be committed in a producer's transaction."""
        marks = [self._topic_partition(p, end) for p, end in sorted(ends.items()) if p in self._positions]
        return marks, self._consumer.consumer_group_metadata()

    def lag(self) -> dict[str, int]:
        """Records between what was read and the end, by partition (as far as the client knows)."""
        lags = {}
        for partition, position in self._positions.items():
            number = self._topic_partition(partition).partition
            _, high = self._consumer.get_watermark_offsets(
                kafka.TopicPartition(self._address.topic, number), cached=True
            )
            lags[partition] = max(high - position, 0)
        return lags

    def close(self) -> None:
        """Leave the group; what it still hands over meanwhile is for others to take up."""
        self._starts = lambda _: {}
        self._leaving = lambda _: None
        self._consumer.close()

    def _is_committed(self, partitions: Iterable[str]) -> bool:
        """Whether the group has got to where these partitions ended, as far as the broker can say now."""
        wanted = [self._topic_partition(partition) for partition in partitions if self._ends[partition]]
        try:
            committed = self._consumer.committed(wanted, timeout=_CALL_TIMEOUT_S) if wanted else []
        except kafka.KafkaException as error:
            log.warning("broker", extra={"reason": error.args[0].str()})
            return False
        return all(mark.offset >= self._ends[self._name(mark.partition)] for mark in committed)

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._address.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _records(self, messages: list[kafka.Message]) -> list[Record]:
        records = []
        for message in messages:
            number, offset = message.partition(), message.offset()
            error = message.error()
            partition = self._name(number if number is not None else -1)
            if error is None:
                if offset is not None and offset >= self._positions.get(partition, sys.maxsize):
                    self._positions[partition] = offset + 1
                    record = Record(partition, offset, message.value() or b"", message.timestamp()[1])
                    if not self.past_end(record):
                        records.append(record)
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                if offset is not None and (position := self._positions.get(partition)) is not None:
                    if offset < position:
                        raise ServiceError(
                            f"{partition} ends at {offset:,}, and {position:,} records of it were dealt with: "
                            "it is another topic of that name, or was cut; read it with another --group"
                        )
                    self._positions[partition] = offset
            elif error.code() in (
                kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
                kafka.KafkaError.GROUP_AUTHORIZATION_FAILED,
            ):
                raise ConfigurationError(f"the broker refuses to be read: {error.str()}")
            else:
                log.warning("broker", extra={"reason": error.str()})
        return records

    def _on_assign(self, consumer: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        names = [self._name(p.partition) for p in partitions]
        starts = self._starts(names) if names else {}
        self._positions.update({name: starts.get(name, 0) for name in names})
        consumer.incremental_assign([self._topic_partition(name, self._positions[name]) for name in names])
        self._hold(names)  # a batch that was cut short by a crash comes first: see read_range
        self._joined = True
        self._settled_s = time.monotonic() + self._settling_s
        log.info("partitions_assigned", extra={"partitions": names})

    def _on_revoke(self, consumer: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        try:
            self._leaving([self._name(p.partition) for p in partitions])
        finally:
            self._drop(consumer, partitions)

    def _drop(self, consumer: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        names = [self._name(p.partition) for p in partitions]
        for name in names:
            self._positions.pop(name, None)
            self._held.discard(name)
        consumer.incremental_unassign(partitions)
        self._settled_s = time.monotonic() + self._settling_s
        log.info("partitions_revoked", extra={"partitions": names})

    def _on_lost(self, consumer: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        """The group has put this worker out (a broker was away for long): it holds nothing until it is back."""
        self._joined = False
        self._drop(consumer, partitions)

    def _seek(self, partition: str, offset: int) -> None:
        self._consumer.seek(self._topic_partition(partition, offset))
        self._positions[partition] = offset

    def _hold(self, partitions: Iterable[str]) -> None:
        names = set(partitions)
        self._consumer.pause([self._topic_partition(name) for name in names])
        self._held |= names

    def _release(self, partitions: Iterable[str]) -> None:
        names = set(partitions)
        self._consumer.resume([self._topic_partition(name) for name in names])
        self._held -= names

    def _watermarks(self, number: int) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(
                kafka.TopicPartition(self._address.topic, number), timeout=_CALL_TIMEOUT_S
            )
        except kafka.KafkaException as error:
            raise Unavailable(f"the broker does not answer: {error.args[0].str()}") from error
        return low, high

    def _name(self, number: int) -> str:
        return f"{self._address.topic}/{number}"

    def _topic_partition(self, partition: str, offset: int = kafka.OFFSET_INVALID) -> kafka.TopicPartition:
        return kafka.TopicPartition(self._address.topic, int(partition.rpartition("/")[2]), offset)
