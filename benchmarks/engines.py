"""The engines that are measured: each fresh, empty and with its schema, as its users would start it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graph import schema
from graph.embedded import EmbeddedEngine, embedded_engine
from tests.services.endpoint import Endpoint
from tests.services.neo4j import Neo4jServer

ENGINES = ("arcadedb", "neo4j")

_NEO4J_RELEASE, _NEO4J_MEMORY = "5.26", "1g"  # heap, as the embedded engine has it, and page cache


@contextmanager
def fresh_engine(name: str) -> Iterator[Endpoint]:
    """Start ``arcadedb`` (the embedded engine) or ``neo4j``, empty but for the schema, until the block ends.

    Raises:
        Missing: this machine lacks what Neo4j needs.
    """
    if name == "arcadedb":
        with embedded("embedded:temporary") as endpoint:
            yield endpoint
    else:
        with Neo4jServer(_NEO4J_RELEASE, heap=_NEO4J_MEMORY, page_cache=_NEO4J_MEMORY) as server:
            yield _prepared(server)


@contextmanager
def embedded(address: str) -> Iterator[Endpoint]:
    """Start the embedded engine that an address names, with the schema, until the block ends."""
    with embedded_engine(address) as engine:
        yield _prepared(engine)


def _prepared(engine: EmbeddedEngine | Neo4jServer) -> Endpoint:
    endpoint = Endpoint.of(engine)
    with endpoint.connect() as graph:
        schema.apply(graph)
    return endpoint
