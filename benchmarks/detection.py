"""How well rings are found on simulated streams: ``python -m benchmarks.detection --seeds 101 102 103``.

Each stream, its labels with it, goes through the pipeline as ``ringwatch run`` does it, on a fresh engine with
every default, and is evaluated as ``ringwatch evaluate`` does it. A bar that is missed is said, and is no failure.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.engines import ENGINES, fresh_engine
from benchmarks.machine import Machine
from ringwatch import logs
from ringwatch.commands.rings import write_rings
from ringwatch.commands.run import run_worker
from ringwatch.composition import RunOptions, tokenizer_for
from ringwatch.evaluation.found import read_reported
from ringwatch.evaluation.measures import Figures
from ringwatch.evaluation.page import write_page
from ringwatch.evaluation.report import Report, evaluate, said, write_json
from ringwatch.evaluation.truth import read_truth
from ringwatch.simulation import Simulation, write
from streaming.codec import Codec

_ALL_HONEST = "all honest traffic"


class Bar(msgspec.Struct, frozen=True):
    """A figure, what it should reach, and whether more is better."""

    name: str
    of: Callable[[Figures], float | None]
    wanted: float
    more_is_better: bool = True

    def reached(self, figures: Figures) -> bool:
        """Whether these figures pass."""
        value = self.of(figures)
        return value is not None and (value >= self.wanted if self.more_is_better else value <= self.wanted)


BARS = (
    Bar("ring recall", lambda figures: figures.overall.recall, 0.90),
    Bar("ring precision", lambda figures: figures.precision, 0.90),
    Bar("member F1", lambda figures: figures.overall.member_f1, 0.85),
    Bar("transactions until alert", lambda figures: figures.overall.transactions_until_alert, 3, False),
    Bar("alerts per ring", lambda figures: figures.overall.alerts_per_ring, 3, False),
    Bar("worst look-alike", lambda figures: worst_look_alike(figures)[1], 0.01, False),
)


def worst_look_alike(figures: Figures) -> tuple[str, float]:
    """The kind of honest look-alike that is falsely flagged most, and the share of its transactions."""
    kinds = {name: one.flagged_share for name, one in figures.look_alikes.items()}
    return max(kinds.items(), key=lambda item: item[1], default=(_ALL_HONEST, 0.0))


def main() -> None:
    """Measure, print the table, and write JSON and a page for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--budget", type=int, default=20, help="new rings that analysts open each day")
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    chosen = parser.parse_args()
    logs.configure("error", "text")
    console = Console()
    console.print(Machine.here())
    reports: dict[int, Report] = {}
    for seed in chosen.seeds:
        console.print(f"Seed {seed}: {chosen.transactions:,} payments …")
        with tempfile.TemporaryDirectory(prefix="ringwatch-detection-") as folder:
            reports[seed] = detect(chosen.engine, chosen.transactions, seed, chosen.budget, Path(folder))
        out = chosen.out / f"detection-{seed}"
        out.mkdir(parents=True, exist_ok=True)
        write_json(reports[seed], out / "evaluation.json")
        write_page(reports[seed], out / "evaluation.html")
        console.print(summary(reports))


def detect(engine: str, transactions: int, seed: int, budget: int, folder: Path) -> Report:
    """Simulate a stream, run it through the pipeline on a fresh engine, and evaluate what was reported."""
    truth, alerts, rings = folder / "truth", folder / "alerts.jsonl", folder / "rings.jsonl"
    write(Simulation(transactions, seed), truth)
    options = RunOptions(
        source=str(truth / "transactions.jsonl"),
        labels=str(truth / "labels.jsonl"),
        alerts=str(alerts),
        dead_letters=str(folder / "dead-letters.jsonl"),
    )
    with fresh_engine(engine) as endpoint:
        settings = endpoint.settings()
        run_worker(settings, options)
        with endpoint.connect() as graph:
            write_rings(graph, rings)
    return evaluate(read_truth(truth, Codec(tokenizer_for(settings))), read_reported(rings, alerts), budget)


def summary(reports: Mapping[int, Report]) -> Table:
    """Every bar for every seed, and the baselines beside them."""
    table = Table(title="Rings found in simulated streams")
    for title in ("seed", "rings", *(f"{bar.name} ({bar.wanted:g})" for bar in BARS), "worst kind"):
        table.add_column(title, justify="right")
    for seed, report in reports.items():
        figures = report.within_budget
        cells = [said(bar.of(figures), "{:.3f}") + ("" if bar.reached(figures) else " missed") for bar in BARS]
        table.add_row(str(seed), str(figures.overall.rings), *cells, worst_look_alike(figures)[0])
        plain = report.connected_components
        table.add_row(
            "", "components", *(said(bar.of(plain), "{:.3f}") for bar in BARS), worst_look_alike(plain)[0]
        )
    return table


if __name__ == "__main__":
    main()
