"""Engines and services for the tests: each starts when the first test that needs it runs, and serves all of them.

``graph`` is an empty graph with its schema, on every engine in turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from graph import schema
from graph.driver import Graph
from graph.embedded import EmbeddedEngine, embedded_engine
from tests.engines import ENGINES, USUAL
from tests.services.cloud_storage import CloudStorageServer
from tests.services.endpoint import Endpoint
from tests.services.kafka import KafkaServer
from tests.services.maven import Missing, find_java
from tests.services.neo4j import RELEASES, Neo4jServer, wipe
from tests.services.process import ServerProcess

Server = TypeVar("Server", bound=ServerProcess)

# How fast a machine is, no test asks.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

_MARKS = {
    "embedded": "embedded",
    "cloud_storage": "cloud_storage",
    "kafka": "kafka",
    "neo4j_526": "neo4j",
    "neo4j_2026": "neo4j",
}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the services that it asks for, by name or by its engine.

    Where tests run in several processes, those on one engine stay together, and so do those of one module: each
    service is started once.
    """
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if (callspec := getattr(item, "callspec", None)) and "engine_name" in callspec.params:
            asked.add(ENGINES[callspec.params["engine_name"]])
        for name in asked & set(_MARKS):
            item.add_marker(_MARKS[name])
        engines = (engine for engine, fixture in ENGINES.items() if fixture in asked)
        item.add_marker(pytest.mark.xdist_group(next(engines, item.location[0])))


def _served(make: Callable[[], Server]) -> Iterator[Server]:
    try:
        server = make()
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    yield from _served(KafkaServer)


@pytest.fixture(scope="session")
def cloud_storage() -> Iterator[CloudStorageServer]:
    yield from _served(CloudStorageServer)


@pytest.fixture(scope="session")
def neo4j_526() -> Iterator[Neo4jServer]:
    yield from _served(lambda: Neo4jServer("5.26"))


@pytest.fixture(scope="session")
def neo4j_2026() -> Iterator[Neo4jServer]:
    try:
        find_java(RELEASES["2026"].java)
    except Missing as missing:
        pytest.skip(str(missing))  # everywhere: this release asks for more than the rest of the house does
    yield from _served(lambda: Neo4jServer("2026"))


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedEngine]:
    with embedded_engine("embedded:temporary", heap="768m") as engine:
        yield engine


@pytest.fixture(scope="session", params=USUAL)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine under test: a key of ``ENGINES``."""
    engine: str = request.param
    return engine


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest, engine_name: str) -> Endpoint:
    """Where the engine under test answers."""
    return Endpoint.of(request.getfixturevalue(ENGINES[engine_name]))


@pytest.fixture(scope="session")
def _connection(endpoint: Endpoint) -> Iterator[Graph]:
    with endpoint.connect() as connection:
        schema.apply(connection)
        yield connection


@pytest.fixture
def graph(_connection: Graph) -> Graph:
    """An empty graph with its schema."""
    wipe(_connection)
    schema.register(_connection)
    return _connection
