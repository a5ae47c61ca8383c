"""A simulation as files: ``transactions.jsonl``, ``labels.jsonl``, ``rings.jsonl`` and ``honest.jsonl``."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from graph.errors import ServiceError
from ringwatch.simulation.records import Label, Ring
from ringwatch.simulation.rhythm import rfc3339
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
    outstanding: list[tuple[str, str, Label]] = []
    written = 0
    for event in simulation.events():
        transactions.write(encode(event.payment) + b"\n")
        if event.redelivered:
            continue
        arrived = rfc3339(event.arrived)
        while outstanding and outstanding[0][0] <= arrived:
            labels.write(encode(heapq.heappop(outstanding)[2]) + b"\n")
        if (label := simulation.label(event)) is not None:
            heapq.heappush(outstanding, (label.time, label.transaction_id, label))
        written += 1
        if written % _PROGRESS_STEP == 0 or written == simulation.transactions:
            progress(written)
    while outstanding:
        labels.write(encode(heapq.heappop(outstanding)[2]) + b"\n")


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb", buffering=_BUFFER_BYTES) as file:
        yield file
    part.replace(path)
