"""Addresses of Kafka topics: ``kafka://host:port[,host:port…]/topic``."""

from __future__ import annotations

import re
from typing import NamedTuple

from graph.errors import ConfigurationError

_SCHEME = "kafka://"
_BROKER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaAddress(NamedTuple):
    """A topic and the brokers to ask for it (``host:port,host:port``)."""

    bootstrap: str
    topic: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bootstrap}/{self.topic}"


def is_kafka(address: str) -> bool:
    """Whether an address means a Kafka topic, well-formed or not."""
    return address.lower().startswith("kafka:")


def parse_kafka(address: str) -> KafkaAddress:
    """The brokers and the topic of an address.

    Raises:
        ConfigurationError: it has another form, or carries credentials (which are not repeated).
    """
    if "@" in address:
        raise ConfigurationError(
            "a Kafka address carries no credentials: set them in [kafka.client] of the settings"
        )
    if not address.lower().startswith(_SCHEME):
        raise ConfigurationError(f"expected kafka://host:port/topic, not {address!r}")
    bootstrap, _, topic = address[len(_SCHEME) :].partition("/")
    ports = [_BROKER.fullmatch(broker) for broker in bootstrap.split(",")]
    if not all(port and 0 < int(port[1]) < 65536 for port in ports):
        raise ConfigurationError(f"expected host:port[,host:port…] after {_SCHEME}, not {bootstrap!r}")
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise ConfigurationError(f"{topic!r} cannot be a topic: use letters, digits, dots, dashes and underscores")
    return KafkaAddress(bootstrap, topic)
