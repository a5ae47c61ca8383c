"""Where alerts go: a file, standard output or a Kafka topic; each says what it has published already.

A publisher is asked after a crash for the last number of a lane that got out, and is then given the rest, so it
must find that number where the alerts themselves are: in the file's own lines, or in offsets that were committed
in the alerts' own transaction.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import confluent_kafka as kafka
import msgspec

from graph.errors import Fenced, ServiceError, Unavailable
from streaming.addresses import KafkaAddress
from streaming.line_file import LineFile
from streaming.ring_store import Letter
from streaming.topics import kafka_client

#: How long a dead worker's open transaction may hold up readers of the alerts, milliseconds.
_TRANSACTION_TIMEOUT_MS = 15_000
_CALL_TIMEOUT_S = 20.0
#: A coordinator answers in milliseconds, or (restarted meanwhile) not at all.
_OFFSETS_TIMEOUT_S = 5.0
#: How often the source's offsets are committed while there is nothing to publish.
_PROGRESS_S = 1.0


class Publisher(Protocol):
    """Publishes letters in order of their numbers, each exactly once."""

    def published(self, lane: str) -> int:
        """The number of the last letter of ``lane`` that got out (0: none)."""

    def publish(self, letters: Sequence[Letter], ends: Mapping[str, int]) -> None:
        """Publish letters of one lane, and with them how far the source has been dealt with.

        Raises:
            Unavailable: not now; call again with the same letters.
        """

    def close(self) -> None:
        """Release files and connections."""


class StdoutPublisher:
    """Alerts as lines on standard output; what a crash left in the outbox is printed again."""

    def published(self, lane: str) -> int:  # noqa: ARG002
        """Nobody can tell what a terminal has shown."""
        return 0

    def publish(self, letters: Sequence[Letter], ends: Mapping[str, int]) -> None:  # noqa: ARG002
        """Print and flush."""
        for letter in letters:
            sys.stdout.write(letter.body + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is held."""


class _Envelope(msgspec.Struct):
    outboxlane: str
    outboxnumber: int
    source: str


class FilePublisher:
    """Alerts as lines of a file.

    Lines of another graph (``source``) do not count: a new graph starts its numbers anew.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._file = LineFile(path, "alerts", 0o644)
        self._source = source
        self._published: dict[str, int] = {}
        self._read_to = 0  # bytes

    def published(self, lane: str) -> int:
        """Read from the file's own lines, those among them that other workers have written since."""
        for line in self._file.lines(self._read_to):
            self._read_to += len(line)
            try:
                envelope = msgspec.json.decode(line, type=_Envelope)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if envelope.source == self._source:
                known = self._published.get(envelope.outboxlane, 0)
                self._published[envelope.outboxlane] = max(known, envelope.outboxnumber)
        return self._published.get(lane, 0)

    def publish(self, letters: Sequence[Letter], ends: Mapping[str, int]) -> None:  # noqa: ARG002
        """Append; a full disk stops the run, and what is left waits in the outbox."""
        if letters:
            self._file.append(b"".join(letter.body.encode() + b"\n" for letter in letters))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


#: The source's own offsets to commit with the alerts: partitions with offsets, and the group's metadata.
SourceOffsets = Callable[[Mapping[str, int]], tuple[list[kafka.TopicPartition], Any]]


