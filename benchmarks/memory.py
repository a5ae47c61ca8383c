"""Memory over a long stream: ``python -m benchmarks.memory`` runs ten million simulated payments and draws it.

They take a year, of which the graph keeps ninety days. Payments and labels go from the generator into the pipeline
without a file between, and everything is on. Sampled between batches: what the worker (the generator with it) and
the engine hold. It takes hours: with ``--graph`` it can be ended (SIGTERM, Ctrl-C), and goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from matplotlib.figure import Figure
from rich.console import Console

from benchmarks.engines import embedded
from benchmarks.machine import Machine
from graph.errors import Fenced
from ringwatch import logs
from ringwatch.commands.signals import on_termination
from ringwatch.composition import RunOptions, opened_worker, tokenizer_for
from ringwatch.simulation import Simulation
from ringwatch.simulation.records import Event, Label
from ringwatch.telemetry import Telemetry
from streaming.codec import Codec
from streaming.labels import LabelCodec
from streaming.records import Leaving, Record, Starts
from streaming.sources.labelled import PREFIX, as_label

_SEED = 1
_DAYS = 365
_SAMPLES = 200
_PAYMENTS = "simulation"
_LABELS = PREFIX + _PAYMENTS


class Sample(msgspec.Struct, frozen=True):
    """Resident memory in MiB after so many payments."""

    payments: int
    worker: float
    engine: float


_decode = msgspec.json.Decoder(Sample).decode


class Simulated:
    """A simulation as a source, from where the graph is; what was read once cannot be read again."""

    def __init__(self, transactions: int, labels: LabelCodec, after: Callable[[int], None]) -> None:
        self._happenings = Simulation(transactions, _SEED, days=_DAYS).events_and_labels()
        self._labels = labels
        self._after = after
        self._encode = msgspec.json.Encoder().encode
        self._read = Counter[str]()
        self._ended = False

    def open(self, starts: Starts, leaving: Leaving) -> None:  # noqa: ARG002 - nobody takes it away
        """Claim both partitions, and pass over what was dealt with by a run before this one."""
        begin = starts(self.assigned())
        self._read.update(begin)
        passed = Counter[str]()

        def is_new(happening: Event | Label) -> bool:
            partition = _partition(happening)
            passed[partition] += 1
            return passed[partition] > begin[partition]

        self._happenings = filter(is_new, self._happenings)

    def assigned(self) -> list[str]:
        """Payments, and labels."""
        return [_PAYMENTS, _LABELS]

    def read(self, limit: int, wait_s: float) -> list[Record]:  # noqa: ARG002 - never waits
        """What happens next; the batch before it has been written, and all earlier ones have been dealt with."""
        self._after(self._read[_PAYMENTS])
        records = list(map(self._record, islice(self._happenings, limit)))
        self._ended = len(records) < limit
        return records

    def _record(self, happening: Event | Label) -> Record:
        partition = _partition(happening)
        offset = self._read[partition]
        self._read[partition] += 1
        value = happening if isinstance(happening, Label) else happening.payment
        record = Record(_PAYMENTS, offset, self._encode(value))
        return as_label(record, self._labels) if partition == _LABELS else record

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """Nothing can be read again."""
        raise Fenced(f"{sorted(ranges)} cannot be read again")

    def idle(self, wait_s: float) -> None:
        """Nothing has to be kept alive."""

    def rejoin(self, error: Fenced) -> None:
        """Nobody else reads a simulation."""
        raise error

    def exhausted(self) -> bool:
        """Whether the stream has ended."""
        return self._ended

    def commit(self, ends: Mapping[str, int]) -> None:
        """There is no book-keeping of its own."""

    def lag(self) -> dict[str, int]:
        """Not known."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


def _partition(happening: Event | Label) -> str:
    return _LABELS if isinstance(happening, Label) else _PAYMENTS


def main() -> None:
    """Run, and write the samples and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=10_000_000)
    parser.add_argument("--graph", default="temporary", metavar="FOLDER", help="keep it there, and go on with it")
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    chosen = parser.parse_args()
    logs.configure("error", "text")
    console = Console()
    console.print(Machine.here())
    chosen.out.mkdir(parents=True, exist_ok=True)
    seen = chosen.out / "memory.jsonl"
    with seen.open("wb" if chosen.graph == "temporary" else "ab", buffering=0) as written:
        sample(f"embedded:{chosen.graph}", chosen.transactions, written)
    samples = [_decode(line) for line in seen.read_bytes().splitlines()]
    if not samples:
        return  # ended before there was anything to see
    plot(samples).savefig(chosen.out / "memory.png", dpi=120)
    early, late = samples[len(samples) // 4], samples[-1]
    console.print(
        f"The worker holds {late.worker:,.0f} MiB after {late.payments:,} payments, {early.worker:,.0f} after "
        f"{early.payments:,}: {late.worker / early.worker:.2f} times as much; the engine "
        f"{late.engine / early.engine:.2f} times. Written: {chosen.out / 'memory.png'}"
    )


def sample(graph: str, transactions: int, written: IO[bytes]) -> None:
    """Run a stream on an embedded engine, everything on, and look at memory as it goes; a line for each sample."""
    step = max(1, transactions // _SAMPLES)
    reached: int | None = None

    def look(payments: int) -> None:
        nonlocal reached
        if reached is not None and payments // step > reached:
            engines = sum(_resident_mib(child) for child in _children(os.getpid()))
            found = Sample(payments, _resident_mib(os.getpid()), engines)
            written.write(msgspec.json.encode(found) + b"\n")
        reached = payments // step

    with tempfile.TemporaryDirectory(prefix="ringwatch-memory-") as name, embedded(graph) as endpoint:
        folder = Path(name)
        settings = endpoint.settings()
        labels = LabelCodec(Codec(tokenizer_for(settings)))
        options = RunOptions("simulated", str(folder / "alerts.jsonl"), str(folder / "dead-letters.jsonl"))
        with (
            Telemetry.start("127.0.0.1", None) as telemetry,
            opened_worker(settings, options, telemetry, Simulated(transactions, labels, look)) as worker,
            on_termination(worker.pipeline.stop),
        ):
            worker.pipeline.run()


def plot(samples: list[Sample]) -> Figure:
    """Memory against payments."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    payments = [one.payments for one in samples]
    axes.plot(payments, [one.worker for one in samples], label="worker (with the generator)")
    axes.plot(payments, [one.engine for one in samples], label="graph engine")
    axes.set(xlabel="payments so far", ylabel="resident memory, MiB", title="Memory over the stream")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _children(int(child))


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
