"""``ringwatch demo``: a simulated stream, the embedded engine, a live view, and the rings that were found."""

from __future__ import annotations

import importlib.util
import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ringwatch import logs
from ringwatch.commands.rings import ring_table
from ringwatch.commands.signals import on_termination
from ringwatch.composition import RunOptions, opened_worker
from ringwatch.settings import Settings, load
from ringwatch.simulation import Simulation, write
from ringwatch.simulation.records import Ring as HiddenRing
from ringwatch.telemetry import Telemetry
from streaming.alerts import reasons
from streaming.detector import Counts
from streaming.metrics import Metrics
from streaming.ring_state import Ring
from streaming.ring_store import Letter, RingStore

_FOLDER = Path(".ringwatch") / "demo"
_MODEL = Path(__file__).parents[1] / "demo_model"
_SHOWN_ALERTS = 8
#: A hidden ring counts as found when the rings that were found have at least this share of its payments.
_FOUND_SHARE = 0.5


def demo(
    transactions: Annotated[int, typer.Option(min=1000, help="How many payments are simulated.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same stream.")] = 1,
) -> None:
    """Simulate payments with hidden fraud rings, find them by rules and by scores, and say which were found."""
    console = Console()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    scores = importlib.util.find_spec("safetensors") is not None
    settings = load(
        None,
        {
            "graph.address": f"embedded:{_FOLDER / 'graph'}",
            "stream.batch_size": 500,
            "scores.models": str(_FOLDER / "models") if scores else None,
        },
    )
    logs.configure("warning", settings.log.format)
    console.print(f"Simulating {transactions:,} payments, honest ones and some of hidden fraud rings …")
    simulation = Simulation(transactions, seed)
    write(simulation, _FOLDER / "stream")
    if scores:
        _promote_shipped_model(_FOLDER / "models")
    console.print("Starting the embedded graph engine …")
    options = RunOptions(str(_FOLDER / "stream" / "transactions.jsonl"))
    view = _View(transactions, console)
    with (
        Telemetry.start("127.0.0.1", None) as telemetry,
        opened_worker(settings, options, telemetry, announce=view.take) as worker,
        on_termination(worker.pipeline.stop),
    ):
        view.counts = worker.counts
        with Live(get_renderable=view.shown, console=console, refresh_per_second=4, transient=True):
            worker.pipeline.run()
        if scores:
            console.print(f"A pass of learned scores {_pass(settings)}")
        store = RingStore(worker.graph)
        rings = sorted(store.all(), key=lambda ring: -len(ring.evidence))
        calibration = store.calibration()
    console.print(ring_table(rings, calibration, title="The rings that were found"))
    _compare(console, rings, list(simulation.rings()))
    if learned := next((ring for ring in rings if list(ring.typologies) == ["learned"]), None):
        console.print(f"\nWhat no rule names, {learned.id}, as its alert explains it:")
        for line in reasons(learned):
            console.print(f"  {line}", soft_wrap=True)
    console.print(f"The graph is kept: ringwatch rings list --graph embedded:{_FOLDER / 'graph'}")


def _promote_shipped_model(models: Path) -> None:
    """Use the small model that is shipped for this (its card is in its folder)."""
    from gnn.registry import open_registry

    registry = open_registry(str(models))
    version = registry.register(_MODEL)
    registry.promote(version.name, reason="the demo's", by="ringwatch demo", at=version.registered_at)


def _pass(settings: Settings) -> str:
    """Score the graph, with what that did in words."""
    from ringwatch.scoring import opened_scoring

    assert settings.scores.models is not None
    with opened_scoring(settings, settings.scores.models, Metrics.create()) as scoring:
        return scoring.once().in_words()


class _Alert(msgspec.Struct):
    type: str
    time: str
    data: dict[str, Any]

    @property
    def line(self) -> str:
        """One line for a person."""
        kinds = ", ".join(typology["id"] for typology in self.data["typologies"])
        evidence = self.data["evidence"]
        return (
            f"{self.time[:16].replace('T', ' ')}  {self.type.rpartition('.')[2]}: {kinds}, "
            f"{self.data['member_count']} members, {evidence['transaction_count']} transactions"
        )


class _View:
    """What is seen while the stream runs: how far it is, and the latest alerts."""

    def __init__(self, transactions: int, console: Console) -> None:
        self._transactions = transactions
        self._console = console
        self._latest: deque[str] = deque(maxlen=_SHOWN_ALERTS)
        self.counts = Counts()

    def take(self, letters: Sequence[Letter]) -> None:
        """Alerts have got out."""
        for letter in letters:
            line = msgspec.json.decode(letter.body, type=_Alert).line
            self._latest.append(line)
            if not self._console.is_terminal:
                self._console.print(line, soft_wrap=True)

    def shown(self) -> Table:
        """The view now."""
        done = f"{self.counts.accepted:,} of {self._transactions:,} payments in the graph"
        table = Table(title=done, show_header=False, min_width=78)
        for line in self._latest:
            table.add_row(line)
        return table


def _compare(console: Console, found: list[Ring], hidden: list[HiddenRing]) -> None:
    """Say how much of the hidden rings was found, and what was found beside them."""
    evidence = {key for ring in found for key in ring.evidence}
    shares = [(len(evidence & set(ring.transaction_ids)) / len(ring.transaction_ids), ring) for ring in hidden]
    whole = sum(share >= _FOUND_SHARE for share, _ in shares)
    partly = sum(0 < share < _FOUND_SHARE for share, _ in shares)
    missed = sorted(ring.typology for share, ring in shares if share == 0)
    truth = {key for ring in hidden for key in (*ring.transaction_ids, *ring.camouflage_transaction_ids)}
    false_alarms = sum(not ring.evidence.keys() & truth for ring in found)
    console.print(
        f"{len(hidden)} rings were hidden: {whole} were found with half their payments or more, {partly} in part"
        + (f", {len(missed)} not at all ({', '.join(missed)})." if missed else ".")
        + f" Of the {len(found)} rings found, {false_alarms} are false alarms."
    )
