"""Ringwatch as its users run it: a process of its own, with the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import confluent_kafka as kafka

CARD_KEY = "a-key-for-tests-that-is-long-enough-0123456789"
_LIMIT_S = 240


class Ringwatch:
    """Runs commands in one folder, with one environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGWATCH_")}
        self._environment = {**kept, "RINGWATCH_CARD_KEY": CARD_KEY, **environment}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, log: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command and return at once; one that says much before anybody reads it needs a file for that."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ringwatch", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what a failed test has left running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end; returns its output, standard error included."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=_LIMIT_S)
        assert process.returncode == code, f"ringwatch {' '.join(arguments)} gave {process.returncode}:\n{errors}"
        return output + errors


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_topic(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """Everything that a read-committed consumer sees on a topic's first partition."""
    consumer = kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "a-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([kafka.TopicPartition(topic, 0, 0)])
    found: list[dict[str, Any]] = []
    try:
        while True:
            message = consumer.poll(30)
            assert message is not None, "the topic does not answer"
            error = message.error()
            if error is not None:
                assert error.code() == kafka.KafkaError._PARTITION_EOF, error.str()
                return found
            found.append(json.loads(message.value() or b""))
    finally:
        consumer.close()


def shown_rings(path: Path) -> dict[str, Any]:
    """An export's rings by id, without what depends on when they were looked at."""
    return {
        ring["ring_id"]: {
            key: ring[key] for key in ("members", "transaction_ids", "typologies", "severity", "status")
        }
        for ring in read_lines(path)
    }


def revisions(alerts: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The revisions of each ring in the order in which its alerts came."""
    found: dict[str, list[int]] = {}
    for alert in alerts:
        found.setdefault(alert["data"]["ring_id"], []).append(alert["data"]["revision"])
    return found
