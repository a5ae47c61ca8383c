"""The embedded engine is killed under a stream: its worker ends, and the next one goes on to the same rings."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from ringwatch.simulation import Simulation, write
from tests.worker import Ringwatch, read_lines, revisions, shown_rings

pytestmark = pytest.mark.embedded

PAYMENTS = 2_000


@pytest.mark.timeout(300)
def test_a_worker_ends_with_its_engine_and_the_next_goes_on(tmp_path: Path) -> None:
    write(Simulation(PAYMENTS, 5, fraud_rate=0.1), tmp_path)
    with closing(Ringwatch(tmp_path, RINGWATCH_STREAM_BATCH_SIZE="100")) as ringwatch:

        def run(graph: str) -> tuple[str, ...]:
            where = ("--graph", f"embedded:{graph}", "--alerts", f"{graph}.jsonl")
            return ("run", "--source", "transactions.jsonl", *where)

        ringwatch(*run("undisturbed"))
        worker = ringwatch.start(*run("killed"))
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed.jsonl").exists() or not read_lines(tmp_path / "killed.jsonl"):
            assert worker.poll() is None, "it had ended before it was disturbed"
            assert time.monotonic() < deadline, "no alert came"
            time.sleep(0.05)
        endpoint = json.loads((tmp_path / "killed" / "engine" / "endpoint.json").read_text())
        os.kill(endpoint["pid"], signal.SIGKILL)
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 1
        assert errors.splitlines()[-1].startswith("ringwatch: the embedded engine has died")
        assert "Traceback" not in errors

        ringwatch(*run("killed"))
        for graph in ("undisturbed", "killed"):
            ringwatch("rings", "export", "--graph", f"embedded:{graph}", "--out", f"{graph}-rings.jsonl")
        assert shown_rings(tmp_path / "killed-rings.jsonl") == shown_rings(tmp_path / "undisturbed-rings.jsonl")
        told = revisions(read_lines(tmp_path / "killed.jsonl"))
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in told.values())
        assert {one["ring_id"] for one in read_lines(tmp_path / "killed-rings.jsonl")} <= told.keys()
