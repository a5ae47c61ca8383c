"""Files in the order of event time (``--sort``), in memory where that is enough and otherwise on disk.

A row must be decoded to know its time, so what is sorted, and what goes to disk, are decoded and tokenised
events: no clear card number is ever in a temporary file. Those files have no name, and so are gone with the
process, however it ends.
"""

from __future__ import annotations

import heapq
import struct
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

import msgspec

from graph.errors import BadEvent, ServiceError
from graph.events import Event, time_of
from streaming.dead_letters import kept_bytes
from streaming.records import Position, Record
from streaming.sources.files import FileSource

ROWS_IN_MEMORY = 100_000  # about 60 MB
_RUNS_AT_ONCE = 64  # open files per level
_ROWS_PER_STEP = 1000


class EventCodec(Protocol):
    """What decodes rows; two codecs that read rows alike have the same ``fingerprint``."""

    @property
    def fingerprint(self) -> str: ...  # noqa: D102 - see above

    def decode(self, value: Any) -> Event:
        """The event, or ``BadEvent``."""


class SortedSource(FileSource):
    """A file source whose files are each sorted by event time; ties, and rows that are bad, keep their place.

    The partitions are others than those of the same files unsorted, and their offsets count sorted rows. The
    records' values are events, or what was wrong, and ``origin`` says where in the file they stand.
    """

    def __init__(
        self, address: str, codec: EventCodec, columns: Collection[str] = (), rows_in_memory: int = ROWS_IN_MEMORY
    ) -> None:
        super().__init__(address, columns)
        self._codec = codec
        self._rows_in_memory = rows_in_memory
        self._origins = {f"{partition}|sorted|{codec.fingerprint}": partition for partition in self._paths}
        self._next = dict.fromkeys(self._origins, 0)
        self._unread = list(self._origins)
        self._sorting: tuple[str, Iterator[Record], Sorter] | None = None

    def scan(self, partition: str, start: int = 0) -> Iterator[Record]:
        """One partition's records in the order of event time, from a place in that order on."""
        sorter = Sorter(self._codec, self._rows_in_memory)
        for record in super().scan(self._origins[partition]):
            sorter.add(record)
        return islice(sorter.records(partition), start, None)

    def _prepare(self, partition: str, start: int, wait_s: float) -> Iterator[Record] | None:
        if self._sorting is None or self._sorting[0] != partition:
            rows = super().scan(self._origins[partition])
            self._sorting = partition, rows, Sorter(self._codec, self._rows_in_memory)
        _, rows, sorter = self._sorting
        deadline_s = time.monotonic() + wait_s
        while records := list(islice(rows, _ROWS_PER_STEP)):
            for record in records:
                sorter.add(record)
            if time.monotonic() > deadline_s:
                return None
        self._sorting = None
        return islice(sorter.records(partition), start, None)

    def close(self) -> None:
        """Close the files, the temporary ones too."""
        super().close()
        self._sorting = None


class _Sorted(msgspec.Struct, array_like=True, gc=False):
    """A row as it goes to disk: an event, or why there is none; and its place in the file."""

    origin: tuple[str, int]
    event: Event | None
    reason: str = ""
    message: str = ""
    secret: bool = False
    raw: bytes | None = None


class _Keyed(NamedTuple):
    time: int
    number: int  # tells rows of the same time apart, so that ``row`` is never compared
    row: bytes


class Sorter:
    """Sorts records by event time; holds at most ``rows_in_memory`` rows and writes the others to disk."""

    def __init__(self, codec: EventCodec, rows_in_memory: int) -> None:
        self._codec = codec
        self._rows_in_memory = rows_in_memory
        self._encode = msgspec.msgpack.Encoder().encode
        self._count = 0
        self._time = 0
        self._rows: list[_Keyed] = []
        self._levels: list[list[BinaryIO]] = []

    def add(self, record: Record) -> None:
        """Decode a record and take it in; a bad one stands right after the row before it."""
        origin = (record.partition, record.offset)
        try:
            event = self._codec.decode(record.value)
            self._time = time_of(event)
            row = _Sorted(origin, event)
        except BadEvent as error:
            kept = kept_bytes(record, error)
            row = _Sorted(origin, None, error.reason, str(error), error.secret, kept)
        self._rows.append(_Keyed(self._time, self._count, self._encode(row)))
        self._count += 1
        if len(self._rows) >= self._rows_in_memory:
            self._rows.sort()
            self._spill(self._rows, 0)
            self._rows = []

    def records(self, partition: str) -> Iterator[Record]:
        """Everything that was taken in, in order, as records of ``partition``."""
        self._rows.sort()
        decode = msgspec.msgpack.Decoder(_Sorted).decode
        runs = map(_read_run, chain.from_iterable(self._levels))
        for offset, keyed in enumerate(heapq.merge(self._rows, *runs)):
            row = decode(keyed.row)
            value: Event | BadEvent
            value = row.event or BadEvent(row.reason, row.message, secret=row.secret)
            yield Record(partition, offset, value, raw=row.raw, origin=Position(*row.origin))

    def _spill(self, rows: Iterable[_Keyed], level: int) -> None:
        """Write a sorted run; when there are many of its size, merge them into a larger one."""
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(_write_run(rows))
        if len(runs) == _RUNS_AT_ONCE:
            self._spill(heapq.merge(*map(_read_run, runs)), level + 1)
            runs.clear()


_HEAD = struct.Struct("<qqI")


def _write_run(rows: Iterable[_Keyed]) -> BinaryIO:
    try:
        file = cast(BinaryIO, tempfile.TemporaryFile(prefix="ringwatch-sort-"))  # noqa: SIM115 - outlives this call
        for keyed in rows:
            file.write(_HEAD.pack(keyed.time, keyed.number, len(keyed.row)))
            file.write(keyed.row)
        file.flush()
    except OSError as error:
        raise ServiceError(
            f"no room to sort in {tempfile.gettempdir()} ({error.strerror}): set TMPDIR to a larger disk"
        ) from error
    return file


def _read_run(file: BinaryIO) -> Iterator[_Keyed]:
    file.seek(0)
    while head := file.read(_HEAD.size):
        time_ms, number, length = _HEAD.unpack(head)
        yield _Keyed(time_ms, number, file.read(length))
