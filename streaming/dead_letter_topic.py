"""Dead letters on a Kafka topic, and the messages of any topic by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import confluent_kafka as kafka

from graph.errors import ConfigurationError, ServiceError, Unavailable
from streaming.addresses import KafkaAddress
from streaming.dead_letters import PENDING_LETTERS, DeadLetter, parse_letter
from streaming.records import Position, Record
from streaming.topics import kafka_client, partition_count

_CALL_TIMEOUT_S = 20.0


class TopicSink:
    """Letters as messages that all replicas have acknowledged; what a crash left unsure may be there twice.

    A message's key is the letter's position, so that a compacted topic holds each once.

    Raises:
        Unavailable: no broker answers.
        ConfigurationError: there is no such topic.
    """

    def __init__(self, address: KafkaAddress, client: Mapping[str, str]) -> None:
        partition_count(address, client)
        self._address = address
        self._producer = kafka_client(
            kafka.Producer,
            address,
            {
                **client,
                "enable.idempotence": True,
                "message.timeout.ms": int(_CALL_TIMEOUT_S * 500),
            },
        )
        self._pending: dict[Position, bytes] = {}

    def write(self, letter: DeadLetter) -> None:
        """Take a letter; the next flush sends it."""
        self._pending[letter.position] = letter.encode()
        if len(self._pending) >= PENDING_LETTERS:
            self.flush()

    def flush(self) -> None:
        """Send, and wait for the acknowledgements; what gets none is sent again by the next flush."""
        failures: list[str] = []
        for position, value in list(self._pending.items()):
            key = f"{position.partition}:{position.offset}".encode()
            self._producer.produce(
                self._address.topic, value, key, on_delivery=self._on_delivery(position, failures)
            )
            self._producer.poll(0)
        self._producer.flush(_CALL_TIMEOUT_S)
        if self._pending:
            raise Unavailable(f"dead letters cannot be sent to {self._address}: {(failures or ['no answer'])[0]}")

    def _on_delivery(
        self, position: Position, failures: list[str]
    ) -> Callable[[kafka.KafkaError | None, kafka.Message], None]:
        def delivered(error: kafka.KafkaError | None, _: kafka.Message) -> None:
            if error is None:
                self._pending.pop(position, None)
            else:
                failures.append(error.str())

        return delivered

    def close(self) -> None:
        """Send what is left."""
        self.flush()


class TopicPlaces:
    """Single messages of a topic, by position, outside any consumer group.

    Raises:
        ServiceError: there is no such topic any more.
        Unavailable: no broker answers, here or when something is read.
    """

    def __init__(self, address: KafkaAddress, client: Mapping[str, str]) -> None:
        self._address = address
        self._client = client
        self._consumer = _open_consumer(address, client)  # first: what is wrong with the settings is told as such
        self._check()

    def seek(self, positions: Mapping[str, int]) -> None:
        """Continue each named partition (``topic/3``) at the given offset; the others are not read."""
        self._consumer.assign(
            [
                kafka.TopicPartition(self._address.topic, int(partition.rpartition("/")[2]), offset)
                for partition, offset in positions.items()
            ]
        )

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records, or what came within ``wait_s`` seconds or before the end of a partition."""
        records = []
        messages = self._consumer.consume(limit, wait_s)
        if not messages:  # where nothing is, the broker says so: it is slow, or away
            self._check()
        for message in messages:
            if message.error() is None:
                partition = f"{message.topic()}/{message.partition()}"
                records.append(Record(partition, message.offset() or 0, message.value(), message.timestamp()[1]))
        return records

    def _check(self) -> None:
        try:
            partition_count(self._address, self._client)
        except ConfigurationError as error:
            raise ServiceError(str(error)) from error

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def read_letters(address: KafkaAddress, client: Mapping[str, str]) -> Iterator[DeadLetter]:
    """Every letter that the topic holds now, partition by partition.

    Raises:
        Unavailable: the broker does not answer.
        ConfigurationError: there is no such topic.
    """
    count = partition_count(address, client)
    consumer = _open_consumer(address, client)
    try:
        consumer.assign(
            [kafka.TopicPartition(address.topic, number, kafka.OFFSET_BEGINNING) for number in range(count)]
        )
        while count:
            message = consumer.poll(_CALL_TIMEOUT_S)
            if message is None:
                raise Unavailable(f"the broker at {address.bootstrap} does not answer")
            error = message.error()
            if error is None:
                if (letter := parse_letter(message.value() or b"")) is not None:
                    yield letter
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                count -= 1
                consumer.incremental_unassign([kafka.TopicPartition(address.topic, message.partition() or 0)])
    finally:
        consumer.close()


def _open_consumer(address: KafkaAddress, client: Mapping[str, str]) -> kafka.Consumer:
    return kafka_client(
        kafka.Consumer,
        address,
        {
            **client,
            "group.id": "ringwatch.places",  # needed by the client, and never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
        },
    )
