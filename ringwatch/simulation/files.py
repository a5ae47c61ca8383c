"""A simulation as files: ``transactions.jsonl``, ``labels.jsonl``, ``rings.jsonl`` and ``honest.jsonl``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from graph.errors import ServiceError
from ringwatch.simulation.records import Label, Ring
from ringwatch.simulation.stream import Simulation

_PROGRESS_STEP = 1_000
_BUFFER_BYTES = 1 << 20


def write(simulation: Simulation, out: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write a simulation into the folder ``out``, made if need be; each file appears when it is whole.

    Transactions are in order of arrival, labels in order of the time at which they become known, rings and honest
    look-alikes in order of their start. ``progress`` is told from time to time how many different transactions
    have been written.

    Raises:
        ServiceError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _whole(out / "transactions.jsonl") as transactions, _whole(out / "labels.jsonl") as labels:
            _write_stream(simulation, transactions, labels, progress)
        with _whole(out / "rings.jsonl") as rings, _whole(out / "honest.jsonl") as honest:
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
def _whole(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb", buffering=_BUFFER_BYTES) as file:
        yield file
    part.replace(path)
