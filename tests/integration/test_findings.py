"""Between the stages: what is found in a batch on a topic, and back."""

from __future__ import annotations

import uuid

import pytest

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import ConfigurationError, ServiceError
from graph.events import Entity
from streaming.addresses import KafkaAddress
from streaming.dead_letter_topic import TopicPlaces
from streaming.detector import Detection
from streaming.findings import FindingsForwarder, FindingsReader
from streaming.records import Batch, Record
from streaming.topics import ensure_topic, partition_count
from tests.findings import finding
from tests.services.kafka import KafkaServer

MANY = 6_000


def test_a_batch_of_any_size_gets_through(graph: Graph, kafka: KafkaServer) -> None:
    address = KafkaAddress(kafka.bootstrap, f"findings-{uuid.uuid4().hex}")
    kafka.create_topic(address.topic)
    checkpoints = Checkpoints(graph, "group", "owner")
    checkpoints.claim(["transactions/0"])
    hubs = [(Entity("Device", f"{number:0300}"), number) for number in range(MANY)]  # more than a message may hold
    forwarder = FindingsForwarder(graph, checkpoints, address, {"queue.buffering.max.messages": "5"})
    forwarder.forward(Detection([finding("d", ["a", "b", "c"])], hubs, 7), {"transactions/0": 1})

    places = TopicPlaces(address, {})
    places.seek({f"{address.topic}/0": 0})
    records: list[Record] = []
    while len(records) < 1 + MANY // 500:
        records += places.read(100, 10.0)
    places.close()
    reader = FindingsReader(graph, checkpoints)
    checkpoints.claim(["findings/0"])
    found = reader.write(Batch(records, {"findings/0": len(records)}), lambda: None)()
    assert (found.findings, found.hubs, found.watermark) == ([finding("d", ["a", "b", "c"])], hubs, 7)


@pytest.mark.parametrize("value", [b"", b"\xff", b'{"findings": [{"rule": "of a version to come"}]}'])
def test_what_is_no_detection_is_named(graph: Graph, value: bytes) -> None:
    reader = FindingsReader(graph, Checkpoints(graph, "group", "owner"))
    with pytest.raises(ServiceError, match="findings/0@3 is no detection of this version"):
        reader.write(Batch([Record("findings/0", 3, value)], {"findings/0": 4}), lambda: None)


def test_a_wrong_setting_of_the_client_is_named(graph: Graph) -> None:
    address, wrong = KafkaAddress("127.0.0.1:1", "topic"), {"no.such.property": "1"}
    for ask in (
        lambda: partition_count(address, wrong),
        lambda: ensure_topic(address, wrong, 1),
        lambda: TopicPlaces(address, wrong),
        lambda: FindingsForwarder(graph, Checkpoints(graph, "group", "owner"), address, wrong),
    ):
        with pytest.raises(ConfigurationError, match=r"No such configuration property.*no\.such\.property"):
            ask()
