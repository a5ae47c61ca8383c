"""Retention as a worker does it: beside the stream, in steps no larger than a batch, and keeping up with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graph.driver import Graph
from graph.retention import Expired, expire
from graph.schema import HOUR_MS
from ringwatch import composition
from ringwatch.commands.run import run_worker
from ringwatch.composition import RunOptions
from ringwatch.simulation import Simulation, write
from tests.engines import on
from tests.services.endpoint import Endpoint

TRANSACTIONS = 1_500
BATCH = 100
KEPT_DAYS = 2


@on("arcadedb")
def test_what_is_older_goes_step_by_step_while_the_stream_runs(
    graph: Graph, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Expired] = []

    def observed(*args: Any, **kwargs: Any) -> Expired:
        steps.append(expire(*args, **kwargs))
        return steps[-1]

    monkeypatch.setattr(composition, "expire", observed)
    write(Simulation(TRANSACTIONS, 11, days=10), tmp_path)
    settings = endpoint.settings(stream={"batch_size": BATCH}, retention_days=KEPT_DAYS)
    source = str(tmp_path / "transactions.jsonl")
    run_worker(settings, RunOptions(source, str(tmp_path / "alerts.jsonl"), str(tmp_path / "dead.jsonl")))

    [left] = graph.read("MATCH (t:Transaction) RETURN count(t) AS n, min(t.time) AS oldest, max(t.time) AS newest")
    gone = [step.transactions for step in steps]
    assert 0 < max(gone) <= BATCH
    assert sum(gone) + left["n"] == TRANSACTIONS
    # The last batch came after the last step, and the watermark stays behind the newest event.
    assert left["n"] <= TRANSACTIONS * (KEPT_DAYS + 1) / 10 + BATCH
    assert left["newest"] - left["oldest"] < (KEPT_DAYS + 1) * 24 * HOUR_MS
    assert steps[-1].complete
