"""The engines that are measured: each fresh, empty and with its schema, as its users would start it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from graph import schema
from graph.driver import Graph, connect
from graph.embedded import embedded_engine
from ringwatch.settings import Settings
from tests.services.neo4j import Neo4jServer
from tests.worker import CARD_KEY

ENGINES = ("arcadedb", "neo4j")

_NEO4J_RELEASE, _NEO4J_MEMORY = "5.26", "1g"  # heap, as the embedded engine has it, and page cache


@dataclass(frozen=True)
class Endpoint:
    """Where an engine answers, and as whom."""

    uri: str
    user: str
    password: str = field(repr=False)
    database: str

    def settings(self, **sections: object) -> Settings:
        """Ringwatch's own settings for this graph: the defaults, but for ``sections``."""
        graph = {
            "address": self.uri,
            "user": self.user,
            "password": self.password,
            "database": self.database,
        }
        return Settings.model_validate({"graph": graph, "card_key": CARD_KEY, **sections})

    def connect(self) -> closing[Graph]:
        """A connection of its own."""
        return closing(connect(self.uri, self.user, self.password, database=self.database, patience_s=30))


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
            yield _prepared(Endpoint(server.uri, server.user, server.password, server.database))


@contextmanager
def embedded(address: str) -> Iterator[Endpoint]:
    """Start the embedded engine that an address names, with the schema, until the block ends."""
    with embedded_engine(address) as engine:
        yield _prepared(Endpoint(engine.uri, engine.user, engine.password, engine.database))


def _prepared(endpoint: Endpoint) -> Endpoint:
    with endpoint.connect() as graph:
        schema.apply(graph)
    return endpoint
