"""Ringwatch beside the ceiling and the naive way: the same events, the same graph, turn by turn.

The contenders take turns batch by batch in one graph, each about entities of its own, so that whatever else the
machine does falls on all of them. The first turns warm the engine up and are not counted.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import msgspec

from benchmarks import ceiling, naive
from benchmarks.stream import BATCH, TimedBatch, apart, run_pipeline
from ringwatch.composition import tokenizer_for
from streaming.codec import Codec
from streaming.records import Record
from tests.services.endpoint import Endpoint


class Turn(msgspec.Struct, frozen=True):
    """Transactions per second of each contender over one batch's events (of the naive way: over its first few)."""

    ringwatch: float
    ceiling: float
    naive: float


class Spread(msgspec.Struct, frozen=True):
    """A median between the quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of at least one value."""
        low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return cls(low, median(values), high)


class Comparison(msgspec.Struct, frozen=True):
    """Rates in transactions per second; ratios are taken turn by turn."""

    turns: int
    ringwatch: Spread
    ceiling: Spread
    naive: Spread
    of_ceiling: Spread
    of_naive: Spread

    @classmethod
    def of(cls, turns: list[Turn]) -> Comparison:
        """What the turns say together."""
        return cls(
            len(turns),
            Spread.of([turn.ringwatch for turn in turns]),
            Spread.of([turn.ceiling for turn in turns]),
            Spread.of([turn.naive for turn in turns]),
            Spread.of([turn.ringwatch / turn.ceiling for turn in turns]),
            Spread.of([turn.ringwatch / turn.naive for turn in turns]),
        )


def compare(
    endpoint: Endpoint,
    stream: Path,
    folder: Path,
    *,
    warm_up: int,
    turns: int,
    naive_events: int,
    batch: int = BATCH,
) -> Comparison:
    """Let the contenders take turns on a fresh graph.

    Ringwatch's time runs from the file's bytes to the alerts' file; that of the others is the database's alone,
    for events that were decoded and rows that were made beforehand.
    """
    found: list[Turn] = []
    codec = Codec(tokenizer_for(endpoint.settings()))
    with ExitStack() as stack:
        graph = stack.enter_context(endpoint.connect())

        def take_turn(done: TimedBatch, records: list[Record]) -> None:
            events = [codec.decode(record.value) for record in records]
            rows = ceiling.statements([apart(event, "ceiling-") for event in events])
            alone = [apart(event, "naive-") for event in events[:naive_events]]
            started = time.perf_counter()
            ceiling.write(graph, rows)
            batched = time.perf_counter()
            for event in alone:
                naive.write(graph, event)
            one_by_one = time.perf_counter() - batched
            turn = Turn(done.events / done.seconds, len(events) / (batched - started), len(alone) / one_by_one)
            found.append(turn)

        run_pipeline(endpoint, stream, folder, batch=batch, limit=(warm_up + turns) * batch, after=take_turn)
    return Comparison.of(found[warm_up:])
