"""Files as a source: a path or a glob, read one after another in the order of their names.

Each file is a partition whose name says which content is meant: its path, its size and a hash of its head. A
file that was cut, replaced or appended to is therefore another partition and is read from its start; what was
in it before is known by its transaction ids. An offset is a row's number, from 0.
"""

from __future__ import annotations

import glob
import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from graph.errors import ConfigurationError, Fenced, ServiceError
from streaming.records import Leaving, Record, Starts
from streaming.sources.rows import Unreadable, check_columns, file_format, read_rows

_HEAD_BYTES = 64 * 1024


class FileSource:
    """The rows of ``.jsonl``, ``.ndjson``, ``.csv`` and ``.parquet`` files, each optionally ``.gz``.

    ``columns`` are names that every CSV and Parquet file must have.

    Raises:
        ConfigurationError: nothing matches, a file's kind is unknown, or it lacks a column.
    """

    def __init__(self, address: str, columns: Collection[str] = ()) -> None:
        self._paths: dict[str, Path] = {}
        for path in _find(address):
            try:
                check_columns(path, columns)
                self._paths[_identify(path)] = path
            except OSError as error:
                raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error
        self._next = dict.fromkeys(self._paths, 0)
        self._unread = list(self._paths)
        self._rows: Iterator[Record] | None = None  # of the first unread partition, from its next row on
        self._starts: Starts = lambda names: dict.fromkeys(names, 0)

    @classmethod
    def at(cls, partition: str) -> FileSource:
        """The source that has this partition, to read some of it again.

        Raises:
            ServiceError: the file is gone or has changed since, so that its offsets mean other rows.
        """
        path = partition.removeprefix("file:").rsplit("|", 2)[0]
        try:
            source = cls(path)
        except ConfigurationError as error:
            raise ServiceError(f"{path} cannot be read again: {error}") from error
        if partition not in source.assigned():
            raise ServiceError(f"{path} has changed since it was read")
        return source

    def open(self, starts: Starts, leaving: Leaving) -> None:  # noqa: ARG002 - nobody takes a file away
        """Begin each file where ``starts`` says."""
        self._starts = starts
        self.seek(starts(self.assigned()))

    def assigned(self) -> list[str]:
        """The partitions, in the order in which they are read."""
        return list(self._next)

    def seek(self, positions: Mapping[str, int]) -> None:
        """Continue each named partition at the given row; those of other files are ignored."""
        for partition, offset in positions.items():
            if partition not in self._next:
                continue
            ahead = offset - self._next[partition]
            if self._rows is not None and partition == self._unread[0] and ahead >= 0:
                next(islice(self._rows, ahead, ahead), None)
            else:
                self._rows = None
            self._next[partition] = offset
            self._unread = [each for each in self._next if each == partition or each in self._unread]

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records, all of one file; none while a file is prepared, or when all were read."""
        while self._unread:
            partition = self._unread[0]
            with _reading(partition):
                if self._rows is None:
                    self._rows = self._prepare(partition, self._next[partition], wait_s)
                if self._rows is None:
                    return []
                if records := list(islice(self._rows, limit)):
                    self._next[partition] = records[-1].offset + 1
                    return records
            self._rows = None
            del self._unread[0]
        return []

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """Exactly the records with offsets in [start, end) of each partition; reading goes on behind them."""
        records: list[Record] = []
        for partition, (start, end) in ranges.items():
            self.seek({partition: start})
            with _reading(partition):
                rows = self.scan(partition, start)
                records += islice(rows, end - start)
            self.seek({partition: end})
            self._rows = rows if partition == self._unread[0] else None
        return records

    def scan(self, partition: str, start: int = 0) -> Iterator[Record]:
        """One partition's records from a row on, whatever has been read otherwise."""
        for offset, row in enumerate(read_rows(self._paths[partition], start), start):
            if isinstance(row, Unreadable):
                yield Record(partition, offset, row.error, raw=row.raw)
            else:
                yield Record(partition, offset, row)

    def _prepare(self, partition: str, start: int, wait_s: float) -> Iterator[Record] | None:  # noqa: ARG002
        """What :meth:`scan` gives, or None if that takes longer than ``wait_s``: then ask again."""
        return self.scan(partition, start)

    def idle(self, wait_s: float) -> None:
        """Sleep: a file waits for its reader."""
        time.sleep(wait_s)

    def rejoin(self, error: Fenced) -> None:
        """Begin again where ``starts`` says: something else was lost that is read beside these files.

        Raises:
            Fenced: ``error``, where it is about one of them. Files are not shared out: another worker that reads
                them too is a mistake.
        """
        if error.partition in self._next:
            raise error
        self.seek(self._starts(self.assigned()))

    def exhausted(self) -> bool:
        """Whether every row of every file was handed over."""
        return not self._unread

    def commit(self, ends: Mapping[str, int]) -> None:
        """A file keeps no books."""

    def lag(self) -> dict[str, int]:
        """A file does not say how many rows it has before it was read."""
        return {}

    def close(self) -> None:
        """Close the file that is being read."""
        self._rows = None


@contextmanager
def _reading(partition: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceError(f"cannot read {partition}: {error.strerror or error}") from error


def _find(address: str) -> list[Path]:
    literal = Path(address)
    names = [address] if literal.is_file() else sorted(glob.glob(address, recursive=True))  # noqa: PTH207
    paths = [path for path in map(Path, names) if path.is_file()]
    if not paths:
        raise ConfigurationError(f"there is no file {address}")
    for path in paths:
        file_format(path)
    return paths


def _identify(path: Path) -> str:
    with path.open("rb") as file:
        head = hashlib.blake2b(file.read(_HEAD_BYTES), digest_size=8).hexdigest()
    return f"file:{path.resolve()}|{path.stat().st_size}|{head}"
