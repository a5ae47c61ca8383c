"""One Kafka broker that is its own controller (KRaft)."""

from __future__ import annotations

import subprocess

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.services.maven import class_path, find_java
from tests.services.process import HOST, ServerProcess, accepts, free_port

VERSION = "4.4.0"

_CLUSTER = "4L6g3nShT-eMCtK--X86sw"
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CTRL
listeners=PLAINTEXT://{host}:{port},CTRL://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CTRL:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
"""
_LOGGING = """\
<Configuration status="WARN">
  <Appenders><Console name="console"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


class KafkaServer(ServerProcess):
    """A broker at ``bootstrap``, whose topics are made by :meth:`create_topic` only."""

    def __init__(self, *, heap: str = "512m") -> None:
        java, _ = find_java(17)
        jars = class_path(
            f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"
        )
        super().__init__()
        self._port, self._controller_port = free_port(), free_port()
        self.bootstrap = f"{HOST}:{self._port}"
        self._properties = self.folder / "server.properties"
        self._java = [
            str(java),
            "-Xms256m",
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            "-cp",
            jars,
        ]

    def prepare(self) -> None:
        """Format the data directory before the first start."""
        if self._properties.exists():
            return
        (self.folder / "log4j2.xml").write_text(_LOGGING)
        self._properties.write_text(
            _PROPERTIES.format(
                host=HOST, port=self._port, controller_port=self._controller_port, folder=self.folder
            )
        )
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties)]
        subprocess.run(self._java + tool, check=True, capture_output=True)

    def command(self) -> list[str]:
        return [*self._java, "kafka.Kafka", str(self._properties)]

    def answers(self) -> bool:
        if not accepts(self._port):
            return False
        try:
            return bool(self._admin().list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic that does not exist yet, and wait until it does."""
        admin = self._admin()
        [made] = admin.create_topics([NewTopic(name, partitions, 1)]).values()
        made.result()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
