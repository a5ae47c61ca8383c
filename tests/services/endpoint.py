"""Where an engine answers, and as whom."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

from graph.driver import Graph, connect
from graph.embedded import EmbeddedEngine
from ringwatch.settings import Settings
from tests.services.neo4j import Neo4jServer
from tests.worker import CARD_KEY


@dataclass(frozen=True)
class Endpoint:
    """How any process reaches an engine that a test or a benchmark has started."""

    uri: str
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, engine: EmbeddedEngine | Neo4jServer) -> Endpoint:
        """Where an engine answers that was started."""
        return cls(engine.uri, engine.user, engine.password, engine.database)

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
