"""Producing to a real Kafka, and dead letters on one: what leaves is tokenised, acknowledged and found again."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # exported, but not for the type checker
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from graph.errors import BadEvent, ConfigurationError, ServiceError, Unavailable
from streaming import topics
from streaming.addresses import KafkaAddress
from streaming.codec import Codec
from streaming.dead_letter_topic import TopicPlaces
from streaming.dead_letters import DeadLetter, list_letters, open_sink
from streaming.produce import Produced, Topic, produce
from streaming.records import Record
from streaming.replay import read_originals
from streaming.sources.files import FileSource
from streaming.tokens import CardTokenizer

if TYPE_CHECKING:
    from tests.services.kafka import KafkaServer

pytestmark = pytest.mark.kafka

NOW = 1_750_000_000_000
CARDS = ["4242424242424242", "5555 5555 5555 4444", "378282246310005", "tok_1a2b", "4111111111111111"]
KEY = b"a key of sixteen bytes, or more"
codec = Codec(CardTokenizer(KEY), now=lambda: NOW)


@pytest.fixture
def address(kafka: KafkaServer) -> KafkaAddress:
    topic = f"transactions-{uuid.uuid4().hex}"
    kafka.create_topic(topic, 3)
    return KafkaAddress(kafka.bootstrap, topic)


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    rows = ["id,time,card,amount,currency,email,note"]
    for number in range(500):
        card = CARDS[number % len(CARDS)]
        rows.append(f"{number},{NOW + number},{card},{number}.05,{'JPY' if number % 2 else 'EUR'},A@b.example,")
    rows[100] = "99,,,"
    (tmp_path / "a.csv").write_text("\n".join(rows))
    return FileSource(str(tmp_path / "a.csv"))


def read_topic(address: KafkaAddress, count: int) -> list[Record]:
    places = TopicPlaces(address, {})
    try:
        places.seek({f"{address.topic}/{number}": 0 for number in range(3)})
        records: list[Record] = []
        for _ in range(60):
            records += places.read(count, 0.5)
            if len(records) >= count:
                break
        return records
    finally:
        places.close()


def test_what_arrives_is_what_was_read_with_tokens_for_cards(address: KafkaAddress, source: FileSource) -> None:
    renamed = Codec(CardTokenizer(KEY), {"transaction_id": "id", "event_time": "time"}, now=lambda: NOW)
    rejected: list[tuple[Record, BadEvent]] = []
    counts = produce(source, renamed.decode, Topic(address, {}), lambda *pair: rejected.append(pair), rate=5000)
    assert counts == Produced(read=500, sent=499, rejected=1)
    assert rejected[0][1].reason == "broken_row"

    records = read_topic(address, 499)
    for record in records:
        for card in CARDS:
            assert card.encode() not in record.value
        assert b"@" not in record.value
    arrived = [codec.decode(record.value) for record in records]
    again = FileSource.at(source.assigned()[0])
    sent = [renamed.decode(record.value) for record in again.read(1000, 0.0) if isinstance(record.value, dict)]
    assert sorted(arrived, key=lambda t: t.event_time) == sent

    homes = {transaction.card: set[str]() for transaction in arrived}
    for record, transaction in zip(records, arrived, strict=True):
        homes[transaction.card].add(record.partition)
    assert len(homes) == len(CARDS)
    assert all(len(partitions) == 1 for partitions in homes.values())
    for card in homes:
        times = [transaction.event_time for transaction in arrived if transaction.card == card]
        assert times == sorted(times)


def test_a_missing_topic_is_a_clear_error_and_is_not_made(kafka: KafkaServer) -> None:
    address = KafkaAddress(kafka.bootstrap, f"missing-{uuid.uuid4().hex}")
    for opened in (lambda: Topic(address, {}), lambda: open_sink(str(address))):
        with pytest.raises(ConfigurationError, match=address.topic):
            opened()
    topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics
    assert address.topic not in topics


def test_an_unreachable_broker_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_CALL_TIMEOUT_S", 1.0)
    address = KafkaAddress("127.0.0.1:1", "transactions")
    for asks in (lambda: Topic(address, {}), lambda: topics.ensure_topic(address, {}, 1)):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
            asks()


def limit_messages(address: KafkaAddress, largest_bytes: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(largest_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, address.topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": address.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(20)


def test_an_event_that_the_broker_refuses_stops_producing(address: KafkaAddress, tmp_path: Path) -> None:
    event = {"transaction_id": "1", "event_time": NOW, "card": CARDS[0], "amount": 1, "merchant": "店" * 500}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(event))
    with pytest.raises(ServiceError, match="too large"):  # by the client ...
        produce(
            FileSource(str(path)), codec.decode, Topic(address, {"message.max.bytes": "1000"}), lambda *_: None
        )
    limit_messages(address, 100)
    with pytest.raises(ServiceError, match="too large"):  # ... and by the broker
        produce(FileSource(str(path)), codec.decode, Topic(address, {}), lambda *_: None)


def test_dead_letters_on_a_topic_lead_back_to_the_events(
    address: KafkaAddress, kafka: KafkaServer, source: FileSource
) -> None:
    renamed = Codec(CardTokenizer(KEY), {"transaction_id": "id", "event_time": "time"}, now=lambda: NOW)
    produce(source, renamed.decode, Topic(address, {}), lambda *_: None)
    letters_at = f"kafka://{kafka.bootstrap}/letters-{uuid.uuid4().hex}"
    kafka.create_topic(letters_at.rpartition("/")[2], 2)
    sink = open_sink(letters_at)
    records = {(record.partition, record.offset): record for record in read_topic(address, 499)}
    chosen = list(records.values())[::50]
    for record in chosen:
        sink.write(DeadLetter.of(record, BadEvent("conflict", "was seen before")))
    sink.flush()
    for record in chosen[:3]:  # as a worker does that was killed before it could say that it had
        sink.write(DeadLetter.of(record, BadEvent("conflict", "was seen before")))
    sink.close()

    letters = list(list_letters(letters_at))
    assert {letter.position for letter in letters} == {(record.partition, record.offset) for record in chosen}
    assert len(letters) == len(chosen)
    lost = DeadLetter(partition=f"{address.topic}/0", offset=10**6, reason="r", message="m", time=NOW)
    found = list(read_originals([*letters, lost], lambda _: TopicPlaces(address, {})))
    assert len(found) == len(chosen) + 1
    nowhere = KafkaAddress(address.bootstrap, "nowhere")
    assert list(read_originals([lost], lambda _: TopicPlaces(nowhere, {}))) == [(lost, None)]
    with pytest.raises(Unavailable):
        list(read_originals([lost], lambda _: TopicPlaces(KafkaAddress("127.0.0.1:1", "nowhere"), {})))
    for letter, original in found:
        assert original == records.get(letter.position)
