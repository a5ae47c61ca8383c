"""Other processes that use an embedded engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Client:
    """A process of its own that has named an address and does what it is asked."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.client", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def hear(self) -> Any:
        """Its next answer; the first says which engine it uses."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, line: str) -> Any:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)
        return self.hear()

    def leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(120) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def client() -> Iterator[Callable[[str], Client]]:
    """Start a client for an address; whatever is left of it ends with the test."""
    started: list[Client] = []

    def start(address: str) -> Client:
        started.append(Client(address))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        for pipe in (each.process.stdin, each.process.stdout):
            assert pipe
            pipe.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that has ended but was not reaped does not)."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
