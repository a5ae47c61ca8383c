"""A simulation as files: ``transactions.jsonl``, ``labels.jsonl``, ``rings.jsonl`` and ``honest.jsonl``."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from graph.errors import ServiceError
from ringwatch.simulation.records import Label, Ring
from ringwatch.simulation.stream import Simulation

_NAMES = ("transactions.jsonl", "labels.jsonl", "rings.jsonl", "honest.jsonl")
_PROGRESS_STEP = 1_000
_BUFFER_BYTES = 1 << 20


def write(simulation: Simulation, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write a simulation into the folder ``out``, made if need be; the files appear together, when all are whole.

    Transactions are in order of arrival, labels in order of the time at which they become known, rings and honest
    look-alikes in order of their start. ``progress`` is told from time to time how many different transactions
    have been written.

    Raises:
        ServiceError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _whole(out, *_NAMES) as (transactions, labels, rings, honest):
            _write_stream(simulation, transactions, labels, progress)
            for group in simulation.truth():
                file = rings if isinstance(group, Ring) else honest
                file.write(msgspec.json.encode(group) + b"\n")
    except OSError as error:
        raise ServiceError(f"cannot write the simulation to {out}: {error.strerror}") from error


def _write_stream(
    simulation: Simulation, transactions: BinaryIO, labels: BinaryIO, progress: Callable[[int], None]
) -> None:
    encode = msgspec.json.Encoder().encode
    written = 0
    for happening in simulation.events_and_labels():
        if isinstance(happening, Label):
            labels.write(encode(happening) + b"\n")
            continue
        transactions.write(encode(happening.payment) + b"\n")
        written += not happening.redelivered
        if written % _PROGRESS_STEP == 0 or written == simulation.transactions:
            progress(written)


@contextlib.contextmanager
def _whole(out: Path, *names: str) -> Iterator[list[BinaryIO]]:
    """Files that take the place of what was there once all of them are written, or leave nothing."""
    with tempfile.TemporaryDirectory(prefix=".simulation-", dir=out) as folder, contextlib.ExitStack() as opened:
        parts = [Path(folder) / name for name in names]
        yield [opened.enter_context(part.open("wb", buffering=_BUFFER_BYTES)) for part in parts]
        opened.close()
        for part in parts:
            part.replace(out / part.name)
