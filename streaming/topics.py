"""What is asked of a Kafka cluster beside reading and writing: its topics, and how far a group has got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from graph.errors import ConfigurationError, ServiceError, Unavailable
from streaming.addresses import KafkaAddress

_CALL_TIMEOUT_S = 10.0

Client = TypeVar("Client", kafka.Consumer, kafka.Producer, AdminClient)


def kafka_client(kind: type[Client], address: KafkaAddress, settings: Mapping[str, Any]) -> Client:
    """A client of the cluster at an address.

    Raises:
        ConfigurationError: there is no such property as one in ``settings``, or it cannot have that value.
    """
    try:
        return kind({**settings, "bootstrap.servers": address.bootstrap})
    except kafka.KafkaException as error:
        raise ConfigurationError(f"the settings of the Kafka client: {error.args[0].str()}") from error


def hand_over(
    producer: kafka.Producer, topic: str, value: bytes, wait: Callable[[], object], **options: Any
) -> None:
    """Give a message to a producer, and ``wait`` for as long as its queue is full.

    Raises:
        ServiceError: the topic does not take it, for good.
    """
    while True:
        try:
            producer.produce(topic, value, **options)
        except BufferError:
            wait()
        except kafka.KafkaException as error:
            raise refused(topic, error.args[0]) from error
        else:
            return


def refused(topic: str, error: kafka.KafkaError) -> ServiceError:
    """What is said of a message that a topic does not take."""
    return ServiceError(f"the topic {topic} does not take a message: {error.str()}")


def partition_count(address: KafkaAddress, client: Mapping[str, str]) -> int:
    """How many partitions the topic has.

    Raises:
        Unavailable: no broker answers.
        ConfigurationError: there is no such topic.
    """
    topic = _metadata(address, client).topics.get(address.topic)
    if topic is None or not topic.partitions:
        raise ConfigurationError(f"there is no topic {address.topic!r} at {address.bootstrap}: create it first")
    return len(topic.partitions)


def broker_version(address: KafkaAddress, client: Mapping[str, str]) -> str:
    """What the cluster says of itself; brokers do not tell their version, but their number and id."""
    metadata = _metadata(address, client)
    return f"cluster {metadata.cluster_id}, {len(metadata.brokers)} brokers"


def group_lag(address: KafkaAddress, client: Mapping[str, str], group: str) -> int | None:
    """Records between the group's committed offsets and the topic's end; ``None`` where it never committed."""
    count = partition_count(address, client)
    consumer = kafka_client(kafka.Consumer, address, {**client, "group.id": group})
    try:
        wanted = [kafka.TopicPartition(address.topic, number) for number in range(count)]
        committed = consumer.committed(wanted, timeout=_CALL_TIMEOUT_S)
        if all(mark.offset < 0 for mark in committed):
            return None
        ends = [consumer.get_watermark_offsets(mark, timeout=_CALL_TIMEOUT_S) for mark in wanted]
        return sum(high - max(mark.offset, low) for mark, (low, high) in zip(committed, ends, strict=True))
    except kafka.KafkaException as error:
        raise Unavailable(f"the broker does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _metadata(address: KafkaAddress, client: Mapping[str, str]) -> Any:
    reasons: list[str] = []
    said = {"error_cb": lambda error: reasons.append(error.str())}
    admin = kafka_client(AdminClient, address, {**client, **said})
    try:
        return admin.list_topics(timeout=_CALL_TIMEOUT_S)
    except kafka.KafkaException as error:
        # librdkafka reports a refused password as a transport error; its reason comes by the callback.
        reason = reasons[-1] if reasons else error.args[0].str()
        raise Unavailable(f"no broker answers at {address.bootstrap}: {reason}") from error


def ensure_topic(address: KafkaAddress, client: Mapping[str, str], partitions: int) -> None:
    """Create a topic of Ringwatch's own where it is missing.

    Raises:
        Unavailable: no broker answers, or none makes it.
    """
    admin = kafka_client(AdminClient, address, client)
    try:
        admin.create_topics([NewTopic(address.topic, partitions)])[address.topic].result(_CALL_TIMEOUT_S)
    except TimeoutError as error:
        raise Unavailable(f"no broker answers at {address.bootstrap}") from error
    except kafka.KafkaException as error:
        if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
            raise Unavailable(f"topic {address.topic!r} cannot be created: {error.args[0].str()}") from error
