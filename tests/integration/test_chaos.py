"""Effectively once, the short version: ``make chaos`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import experiment
from tests.services.kafka import KafkaServer
from tests.services.neo4j import Neo4jServer


@pytest.mark.timeout(600)
def test_kills_and_restarts_change_no_ring_and_repeat_no_alert(
    kafka: KafkaServer, neo4j_526: Neo4jServer, tmp_path: Path
) -> None:
    outcome = experiment(kafka, neo4j_526, tmp_path, transactions=2_000, kills=2, restarts=1, seed=5)
    assert (outcome.kills, outcome.broker_restarts, outcome.graph_restarts) == (2, 1, 1)
    assert outcome.problems == []
