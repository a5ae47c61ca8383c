"""Alerts on a topic while its broker comes and goes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from graph.errors import Unavailable
from streaming.addresses import KafkaAddress
from streaming.publishers import KafkaPublisher
from streaming.ring_store import Letter
from tests.services.kafka import KafkaServer
from tests.worker import read_topic


@pytest.mark.timeout(180)
def test_a_restarted_broker_delays_alerts_and_repeats_none(kafka: KafkaServer) -> None:
    topic = f"alerts-{time.time_ns()}"
    kafka.create_topic(topic)
    publisher = KafkaPublisher(KafkaAddress(kafka.bootstrap, topic), {}, topic, "graph", "worker")
    _publish(publisher, 1)
    for number in (2, 3):
        kafka.restart()
        _publish(publisher, number)
    publisher.close()
    assert [alert["number"] for alert in read_topic(kafka.bootstrap, topic)] == [1, 2, 3]


def test_a_lane_for_each_of_many_files_holds_nothing(kafka: KafkaServer) -> None:
    topic = f"alerts-{time.time_ns()}"
    kafka.create_topic(topic)
    publisher = KafkaPublisher(KafkaAddress(kafka.bootstrap, topic), {}, topic, "graph", "worker")
    _publish(publisher, 1)
    before = len(list(Path("/proc/self/task").iterdir()))
    for lane in range(8):
        assert publisher.published(f"file-{lane}") == 0
        _publish(publisher, lane + 1, f"file-{lane}")
        assert publisher.published(f"file-{lane}") == lane + 1
    assert len(list(Path("/proc/self/task").iterdir())) <= before + 1  # that which waits for offsets
    publisher.close()


def _publish(publisher: KafkaPublisher, number: int, lane: str = "rings") -> None:
    letter = Letter(lane, number, key="ring", body=f'{{"number": {number}}}')
    while True:  # as the pipeline does, until the test's time is up
        try:
            return publisher.publish([letter], {})
        except Unavailable:
            continue
