"""The hot path's figures: ``make bench``, on both engines, in under half an hour; ``--quick`` only tries it out.

Each phase (comparison, growth, latency) starts on a fresh engine. A bar that is missed is said, and is no failure.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import latency
from benchmarks.comparison import Comparison, compare
from benchmarks.engines import ENGINES, fresh_engine
from benchmarks.figures import Measured, Report, save, table
from benchmarks.growth import grow
from benchmarks.machine import Machine
from benchmarks.stream import BATCH, simulated
from ringwatch import logs
from tests.services.kafka import KafkaServer
from tests.services.maven import Missing

_SEED = 1
#: A stream with enough new rings to speak of a 99th percentile.
_MUCH_FRAUD = 0.1
#: Alerts are timed at this share of the highest rate.
_SHARE = 0.5


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured: turns and windows in batches, the rest in events and seconds.

    ``latency_s`` is how long alerts would be watched for at half the rate of the comparison.
    """

    warm_up: int
    turns: int
    naive_events: int
    growth: int
    window: int
    latency_warm_up: int
    latency_s: int


#: Latency is measured on a graph that is not just born: Neo4j plans its queries anew while a young one grows.
FULL = Sizes(
    warm_up=15, turns=25, naive_events=100, growth=1_000_000, window=20, latency_warm_up=60_000, latency_s=60
)
QUICK = Sizes(warm_up=3, turns=4, naive_events=40, growth=20_000, window=1, latency_warm_up=4_000, latency_s=15)


def main() -> None:
    """Measure, print the table, and write JSON and a plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--growth", type=int, metavar="N", help="transactions that the graph grows to")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    if chosen.growth is not None:
        sizes = msgspec.structs.replace(sizes, growth=chosen.growth)
    logs.configure("error", "text")
    console = Console()
    machine = Machine.here()
    console.print(machine)
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as folder:
        report = run(machine, sizes, chosen.engines, Path(folder), console)
    console.print(table(report))
    for reason in report.missing:
        console.print(f"Not measured: {reason}")
    for path in save(report, chosen.out):
        console.print(f"Written: {path}")


def run(machine: Machine, sizes: Sizes, engines: list[str], folder: Path, console: Console) -> Report:
    """Measure every engine that this machine can start."""
    console.print(f"Simulating {sizes.growth:,} payments …")
    transactions = max(sizes.growth, (sizes.warm_up + sizes.turns) * BATCH)
    stream = simulated(folder / "stream", transactions, _SEED)
    measured: dict[str, Measured] = {}
    missing: list[str] = []
    for engine in engines:
        try:
            measured[engine] = _measure(engine, sizes, stream, folder / engine, console)
        except Missing as reason:
            missing.append(f"{engine} {reason}")
    for engine, found in measured.items():
        try:
            found.latency = _latency(engine, sizes, found.comparison, folder / engine / "latency", console)
        except Missing as reason:
            missing.append(f"{engine}, event to alert: {reason}")
    return Report(machine, measured, missing)


def _measure(engine: str, sizes: Sizes, stream: Path, folder: Path, console: Console) -> Measured:
    phases = {name: folder / name for name in ("comparison", "growth")}
    for phase in phases.values():
        phase.mkdir(parents=True)
    with fresh_engine(engine) as endpoint:
        with endpoint.connect() as graph:
            version = graph.agent
        console.print(f"{version}: Ringwatch, the ceiling and the naive way, in turns …")
        comparison = compare(
            endpoint,
            stream,
            phases["comparison"],
            warm_up=sizes.warm_up,
            turns=sizes.turns,
            naive_events=sizes.naive_events,
        )
    with fresh_engine(engine) as endpoint:
        console.print(f"{version}: growing to {sizes.growth:,} transactions …")
        growth = grow(endpoint, stream, phases["growth"], transactions=sizes.growth, window=sizes.window)
    return Measured(version, comparison, growth)


def _latency(engine: str, sizes: Sizes, comparison: Comparison, folder: Path, console: Console) -> latency.Latency:
    events = int(_SHARE * comparison.ringwatch.median * sizes.latency_s)
    stream = simulated(folder, sizes.latency_warm_up + events, _SEED + 1, _MUCH_FRAUD)
    with KafkaServer() as broker, fresh_engine(engine) as endpoint:
        console.print(f"{engine}: from event to alert at half the highest rate …")
        return latency.measure(
            endpoint, broker, stream, folder, share=_SHARE, warm_up=sizes.latency_warm_up, events=events
        )


if __name__ == "__main__":
    main()
