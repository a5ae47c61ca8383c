"""What was measured, as one table, as JSON and as a plot; and whether it reaches the bars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.comparison import Comparison, Spread
from benchmarks.growth import Growth
from benchmarks.latency import Latency
from benchmarks.machine import Machine

LEAST_OF_CEILING = 0.7
LEAST_OF_NAIVE = 8.0
MOST_GROWTH = 1.25
MOST_P99_MS = 1000.0


class Measured(msgspec.Struct):
    """What one engine showed; what is missing could not be measured on this machine."""

    version: str
    comparison: Comparison
    growth: Growth
    latency: Latency | None = None


class Claim(msgspec.Struct, frozen=True):
    """One bar on one engine: what was measured, what beside it, and whether the bar is reached."""

    engine: str
    claim: str
    measured: str
    beside: str
    bar: str
    met: bool


class Report(msgspec.Struct):
    """A whole run: the machine, each engine, why something is missing, and the claims."""

    machine: Machine
    engines: dict[str, Measured]
    missing: list[str]
    claims: list[Claim] = []

    def __post_init__(self) -> None:
        self.claims = [claim for engine, measured in self.engines.items() for claim in _claims(engine, measured)]


def table(report: Report) -> Table:
    """The claims, for people."""
    shown = Table(title="The hot path", caption="Compare within a row only: absolute times are noise.")
    for column in ("engine", "claim", "measured", "beside it", "bar", ""):
        shown.add_column(column)
    for claim in report.claims:
        verdict = "reached" if claim.met else "[bold red]missed[/]"
        shown.add_row(claim.engine, claim.claim, claim.measured, claim.beside, claim.bar, verdict)
    return shown


def save(report: Report, folder: Path) -> list[Path]:
    """Write ``hot_path.json`` and ``hot_path.png`` into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    data, picture = folder / "hot_path.json", folder / "hot_path.png"
    data.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    _plot(report).savefig(picture, dpi=120)
    return [data, picture]


def _claims(engine: str, measured: Measured) -> Iterator[Claim]:
    comparison, growth, latency = measured.comparison, measured.growth, measured.latency
    rates = f"{comparison.ringwatch.median:,.0f} transactions/s, "
    yield Claim(
        engine,
        "throughput beside bare batched Cypher",
        _spread(comparison.of_ceiling, "{:.2f}"),
        rates + f"ceiling {comparison.ceiling.median:,.0f}",
        f"≥ {LEAST_OF_CEILING}",
        comparison.of_ceiling.median >= LEAST_OF_CEILING,
    )
    yield Claim(
        engine,
        "throughput beside a transaction per event",
        _spread(comparison.of_naive, "{:.1f}"),
        rates + f"naive {comparison.naive.median:,.0f}",
        f"≥ {LEAST_OF_NAIVE:g}",
        comparison.of_naive.median >= LEAST_OF_NAIVE,
    )
    small, large = growth.small, growth.large
    yield Claim(
        engine,
        f"cost with {large.transactions:,} transactions in the graph beside {small.transactions:,}",
        f"{growth.ratio:.2f}",
        f"{large.microseconds.median:,.0f} and {small.microseconds.median:,.0f} µs each; "
        f"the yardstick {growth.yardstick_ratio:.2f}",
        f"≤ {MOST_GROWTH}",
        growth.ratio <= MOST_GROWTH,
    )
    if latency is not None:
        alert, alone = latency.event_to_alert, latency.event_alone
        yield Claim(
            engine,
            f"event to alert at {latency.rate_reached:,.0f} of at most {latency.highest_rate:,.0f} events/s, p99",
            f"{alert.p99_ms:,.0f} ms (p50 {alert.p50_ms:,.0f}, {latency.alerts} alerts)",
            f"the event alone {alone.p99_ms:,.0f} ms (p50 {alone.p50_ms:,.0f})",
            f"< {MOST_P99_MS:,.0f} ms",
            alert.p99_ms < MOST_P99_MS,
        )


def _spread(spread: Spread, form: str) -> str:
    low, middle, high = (form.format(value) for value in (spread.low, spread.median, spread.high))
    return f"{middle} ({low}–{high})"


def _plot(report: Report) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    rates, growth = figure.subplots(1, 2)
    contenders = ("ceiling", "ringwatch", "naive")
    for number, (engine, measured) in enumerate(report.engines.items()):
        spreads: list[Spread] = [getattr(measured.comparison, name) for name in contenders]
        middles = [spread.median for spread in spreads]
        errors = [
            [spread.median - spread.low for spread in spreads],
            [spread.high - spread.median for spread in spreads],
        ]
        places = [place + 0.35 * number for place in range(len(contenders))]
        rates.bar(places, middles, 0.33, yerr=errors, capsize=3, label=f"{engine} {measured.version}")
        growth.plot(*zip(*measured.growth.curve, strict=True), label=engine)
    rates.set_xticks([place + 0.175 for place in range(len(contenders))], contenders)
    rates.set_ylabel("transactions per second (median, quartiles)")
    rates.set_title("the same events, turn by turn")
    rates.legend()
    growth.set_ylim(bottom=0)
    growth.set_xlabel("transactions in the graph")
    growth.set_ylabel("microseconds per transaction")
    growth.set_title("cost as the graph grows")
    growth.legend()
    return figure
