"""What a transaction costs as the graph grows: the pipeline itself fills it, from nothing to the full size.

Beside it, the same arithmetic is given to the engine's server in both windows: if that has become slower, the
machine has, and not the graph.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.comparison import Spread
from benchmarks.stream import BATCH, TimedBatch, run_pipeline
from streaming.records import Record
from tests.services.endpoint import Endpoint

_YARDSTICK = "UNWIND range(1, 200000) AS i RETURN sum(i % 7) AS total"
_CURVE_POINTS = 100


class Window(msgspec.Struct, frozen=True):
    """The batches that ended with ``transactions`` in the graph, and the yardstick between them."""

    transactions: int
    microseconds: Spread
    yardstick_ms: float

    @classmethod
    def of(cls, transactions: int, batches: list[TimedBatch], yardsticks_s: list[float]) -> Window:
        """Of at least one batch and one yardstick."""
        costs = [batch.microseconds_per_transaction for batch in batches]
        return cls(transactions, Spread.of(costs), median(yardsticks_s) * 1e3)


class Growth(msgspec.Struct, frozen=True):
    """Cost per transaction in a small and in a large graph; ``curve`` is (transactions, microseconds each)."""

    small: Window
    large: Window
    curve: list[tuple[int, float]]

    @property
    def ratio(self) -> float:
        """How much more a transaction costs in the large graph."""
        return self.large.microseconds.median / self.small.microseconds.median

    @property
    def yardstick_ratio(self) -> float:
        """How much slower the machine had become."""
        return self.large.yardstick_ms / self.small.yardstick_ms


def grow(
    endpoint: Endpoint, stream: Path, folder: Path, *, transactions: int, window: int, batch: int = BATCH
) -> Growth:
    """Fill a fresh graph with the first ``transactions`` of a stream.

    The windows are the last ``window`` batches up to a tenth of them, and up to all of them.
    """
    ends = (transactions // 10, transactions)
    yardsticks: dict[int, list[float]] = {end: [] for end in ends}
    with endpoint.connect() as graph:

        def measure(done: TimedBatch, _: list[Record]) -> None:
            if (end := _window_of(done, ends, window * batch)) is not None:
                started = time.perf_counter()
                graph.read(_YARDSTICK)
                yardsticks[end].append(time.perf_counter() - started)

        batches = run_pipeline(endpoint, stream, folder, batch=batch, limit=transactions, after=measure)
    small, large = (
        Window.of(end, [done for done in batches if _window_of(done, (end,), window * batch)], yardsticks[end])
        for end in ends
    )
    return Growth(small, large, _curve(batches))


def _window_of(done: TimedBatch, ends: tuple[int, ...], length: int) -> int | None:
    """The end of the window that a batch lies in."""
    return next((end for end in ends if end - length <= done.first < end), None)


def _curve(batches: list[TimedBatch]) -> list[tuple[int, float]]:
    step = max(1, len(batches) // _CURVE_POINTS)
    parts = [batches[start : start + step] for start in range(0, len(batches), step)]
    return [
        (part[-1].first + part[-1].events, median(done.microseconds_per_transaction for done in part))
        for part in parts
    ]
