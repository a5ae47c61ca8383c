"""Producing, as far as it needs no broker; and the addresses of topics."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from graph.errors import BadEvent, ConfigurationError
from graph.events import Event, id_of
from streaming.addresses import KafkaAddress, is_kafka, parse_kafka
from streaming.codec import Codec
from streaming.produce import Produced, produce
from streaming.records import Record
from streaming.sources.files import FileSource
from streaming.tokens import CardTokenizer

NOW = 1_750_000_000_000
codec = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), now=lambda: NOW)


class Memory:
    """A topic that keeps what it is sent, and how long it was told to wait."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.waited_s = 0.0
        self.flushed = False

    @property
    def acknowledged(self) -> int:
        return len(self.sent)

    def send(self, event: Event) -> None:
        self.sent.append(event)

    def wait(self, seconds: float) -> None:
        self.waited_s += seconds

    def flush(self) -> None:
        self.flushed = True


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    event = {"event_time": NOW, "card": "4242424242424242", "amount": 1}
    lines = [json.dumps(event | {"transaction_id": str(number)}) for number in range(1000)]
    lines[10] = "not json"
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    return FileSource(str(path))


def test_good_events_are_sent_and_bad_ones_handed_back(source: FileSource) -> None:
    topic, rejected = Memory(), list[tuple[Record, BadEvent]]()
    produced = produce(source, codec.decode, topic, lambda record, error: rejected.append((record, error)))
    assert produced == Produced(read=1000, sent=999, rejected=1)
    assert [(record.offset, error.reason) for record, error in rejected] == [(10, "not_json")]
    assert len(set(map(id_of, topic.sent))) == 999
    assert topic.flushed
    assert topic.waited_s == 0.0


def test_a_rate_is_kept_by_waiting(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Memory()
    monkeypatch.setattr(time, "monotonic", lambda: topic.waited_s)
    produce(source, codec.decode, topic, lambda *_: None, rate=200.0)
    assert topic.waited_s == pytest.approx(5.0)


def test_producing_can_be_stopped(source: FileSource) -> None:
    topic = Memory()
    produced = produce(source, codec.decode, topic, lambda *_: None, stopped=lambda: len(topic.sent) > 300)
    assert 300 < produced.sent < 999
    assert topic.flushed


def test_addresses_name_brokers_and_a_topic() -> None:
    address = parse_kafka("kafka://a.example:9092,[::1]:9093/my.topic-1")
    assert address == KafkaAddress("a.example:9092,[::1]:9093", "my.topic-1")
    assert parse_kafka(str(address)) == address
    assert is_kafka(str(address))
    assert is_kafka("kafka:anything")
    assert not is_kafka("kafka.jsonl")


@pytest.mark.parametrize(
    "address",
    [
        "kafka://host:9092",
        "kafka://host:9092/",
        "kafka://host/topic",
        "kafka:///topic",
        "kafka://host:0/topic",
        "kafka://host:99999/topic",
        "kafka://host:9092/a/b",
        "kafka://host:9092/a?b",
        "kafka://host:9092/..",
        "kafka:host:9092/topic",
        "kafka://host:9092,/topic",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_kafka(address)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="no credentials") as refusal:
        parse_kafka("kafka://user:secret@host:9092/topic")
    assert "secret" not in str(refusal.value)
