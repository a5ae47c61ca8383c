"""From event to alert over a real Kafka, with ``ringwatch run`` in a process of its own.

The clock of an alert starts when the event that completed its finding was handed to the producer, and stops when a
read-committed consumer has the alert. A new ring's members joined at the time of that event; so the graph tells,
afterwards, which event it was. Beside it: how long the events themselves took over the same broker.

Events come at a share of the highest rate: that at which the same worker has just worked off the stream before
them, sent at once (its own start is counted), since a stream with many rings costs more than one with few.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from statistics import median, quantiles

import confluent_kafka as kafka
import msgspec

from streaming.addresses import parse_kafka
from streaming.ring_store import RingStore
from streaming.topics import group_lag
from tests.services.endpoint import Endpoint
from tests.services.kafka import KafkaServer
from tests.worker import Ringwatch

_GROUP = "benchmark"
_LIMIT_S = 300.0
_CREATED = "ringwatch.ring.created"


class Times(msgspec.Struct, frozen=True):
    """Milliseconds from the producer on."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> Times:
        """Of at least two values."""
        return cls(median(milliseconds), quantiles(milliseconds, n=100, method="inclusive")[98], max(milliseconds))


class Latency(msgspec.Struct, frozen=True):
    """At a share of the ``highest_rate`` (events per second): alerts of new rings, and the events' own way.

    ``untraced`` alerts are those whose ring had become part of another when the graph was asked.
    """

    highest_rate: float
    rate_reached: float
    alerts: int
    untraced: int
    event_to_alert: Times
    event_alone: Times


class _Payment(msgspec.Struct):
    transaction_id: str


class _Alert(msgspec.Struct):
    type: str
    subject: str


def measure(
    endpoint: Endpoint, broker: KafkaServer, stream: Path, folder: Path, *, share: float, warm_up: int, events: int
) -> Latency:
    """Send ``warm_up`` events of a stream as fast as they go, then ``events`` at a share of the highest rate."""
    warm, paced = folder / "warm-up.jsonl", folder / "paced.jsonl"
    with stream.open("rb") as lines:
        warm.write_bytes(b"".join(islice(lines, warm_up)))
        paced.write_bytes(b"".join(islice(lines, events)))
    run = time.time_ns()
    topics = [f"transactions-{run}", f"alerts-{run}"]
    for topic in topics:
        broker.create_topic(topic)
    transactions, alerts = (f"kafka://{broker.bootstrap}/{topic}" for topic in topics)
    ringwatch = Ringwatch(
        folder,
        RINGWATCH_GRAPH_USER=endpoint.user,
        RINGWATCH_GRAPH_PASSWORD=endpoint.password,
        RINGWATCH_GRAPH_DATABASE=endpoint.database,
    )
    worker = ringwatch.start(
        *("run", "--source", transactions, "--alerts", alerts, "--graph", endpoint.uri, "--group", _GROUP)
    )
    try:
        started = time.monotonic()
        ringwatch("produce", "--source", str(warm), "--to", transactions)
        _work_off(transactions, worker)
        highest_rate = warm_up / (time.monotonic() - started)
        observer = _Observer(broker.bootstrap, topics)
        producer = ringwatch.start(
            *("produce", "--source", str(paced), "--to", transactions, "--rate", f"{share * highest_rate:.3f}")
        )
        observer.watch(producer)
        _work_off(transactions, worker)
        observer.watch(None)
    finally:
        worker.terminate()
        _, errors = worker.communicate(timeout=_LIMIT_S)
    for process, said in ((worker, errors), (producer, producer.communicate()[1])):
        if process.returncode:
            raise RuntimeError(f"ringwatch failed:\n{said}")
    return observer.latency(_births(endpoint, observer.alerts), highest_rate)


def _work_off(topic: str, worker: subprocess.Popen[str]) -> None:
    """Wait until the worker has committed all that was sent to a topic."""
    started = time.monotonic()
    while group_lag(parse_kafka(topic), {}, _GROUP) != 0:  # None until it commits for the first time
        if worker.poll() is not None or time.monotonic() > started + _LIMIT_S:
            raise RuntimeError("the worker did not come to the end of its topic")
        time.sleep(0.2)


def _births(endpoint: Endpoint, ring_ids: Iterable[str]) -> dict[str, set[str]]:
    """By ring: the transactions at the time of the finding that gave birth to it."""
    with endpoint.connect() as graph:
        rings = RingStore(graph).by_ids(ring_ids)
    births: dict[str, set[str]] = {}
    for asked, ring in rings.items():
        since = min(member.since for member in ring.members.values())
        if ring.id == asked and not ring.merged_from:
            births[asked] = {key for key, fact in ring.evidence.items() if fact.time == since}
    return births


class _Observer:
    """A read-committed consumer of both topics, from their present end on, that notes when everything came."""

    def __init__(self, bootstrap: str, topics: list[str]) -> None:
        self.alerts: dict[str, int] = {}  # ring → arrival of its first alert, epoch ms
        self._alerts_topic = topics[1]
        self._produced: dict[str, int] = {}  # transaction → epoch ms
        self._alone: list[float] = []
        self._consumer = kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "observer",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        self._consumer.assign([kafka.TopicPartition(topic, 0, kafka.OFFSET_END) for topic in topics])
        for topic in topics:
            self._consumer.get_watermark_offsets(kafka.TopicPartition(topic, 0))
        self._consumer.poll(1.0)

    def watch(self, producer: subprocess.Popen[str] | None) -> None:
        """Note what comes until the producer has ended and nothing has come for two seconds."""
        quiet_since = time.monotonic()
        while (producer is not None and producer.poll() is None) or time.monotonic() - quiet_since < 2:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._take(message, time.time_ns() / 1e6)
                quiet_since = time.monotonic()

    def _take(self, message: kafka.Message, now_ms: float) -> None:
        value = message.value() or b""
        if message.topic() == self._alerts_topic:
            alert = msgspec.json.decode(value, type=_Alert)
            if alert.type == _CREATED:
                self.alerts.setdefault(alert.subject, int(now_ms))
        else:
            _, produced_ms = message.timestamp()
            self._produced[msgspec.json.decode(value, type=_Payment).transaction_id] = produced_ms
            self._alone.append(now_ms - produced_ms)

    def latency(self, births: Mapping[str, set[str]], highest_rate: float) -> Latency:
        """What was noted, now that it is known which events gave birth to the rings."""
        waits: list[float] = []
        for ring_id, arrived_ms in self.alerts.items():
            produced = [self._produced[key] for key in births.get(ring_id, ()) if key in self._produced]
            if produced:
                waits.append(arrived_ms - min(produced))
        moments = self._produced.values()
        return Latency(
            highest_rate,
            (len(moments) - 1) / (max(moments) - min(moments)) * 1e3,
            len(waits),
            len(self.alerts) - len(waits),
            Times.of(waits),
            Times.of(self._alone),
        )
