"""Chaos: kill the worker, restart the broker and the graph at random, and compare with an undisturbed run.

``python -m tests.chaos`` is the long version (``make chaos``); the test suite runs a short one.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graph.driver import Graph
from ringwatch.simulation import Simulation, write
from tests.services.kafka import KafkaServer
from tests.services.neo4j import Neo4jServer
from tests.worker import Ringwatch, read_topic, revisions, shown_rings

#: Small batches, so that there are many moments at which to be killed.
_SETTINGS = "[stream]\nbatch_size = 100\nbatch_ms = 50\n"
_LIMIT_S = 1500
_POLL_S = 0.02
#: About what a batch takes: what is under way when the blow falls is left to chance.
_BATCH_S = 0.3


@dataclass
class Outcome:
    """What a disturbed run ended in, beside an undisturbed one."""

    kills: int = 0
    broker_restarts: int = 0
    graph_restarts: int = 0
    rings: int = 0
    alerts: int = 0
    problems: list[str] = field(default_factory=list)


def experiment(
    kafka: KafkaServer,
    neo4j: Neo4jServer,
    folder: Path,
    *,
    transactions: int,
    kills: int,
    restarts: int,
    seed: int,
) -> Outcome:
    """Run the same stream undisturbed and disturbed, and say where they differ."""
    write(Simulation(transactions, seed), folder / "stream")
    (folder / "ringwatch.toml").write_text(_SETTINGS)
    ringwatch = Ringwatch(folder, RINGWATCH_GRAPH_USER=neo4j.user, RINGWATCH_GRAPH_PASSWORD=neo4j.password)
    names = {name: f"{name}-{seed}-{time.time_ns()}" for name in ("transactions", "calm", "stormy")}
    for name in names.values():
        kafka.create_topic(name)
    topic = f"kafka://{kafka.bootstrap}/{names['transactions']}"
    ringwatch("produce", "--source", str(folder / "stream" / "transactions.jsonl"), "--to", topic)
    seen: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    outcome = Outcome()
    for name in ("calm", "stormy"):
        neo4j.wipe()
        arguments = [
            *("run", "--source", topic, "--until-end", "--graph", neo4j.uri, "--group", names[name]),
            *("--alerts", f"kafka://{kafka.bootstrap}/{names[name]}"),
        ]
        if name == "calm":
            ringwatch(*arguments)
        else:
            _storm(ringwatch, arguments, kafka, neo4j, random.Random(seed), transactions, kills, restarts, outcome)
        ringwatch("rings", "export", "--out", f"{name}.jsonl", "--graph", neo4j.uri)
        seen[name] = (shown_rings(folder / f"{name}.jsonl"), read_topic(kafka.bootstrap, names[name]))
    _compare(seen, outcome)
    return outcome


def _storm(
    ringwatch: Ringwatch,
    arguments: list[str],
    kafka: KafkaServer,
    neo4j: Neo4jServer,
    chance: random.Random,
    transactions: int,
    kills: int,
    restarts: int,
    outcome: Outcome,
) -> None:
    blows = ["worker"] * kills + ["broker", "graph"] * restarts
    chance.shuffle(blows)
    stride = transactions // (len(blows) + 1)
    deadline = time.monotonic() + _LIMIT_S
    log = ringwatch.folder / "worker.log"
    written = 0
    with neo4j.connect() as graph, log.open("a") as said:
        worker = ringwatch.start(*arguments, log=said)
        for blow in blows:
            # A blow hurts where something is under way: counted in payments, since machines differ in speed.
            reached = _reached(worker, graph, written + chance.randint(1, stride), deadline)
            if reached is None:
                break
            written = reached
            time.sleep(chance.uniform(0, _BATCH_S))
            if blow == "worker":
                worker.kill()
                worker.communicate()
                outcome.kills += 1
                worker = ringwatch.start(*arguments, log=said)
            elif blow == "broker":
                kafka.restart()
                outcome.broker_restarts += 1
            else:
                neo4j.restart()
                outcome.graph_restarts += 1
    worker.communicate(timeout=max(1.0, deadline - time.monotonic()))
    if worker.returncode != 0:
        outcome.problems.append(f"the last worker ended with {worker.returncode}: {log.read_text()[-2000:]}")


def _reached(worker: subprocess.Popen[str], graph: Graph, mark: int, deadline: float) -> int | None:
    """Wait until so many payments are written; returns how many are, or ``None`` if that will not be."""
    while worker.poll() is None and time.monotonic() < deadline:
        [row] = graph.read("MATCH (c:Checkpoint) RETURN sum(c.written) AS written")
        if row["written"] >= mark:
            return int(row["written"])
        time.sleep(_POLL_S)
    return None


def _compare(seen: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]], outcome: Outcome) -> None:
    (calm, calm_alerts), (stormy, stormy_alerts) = seen["calm"], seen["stormy"]
    outcome.rings, outcome.alerts = len(stormy), len(stormy_alerts)
    if not calm:
        outcome.problems.append("the stream has no rings: nothing was shown")
    for ring_id in sorted(calm.keys() | stormy.keys()):
        if calm.get(ring_id) != stormy.get(ring_id):
            outcome.problems.append(f"{ring_id}: {calm.get(ring_id)} became {stormy.get(ring_id)}")
    for name, alerts in (("calm", calm_alerts), ("stormy", stormy_alerts)):
        for ring_id, found in revisions(alerts).items():
            if found != list(range(1, len(found) + 1)):
                outcome.problems.append(f"{name}: {ring_id} was announced as revisions {found}")
    if missing := calm.keys() - revisions(stormy_alerts).keys():
        outcome.problems.append(f"never announced: {sorted(missing)}")


def main() -> None:
    """Run the long version and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3, help="of the broker and of the graph, each")
    parser.add_argument("--transactions", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("chaos-results"))
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        KafkaServer() as kafka,
        Neo4jServer("5.26") as neo4j,
    ):
        outcome = experiment(
            kafka,
            neo4j,
            Path(folder),
            transactions=chosen.transactions,
            kills=chosen.kills,
            restarts=chosen.restarts,
            seed=chosen.seed,
        )
    chosen.out.mkdir(exist_ok=True)
    result = {"machine": platform.platform(), "seed": chosen.seed, **vars(outcome)}
    (chosen.out / "chaos.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    raise SystemExit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
