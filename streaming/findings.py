"""The findings topic, between detect workers and the one worker that owns rings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import confluent_kafka as kafka
import msgspec

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import ServiceError, Unavailable
from streaming.addresses import KafkaAddress
from streaming.detector import BatchMark, Detection, Evaluate
from streaming.pipeline import Publish, nothing_to_publish
from streaming.records import Batch, Record
from streaming.topics import hand_over, kafka_client

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Detection)
_CALL_TIMEOUT_S = 20.0
_AT_ONCE = 500

T = TypeVar("T")


def findings_topic(transactions: KafkaAddress) -> KafkaAddress:
    """Where the detect workers of a transactions topic send what they find."""
    suffix = ".findings"
    topic = transactions.topic if transactions.topic.endswith(suffix) else transactions.topic + suffix
    return KafkaAddress(transactions.bootstrap, topic)


class FindingsForwarder:
    """Sends detections on. After a crash a batch may be sent twice, which changes no ring."""

    def __init__(
        self, graph: Graph, checkpoints: Checkpoints, address: KafkaAddress, client: Mapping[str, str]
    ) -> None:
        self._graph = graph
        self._checkpoints = checkpoints
        self._topic = address.topic
        self._producer = kafka_client(
            kafka.Producer, address, {**client, "enable.idempotence": True, "linger.ms": 0}
        )

    def take_over(self, partition: str) -> None:
        """Nothing waits: a batch that was not sent is evaluated again."""

    def forward(self, detection: Detection, ends: Mapping[str, int]) -> Publish:
        """Send what was found, then set the mark."""
        self._send(detection)
        self._mark(ends)
        return nothing_to_publish

    def follow_up(self, detection: Detection, partition: str) -> Publish:  # noqa: ARG002 - nothing is by partition
        """Send what belongs to no batch, then note that."""
        self._send(detection)
        self._mark({})
        return nothing_to_publish

    def _send(self, detection: Detection) -> None:
        failures: list[str] = []

        def delivered(error: kafka.KafkaError | None, _: kafka.Message) -> None:
            if error is not None:
                failures.append(error.str())

        poll = self._producer.poll
        for part in _parts(detection):
            message = _encoder.encode(part)
            hand_over(self._producer, self._topic, message, lambda: poll(0.1), partition=0, on_delivery=delivered)
            poll(0)
        if self._producer.flush(_CALL_TIMEOUT_S) or failures:
            raise Unavailable(f"findings cannot be sent now: {failures[0] if failures else 'no answer'}")

    def _mark(self, ends: Mapping[str, int]) -> None:
        BatchMark(self._checkpoints, "assembled", ends).set(self._graph)

    def finish(self, partitions: Sequence[str]) -> Publish:  # noqa: ARG002 - nothing is by partition
        """Nothing was held back."""
        return nothing_to_publish

    def close(self) -> None:
        """Everything was sent and answered already."""


def _parts(detection: Detection) -> list[Detection]:
    """One for each finding, and for so many hubs and verdicts: a message is bounded, a batch is not."""
    at = detection.watermark
    parts = [Detection([finding], [], at) for finding in detection.findings]
    parts += [Detection([], list(hubs), at) for hubs in _chunks(detection.hubs)]
    parts += [Detection([], [], at, list(verdicts)) for verdicts in _chunks(detection.verdicts)]
    return parts or [Detection([], [], at)]


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


class FindingsReader:
    """The assemble stage's front: records of the findings topic as one detection per batch."""

    def __init__(self, graph: Graph, checkpoints: Checkpoints) -> None:
        self._graph = graph
        self._checkpoints = checkpoints

    def catch_up(self, partitions: Sequence[str]) -> None:
        """Nothing is put off in this stage."""

    def write(self, batch: Batch, ready: Callable[[], object]) -> Evaluate:
        """Decode a batch and mark it as seen; there is nothing left to evaluate.

        Raises:
            ServiceError: a message is no detection, or another version's.
        """
        parts = [_decoded(record) for record in batch.records]
        BatchMark(self._checkpoints, "written", batch.ends, ready).set(self._graph)
        watermarks = [part.watermark for part in parts if part.watermark is not None]
        detection = Detection(
            [finding for part in parts for finding in part.findings],
            [hub for part in parts for hub in part.hubs],
            max(watermarks, default=None),
            [label for part in parts for label in part.verdicts],
        )
        return lambda: detection


def _decoded(record: Record) -> Detection:
    try:
        return _decoder.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = f"{record.partition}@{record.offset}"
        raise ServiceError(f"{place} is no detection of this version of Ringwatch: {error}") from error
