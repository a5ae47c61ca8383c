"""Rings of typologies that have no rule: ``python -m benchmarks.unnamed``.

Two whole typologies are switched off, so that their rings are there and no rule names them. A model learns from
another stream, which is long enough for labels as late and as noisy as they are simulated; its rings had no rule
either. The stream that is measured goes through the pipeline with and without the search for dense blocks, and is
then scored by one pass: four ways on the same stream, side by side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.engines import fresh_engine
from benchmarks.machine import Machine
from gnn.snapshot import write_snapshot
from gnn.training import train
from ringwatch import logs
from ringwatch.commands.rings import write_rings
from ringwatch.commands.run import run_worker
from ringwatch.composition import RunOptions
from ringwatch.evaluation.found import read_reported
from ringwatch.evaluation.measures import Figures, measure
from ringwatch.evaluation.truth import Truth, read_truth
from ringwatch.labelled_history import LabelledHistory, labels_at
from ringwatch.scoring import opened_scoring
from ringwatch.simulation import DAYS, Simulation, write
from streaming.codec import Codec
from streaming.metrics import Metrics
from streaming.tokens import CardTokenizer
from tests.gnn.models import promote
from tests.worker import CARD_KEY

#: How long the history lasts that is learned from, and how long complaints take: most come within that.
_HISTORY_DAYS, _COMPLAINT_DAYS = 240, 45


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000, help="of either stream")
    parser.add_argument("--fraud-rate", type=float, default=0.02)
    parser.add_argument(
        "--seeds", type=int, nargs=2, default=(921, 922), help="of what is learned from, and measured"
    )
    parser.add_argument("--off", nargs="+", default=["device_farm", "card_testing"])
    parser.add_argument("--networks", action="store_true", help="let networks compete as well: hours")
    chosen = parser.parse_args()
    logs.configure("error", "text")
    console = Console()
    console.print(Machine.here())
    with tempfile.TemporaryDirectory(prefix="ringwatch-unnamed-") as scratch:
        folder = Path(scratch)
        for name, seed, days in zip(("history", "stream"), chosen.seeds, (_HISTORY_DAYS, DAYS), strict=True):
            write(Simulation(chosen.transactions, seed, fraud_rate=chosen.fraud_rate, days=days), folder / name)
        learn(folder, trees_only=not chosen.networks)
        truth = read_truth(folder / "stream", _codec())
        shown = Table(title=f"without the rules {', '.join(chosen.off)}")
        for column in ("what looks", *(f"recall of {name}" for name in chosen.off), "of all rings", "precision"):
            shown.add_column(column, justify="right")
        for way, figures in ways(folder, truth, chosen.off):
            shown.add_row(way, *cells(figures, chosen.off))
        console.print(shown)


def cells(figures: Figures, off: Sequence[str]) -> Iterator[str]:
    """Recall of each typology that is off and of all rings, and precision, each with the rings it rests on."""
    for one in (*map(figures.by_typology.get, off), figures.overall):
        yield f"{one.recall:.2f} ({one.found} of {one.rings})" if one else "–"
    true = figures.reported - figures.false_alarms
    yield f"{true / figures.reported:.2f} ({true} of {figures.reported})" if figures.reported else "–"


def learn(folder: Path, *, trees_only: bool) -> None:
    """Train on the history, and promote what came of it."""
    codec = _codec()
    history = LabelledHistory(codec, str(folder / "history" / "transactions.jsonl"))
    labels = labels_at(codec, str(folder / "history" / "labels.jsonl"))
    write_snapshot(history.transactions(), labels, folder / "snapshot", origin="simulated")
    train(folder / "snapshot", folder / "model", complaint_days=_COMPLAINT_DAYS, seeds=[0], trees_only=trees_only)
    promote(folder / "model", folder / "models")


def _codec() -> Codec:
    return Codec(CardTokenizer(CARD_KEY.encode()))


def ways(folder: Path, truth: Truth, off: Sequence[str]) -> Iterator[tuple[str, Figures]]:
    """Rules, and with them blocks, scores, or both."""
    for blocks in (False, True):
        name = "rules and dense blocks" if blocks else "rules"
        scratch = folder / name.replace(" ", "-")
        scratch.mkdir()
        with fresh_engine("arcadedb") as endpoint, endpoint.connect() as graph:
            settings = endpoint.settings(rules={"disabled": list(off)}, density={"enabled": blocks})
            stream, rings = folder / "stream", scratch / "rings.jsonl"
            run_worker(
                settings,
                RunOptions(
                    source=str(stream / "transactions.jsonl"),
                    labels=str(stream / "labels.jsonl"),
                    alerts=str(scratch / "alerts.jsonl"),
                    dead_letters=str(scratch / "dead-letters.jsonl"),
                ),
            )
            write_rings(graph, rings)
            yield name, measure(truth, read_reported(rings, None))
            with opened_scoring(settings, str(folder / "models"), Metrics.create()) as scoring:
                scoring.once()
            write_rings(graph, rings)
            yield f"{name}, and scores", measure(truth, read_reported(rings, None))


if __name__ == "__main__":
    main()
