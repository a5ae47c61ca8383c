"""Neo4j Community, in the versions that Ringwatch supports."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass

from graph.driver import Graph, connect
from graph.errors import Unavailable
from tests.services.maven import class_path, find_java
from tests.services.process import HOST, ServerProcess, accepts, free_port


@dataclass(frozen=True)
class Release:
    """A published version, the oldest Java that it runs on, and the class that starts it."""

    version: str
    java: int
    main: str


RELEASES = {
    "5.26": Release("5.26.30", 17, "org.neo4j.server.CommunityEntryPoint"),
    "2026": Release("2026.08.1", 21, "org.neo4j.server.Neo4jCommunity"),
}

_CONFIGURATION = """\
server.default_listen_address={host}
server.default_advertised_address={host}
server.bolt.listen_address=:{port}
server.bolt.advertised_address=:{port}
server.http.listen_address=:{http_port}
server.http.advertised_address=:{http_port}
server.memory.heap.max_size={heap}
server.memory.pagecache.size={page_cache}
db.tx_log.rotation.retention_policy=1 files
db.tx_log.preallocate=false
dbms.usage_report.enabled=false
client.allow_telemetry=false
"""
_OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")


class Neo4jServer(ServerProcess):
    """A server of release ``5.26`` or ``2026`` at ``uri``."""

    user = "neo4j"
    password = "test-password-1"
    database = "neo4j"

    def __init__(self, release: str, *, heap: str = "768m", page_cache: str = "128m") -> None:
        self.release = RELEASES[release]
        java, java_version = find_java(self.release.java)
        jars = class_path(
            f"org.neo4j:neo4j:{self.release.version}", f"org.neo4j.app:neo4j-server:{self.release.version}"
        )
        super().__init__()
        self._heap, self._page_cache = heap, page_cache
        self._port, self.http_port = free_port(), free_port()
        self.uri = f"bolt://{HOST}:{self._port}"
        self._java = [str(java), "-XX:+UseG1GC", *_module_flags(java_version), "-cp", jars]

    def prepare(self) -> None:
        """Set the first password before the first start."""
        configuration = self.folder / "conf" / "neo4j.conf"
        if configuration.exists():
            return
        for name in ("conf", "data", "logs", "run", "plugins", "import", "certificates", "licenses", "lib"):
            (self.folder / name).mkdir()
        configuration.write_text(
            _CONFIGURATION.format(
                host=HOST,
                port=self._port,
                http_port=self.http_port,
                heap=self._heap,
                page_cache=self._page_cache,
            )
        )
        subprocess.run(
            [*self._java, "org.neo4j.cli.AdminTool", "dbms", "set-initial-password", self.password],
            env={**os.environ, "NEO4J_HOME": str(self.folder), "NEO4J_CONF": str(configuration.parent)},
            check=True,
            capture_output=True,
        )

    def command(self) -> list[str]:
        java, *rest = self._java
        folders = [f"--home-dir={self.folder}", f"--config-dir={self.folder / 'conf'}"]
        return [java, "-Xms256m", f"-Xmx{self._heap}", *rest, self.release.main, *folders]

    def answers(self) -> bool:
        if not accepts(self._port):
            return False
        try:
            with self.connect(patience_s=1) as graph:
                graph.read("RETURN 1")
        except Unavailable:
            return False
        return True

    def connect(self, *, patience_s: float = 30) -> closing[Graph]:
        """A connection of its own to the server."""
        return closing(connect(self.uri, self.user, self.password, database=self.database, patience_s=patience_s))

    def wipe(self) -> None:
        """Delete all nodes and relationships; the schema stays."""
        with self.connect() as graph:
            wipe(graph)


def wipe(graph: Graph) -> None:
    """Delete all nodes and relationships of any engine; the schema stays."""
    delete = "MATCH (n) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*) AS deleted"
    while graph.write(lambda tx: tx.run(delete))[0]["deleted"]:
        pass


def _module_flags(java_version: int) -> list[str]:
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
    if java_version < 21:
        return opened
    newer = ["--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector"]
    return [*opened, *newer, *(["--sun-misc-unsafe-memory-access=allow"] if java_version >= 23 else [])]
