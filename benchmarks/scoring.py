"""What scores cost, by what has changed and by how large the graph is: ``python -m benchmarks.scoring``.

A simulated stream is written to fresh embedded engines and scored by trees that were fitted to its beginning with
labels of chance: the figures say what passes cost, not how good scores are. On graphs of two sizes passes over few
and over many new payments take turns; beside them stands what the same graph costs when nobody has scored it yet.
While the graphs are filled, batches whose payments are scored as they arrive take turns with batches that are not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.engines import fresh_engine
from benchmarks.machine import Machine
from benchmarks.stream import BATCH, simulated
from gnn.arrival_model import ArrivalModel
from gnn.arrivals import ArrivalScorer
from gnn.dataset import load_dataset
from gnn.snapshot import write_snapshot
from graph.events import Transaction
from graph.writer import GraphWriter
from ringwatch import logs
from ringwatch.scoring import Summary, opened_scoring
from streaming.codec import Codec
from streaming.metrics import Metrics
from streaming.tokens import CardTokenizer
from tests.gnn.models import promote, write_trees
from tests.services.endpoint import Endpoint
from tests.worker import CARD_KEY

_SEED = 1
_FITTED_TO = 20_000
_FRAUD = 0.01
#: So many turns warm the engine up, and are not counted.
_WARM_UP = 2


class Filled(NamedTuple):
    """Seconds that two batches after each other took to write: without scores, and scored as they arrive."""

    bare: float
    scored: float


class Passed(NamedTuple):
    """One pass over a graph of ``size`` payments to which ``new`` ones had come."""

    size: int
    new: int
    done: Summary


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25_000, 100_000])
    parser.add_argument("--changes", type=int, nargs="+", default=[100, 1_000, 5_000])
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    console = Console()
    console.print(Machine.here())
    logs.configure("error", "text")
    with tempfile.TemporaryDirectory(prefix="ringwatch-scoring-") as scratch:
        folder = Path(scratch)
        payments = _payments(folder, max(chosen.sizes) + chosen.turns * sum(chosen.changes))
        _promote_trees(payments[:_FITTED_TO], folder)
        filled: dict[int, list[Filled]] = {}
        found: list[Passed] = []
        for size in chosen.sizes:
            with fresh_engine("arcadedb") as endpoint:
                filled[size] = fill(endpoint, folder, payments[:size])
                found += measure(endpoint, folder, payments, size, chosen.changes * chosen.turns)
    console.print(_arrivals(filled))
    console.print(_table(found))


def fill(endpoint: Endpoint, folder: Path, payments: Sequence[Transaction]) -> list[Filled]:
    """Write payments, every second batch of them with scores."""
    model = ArrivalModel(folder / "model" / "arrival")
    scorer = ArrivalScorer(model, "benchmark", lambda _: {})
    turns: list[Filled] = []
    with endpoint.connect() as graph:
        bare, scored = GraphWriter(graph), GraphWriter(graph, describe=lambda new, _: scorer.describe(new))
        for start in range(0, len(payments), 2 * BATCH):
            first, second = payments[start : start + BATCH], payments[start + BATCH : start + 2 * BATCH]
            began = time.perf_counter()
            bare.write(first)
            between = time.perf_counter()
            scorer.remember((payment, ()) for payment in first)
            again = time.perf_counter()
            scored.write(second)
            turns.append(Filled(between - began, time.perf_counter() - again))
    return turns


def measure(
    endpoint: Endpoint, folder: Path, payments: Sequence[Transaction], size: int, changes: Iterable[int]
) -> list[Passed]:
    """A pass over the ``size`` payments that are in the graph, and one for each further lot."""
    settings = endpoint.settings()
    with (
        endpoint.connect() as graph,
        opened_scoring(settings, str(folder / "models"), Metrics.create()) as scoring,
    ):
        writer = GraphWriter(graph)
        found = [Passed(size, size, scoring.once())]
        start = size
        for new in changes:
            for at in range(start, start + new, BATCH):
                writer.write(payments[at : min(at + BATCH, start + new)])
            start += new
            found.append(Passed(size, new, scoring.once()))
    return found


def _payments(folder: Path, count: int) -> list[Transaction]:
    codec = Codec(CardTokenizer(CARD_KEY.encode()), {}, None)
    with simulated(folder, count, _SEED).open("rb") as lines:
        decoded = [codec.decode(line) for line in lines]
    return sorted(decoded, key=lambda one: one.event_time)


def _promote_trees(payments: Sequence[Transaction], folder: Path) -> None:
    write_snapshot(payments, (), folder / "snapshot", origin="benchmark")
    dataset, _ = load_dataset(folder / "snapshot")
    fraud = np.random.default_rng(_SEED).random(len(dataset)) < _FRAUD
    promote(write_trees(dataset, fraud, folder / "model", _SEED), folder / "models")


def _arrivals(filled: Mapping[int, Sequence[Filled]]) -> Table:
    shown = Table(title="at arrival: what writing takes with scores, as a share of without; quartiles")
    for column in ("payments in the graph", "lower", "median", "upper"):
        shown.add_column(column, justify="right")
    for size, turns in filled.items():
        ratios = [turn.scored / turn.bare for turn in turns[_WARM_UP:]]
        shown.add_row(f"{size:,}", *(f"{one:.2f}" for one in statistics.quantiles(ratios, method="inclusive")))
    return shown


def _table(found: Sequence[Passed]) -> Table:
    shown = Table(title="passes: medians")
    whole = {one.size: one.done.seconds for one in found if one.new == one.size}
    for column in (
        "payments in the graph",
        "new",
        "looked at",
        "nodes",
        "ms",
        "nodes/s",
        "of the whole graph's time",
    ):
        shown.add_column(column, justify="right")
    for size, new in dict.fromkeys((one.size, one.new) for one in found):
        turns = [one.done for one in found if (one.size, one.new) == (size, new)]
        seconds = statistics.median(one.seconds for one in turns)
        nodes = statistics.median(one.nodes for one in turns)
        looked_at = statistics.median(one.payments for one in turns)
        shown.add_row(
            *(f"{size:,}", f"{new:,}", f"{looked_at:,.0f}", f"{nodes:,.0f}", f"{1000 * seconds:,.0f}"),
            *(f"{nodes / seconds:,.0f}", f"{seconds / whole[size]:.4f}"),
        )
    return shown


if __name__ == "__main__":
    main()