class KafkaPublisher:
    """Alerts on a Kafka topic, each batch in one transaction with the offsets that prove it.

    The number of a lane's last letter is committed as an offset of the alert topic's partition 0 in a group of
    its own (``<group>.outbox.<lane>``), the graph's id beside it. ``source_offsets`` adds the source's own offsets
    where the source is on the same cluster, which also fences a worker that has lost its partitions.
    """

    def __init__(
        self,
        address: KafkaAddress,
        client: Mapping[str, str],
        group: str,
        source: str,
        worker: str,
        source_offsets: SourceOffsets | None = None,
    ) -> None:
        self._address = address
        self._client = client
        self._group = group
        self._source = source
        self._transactional_id = f"{group}.{worker}"
        self._source_offsets = source_offsets
        self._groups: dict[str, Any] = {}  # each lane's group, as a producer names it
        self._producer: kafka.Producer | None = None
        self._in_doubt = False
        self._ends: dict[str, int] = {}
        self._next_progress_s = 0.0

    def published(self, lane: str) -> int:
        """Read from the offsets committed in the alerts' own transactions."""
        self._ready()
        wanted = [kafka.TopicPartition(self._address.topic, 0)]
        try:
            with self._member(lane) as consumer:
                (found,) = consumer.committed(wanted, timeout=_CALL_TIMEOUT_S)
        except kafka.KafkaException as error:
            raise Unavailable(f"the broker does not tell what was published: {error.args[0].str()}") from error
        return max(found.offset, 0) if found.metadata == self._source else 0

    def publish(self, letters: Sequence[Letter], ends: Mapping[str, int]) -> None:
        """Send letters and offsets in one transaction."""
        self._ends.update(ends)
        due = time.monotonic() >= self._next_progress_s
        if not letters and (self._source_offsets is None or not self._ends or not due):
            return
        if letters and self._in_doubt:
            # The last try may have got through, though its answer was lost.
            done = self.published(letters[0].lane)
            letters = [letter for letter in letters if letter.number > done]
        producer = self._ready()
        self._in_doubt = True
        try:
            producer.begin_transaction()
            for letter in letters:
                producer.produce(self._address.topic, letter.body.encode(), letter.key)
            if letters:
                self._commit_number(producer, letters[-1])
            if self._ends and self._source_offsets is not None:
                _send_offsets(producer, *self._source_offsets(self._ends))
            producer.commit_transaction(_CALL_TIMEOUT_S)
        except TimeoutError as error:
            self._producer = None  # it may never return; a new one aborts what this one has left open
            raise Unavailable("alerts cannot be published now: the group's coordinator does not answer") from error
        except (kafka.KafkaException, BufferError) as error:
            raise self._failed(producer, error) from error
        self._in_doubt = False
        self._ends = {}
        self._next_progress_s = time.monotonic() + _PROGRESS_S

    def close(self) -> None:
        """Commit how far the source has got, and leave."""
        self._next_progress_s = 0.0
        self.publish([], {})
        self._producer = None

    def _commit_number(self, producer: kafka.Producer, letter: Letter) -> None:
        mark = kafka.TopicPartition(self._address.topic, 0, letter.number, metadata=self._source)
        if letter.lane not in self._groups:
            with self._member(letter.lane) as consumer:
                self._groups[letter.lane] = consumer.consumer_group_metadata()
        _send_offsets(producer, [mark], self._groups[letter.lane])

    def _member(self, lane: str) -> closing[kafka.Consumer]:
        """A consumer of a lane's group, for a moment: there may be a lane for each of many files."""
        group = {"group.id": f"{self._group}.outbox.{lane}", "enable.auto.commit": False}
        settings = {**self._client, **group, "isolation.level": "read_committed"}
        return closing(kafka_client(kafka.Consumer, self._address, settings))

    def _ready(self) -> kafka.Producer:
        """A producer that may begin a transaction; any open one of a former life is finished first."""
        if self._producer is None:
            producer = kafka_client(
                kafka.Producer,
                self._address,
                {
                    **self._client,
                    "transactional.id": self._transactional_id,
                    "transaction.timeout.ms": _TRANSACTION_TIMEOUT_MS,
                    "linger.ms": 0,
                },
            )
            try:
                producer.init_transactions(_CALL_TIMEOUT_S)
            except kafka.KafkaException as error:
                raise Unavailable(f"the broker does not answer: {error.args[0].str()}") from error
            self._producer = producer
        return self._producer

    def _failed(self, producer: kafka.Producer, error: Exception) -> Unavailable | Fenced | ServiceError:
        reason = error.args[0]
        code = reason.code() if isinstance(reason, kafka.KafkaError) else None
        fenced = (
            kafka.KafkaError.UNKNOWN_MEMBER_ID,
            kafka.KafkaError.ILLEGAL_GENERATION,
            kafka.KafkaError.FENCED_INSTANCE_ID,
            kafka.KafkaError.REBALANCE_IN_PROGRESS,
        )
        try:
            producer.abort_transaction(_CALL_TIMEOUT_S)
        except kafka.KafkaException:
            self._producer = None  # a new one aborts what this one has left open
        if code in fenced:
            return Fenced(f"this worker has lost its partitions: {reason.str()}")
        text = reason.str() if isinstance(reason, kafka.KafkaError) else str(error)
        if code in (kafka.KafkaError.MSG_SIZE_TOO_LARGE, kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED):
            return ServiceError(f"the broker refuses alerts: {text}")
        return Unavailable(f"alerts cannot be published now: {text}")


def _send_offsets(producer: kafka.Producer, offsets: list[kafka.TopicPartition], group: Any) -> None:
    """Add offsets to the open transaction, beside this thread.

    Where the group's coordinator has been away, librdkafka (2.16) waits without end, whatever timeout it is given
    (confluentinc/librdkafka issues 5456 and 5511).

    Raises:
        TimeoutError: no answer; the producer is of no use any more.
        KafkaException: refused.
    """
    sent = Future[None]()

    def send() -> None:
        try:
            producer.send_offsets_to_transaction(offsets, group, _OFFSETS_TIMEOUT_S)
        except kafka.KafkaException as error:
            sent.set_exception(error)
        else:
            sent.set_result(None)

    Thread(target=send, name="offsets", daemon=True).start()
    sent.result(_OFFSETS_TIMEOUT_S)
