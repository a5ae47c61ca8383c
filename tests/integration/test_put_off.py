"""A worker whose rules never have time enough, and that dies: in the end it has found what one with time finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graph.driver import Graph, Tx
from queries import backlog, runner
from queries.backlog import Backlog, Deferred
from ringwatch.commands.rings import ring_record
from ringwatch.commands.run import run_worker
from ringwatch.composition import RunOptions
from ringwatch.settings import Settings
from ringwatch.simulation import Simulation, write
from streaming.ring_store import RingStore
from tests.engines import on
from tests.services.endpoint import Endpoint

TRANSACTIONS = 1_500


class Crash(Exception):
    """What kills the worker."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("stream")
    write(Simulation(TRANSACTIONS, 11), folder)
    return str(folder / "transactions.jsonl")


def settings(endpoint: Endpoint, budget_factor: float) -> Settings:
    return endpoint.settings(stream={"batch_size": 500}, rules={"budget_factor": budget_factor})


def rings(graph: Graph) -> list[dict[str, Any]]:
    """What every ring holds; its id depends on which of its findings came first."""
    store = RingStore(graph)
    records = [ring_record(ring, store.calibration()) for ring in store.all()]
    kept = ("members", "transaction_ids", "typologies", "severity", "status")
    return sorted(({key: record[key] for key in kept} for record in records), key=str)


@on("arcadedb")
def test_what_is_put_off_is_found_in_the_end_through_a_crash(
    graph: Graph, endpoint: Endpoint, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(source, str(tmp_path / "alerts.jsonl"), str(tmp_path / "dead.jsonl"))
    run_worker(settings(endpoint, 1_000.0), options)
    wanted = rings(graph)
    assert wanted
    graph.write(lambda tx: tx.run("MATCH (n) WHERE NOT n:Ledger DETACH DELETE n"))

    monkeypatch.setattr(runner, "PORTION", 20)
    monkeypatch.setattr(backlog, "TOGETHER", 20)
    put_off: list[Deferred] = []
    add, remove = Backlog.add, Backlog.remove

    def adding(self: Backlog, tx: Tx, queue: str, parts: list[Deferred]) -> None:
        put_off.extend(parts)
        add(self, tx, queue, parts)

    removals: list[int] = []

    def removing(self: Backlog, tx: Tx, ids: list[str]) -> None:
        removals.append(len(ids))
        if len(removals) == 2:
            raise Crash
        remove(self, tx, ids)

    monkeypatch.setattr(Backlog, "add", adding)
    monkeypatch.setattr(Backlog, "remove", removing)
    hurried = settings(endpoint, 1e-9)
    with pytest.raises(Crash):
        run_worker(hurried, options)
    assert put_off
    run_worker(hurried, options)
    assert graph.read("MATCH (d:Deferred) RETURN count(d) AS left") == [{"left": 0}]
    assert rings(graph) == wanted
