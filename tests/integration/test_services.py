"""The services that the other tests stand on: they answer, survive a kill, and start empty."""

from __future__ import annotations

import urllib.request
import uuid

import pytest
from confluent_kafka import Consumer, Producer

from graph import schema
from graph.driver import Graph
from graph.embedded import open_graph
from graph.errors import ConfigurationError
from tests.services.endpoint import Endpoint
from tests.services.kafka import KafkaServer
from tests.services.neo4j import Neo4jServer


def test_kafka_keeps_what_was_committed_over_a_kill(kafka: KafkaServer) -> None:
    topic = f"services-{uuid.uuid4()}"
    kafka.create_topic(topic, 2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, b"kept", partition=1)
    producer.commit_transaction(60)
    # Once it has been read, the broker has written the commit's marker too: killed before, a broker that is alone
    # leaves the transaction open until its producer's next one.
    assert _first_committed(kafka, topic) == (1, b"kept")
    kafka.kill()
    kafka.start()
    assert _first_committed(kafka, topic) == (1, b"kept")


def _first_committed(kafka: KafkaServer, topic: str) -> tuple[int | None, bytes | None]:
    """Partition and value of the first committed message that a new group is given."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": str(uuid.uuid4()),
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.subscribe([topic])
        message = consumer.poll(60)
        assert message is not None
        return message.partition(), message.value()
    finally:
        consumer.close()


def test_neo4j_keeps_what_was_committed_over_a_kill(neo4j_526: Neo4jServer) -> None:
    neo4j_526.wipe()
    with neo4j_526.connect() as graph:
        graph.write(lambda tx: tx.run("CREATE (:Probe {id: 'kept'})"))
        neo4j_526.kill()
        neo4j_526.start()
        assert graph.read("MATCH (p:Probe) RETURN p.id AS id") == [{"id": "kept"}]
        assert neo4j_526.release.version in graph.agent
    with urllib.request.urlopen(f"http://127.0.0.1:{neo4j_526.http_port}", timeout=30) as answer:
        assert answer.status == 200


def test_every_graph_starts_empty_with_its_schema(graph: Graph, engine_name: str) -> None:
    assert graph.engine == engine_name.partition("-")[0]
    assert schema.missing(graph) == []
    assert graph.read("MATCH (n) RETURN labels(n) AS labels") == [{"labels": ["Ledger"]}]
    graph.write(lambda tx: tx.run("CREATE (:Card {id: 'a'})-[:MADE]->(:Transaction {id: 'b'})"))


def test_nothing_is_left_of_the_test_before(graph: Graph) -> None:
    assert graph.read("MATCH ()-[r]->() RETURN count(r) AS count") == [{"count": 0}]
    assert graph.read("MATCH (n:Card) RETURN count(n) AS count") == [{"count": 0}]


def test_a_graph_opens_by_its_address_and_refuses_another_password(endpoint: Endpoint) -> None:
    access = {"user": endpoint.user, "database": endpoint.database}
    with open_graph(endpoint.uri, password=endpoint.password, patience_s=20, **access) as graph:
        assert graph.read("RETURN 1 AS one") == [{"one": 1}]
    with (
        pytest.raises(ConfigurationError, match="RINGWATCH_GRAPH_PASSWORD"),
        open_graph(endpoint.uri, password="another", patience_s=20, **access),
    ):
        pass
