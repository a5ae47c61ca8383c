"""The events: a simulated stream in a file, read by the real pipeline, whose batches are timed from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from graph.events import Transaction
from ringwatch.composition import RunOptions, opened_worker
from ringwatch.simulation import Simulation
from ringwatch.telemetry import Telemetry
from streaming.records import Record
from streaming.sources.files import FileSource
from tests.services.endpoint import Endpoint

BATCH = 2_000

_IDENTIFIERS = (
    "transaction_id",
    "card",
    "merchant",
    "account",
    "counterparty",
    "device",
    "ip",
    "email",
    "phone",
    "shipping_address",
    "billing_address",
)


class TimedBatch(msgspec.Struct, frozen=True):
    """A batch that the pipeline has dealt with: where it began in the stream, how many events, and how long."""

    first: int
    events: int
    seconds: float

    @property
    def microseconds_per_transaction(self) -> float:
        """What a transaction cost."""
        return self.seconds / self.events * 1e6


def simulated(folder: Path, transactions: int, seed: int, fraud_rate: float = 0.003) -> Path:
    """A file of simulated transactions, each once: the contenders know no redelivery."""
    folder.mkdir(parents=True, exist_ok=True)
    path, encode = folder / "transactions.jsonl", msgspec.json.Encoder().encode
    with path.open("wb") as file:
        for event in Simulation(transactions, seed, fraud_rate=fraud_rate).events():
            if not event.redelivered:
                file.write(encode(event.payment) + b"\n")
    return path


def apart(transaction: Transaction, prefix: str) -> Transaction:
    """The same event about other entities, so that contenders share a graph and meet nothing of each other's."""
    return msgspec.structs.replace(
        transaction,
        **{name: prefix + value for name in _IDENTIFIERS if (value := getattr(transaction, name)) is not None},
    )


def run_pipeline(
    endpoint: Endpoint,
    stream: Path,
    folder: Path,
    *,
    batch: int = BATCH,
    limit: int | None = None,
    after: Callable[[TimedBatch, list[Record]], None] = lambda *_: None,
) -> list[TimedBatch]:
    """Run the real thing over the first ``limit`` events of a file, every rule on, alerts to a file.

    A batch's time is everything between two batches: reading, decoding, writing, rules, rings, alerts, checkpoints
    and chores. ``after`` is called between batches, off the clock.
    """
    options = RunOptions(str(stream), str(folder / "alerts.jsonl"), str(folder / "dead-letters.jsonl"))
    source = _Timed(options.source, after, limit)
    settings = endpoint.settings(stream={"batch_size": batch})
    with (
        Telemetry.start("127.0.0.1", None) as telemetry,
        opened_worker(settings, options, telemetry, source) as worker,
    ):
        worker.pipeline.run()
    return source.batches


class _Timed(FileSource):
    """A file whose reader is known to be done with a batch when it asks for the next."""

    def __init__(self, address: str, after: Callable[[TimedBatch, list[Record]], None], limit: int | None) -> None:
        super().__init__(address)
        self._after = after
        self._limit = limit
        self._read = 0
        self._records: list[Record] = []
        self._started = 0.0
        self.batches: list[TimedBatch] = []

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """The next batch, once the one before has been accounted for."""
        if self._records:
            seconds = time.perf_counter() - self._started
            done = TimedBatch(self._read - len(self._records), len(self._records), seconds)
            self.batches.append(done)
            self._after(done, self._records)
        self._started = time.perf_counter()
        left = limit if self._limit is None else min(limit, self._limit - self._read)
        self._records = super().read(left, wait_s) if left else []
        self._read += len(self._records)
        return self._records

    def exhausted(self) -> bool:
        """Whether as many events as were asked for have been handed over."""
        return self._read == self._limit or super().exhausted()
