"""The rows of a Parquet file, a slice of it at a time.

Parquet is read from its end, so a gzipped one is unpacked in memory, never into a file: it may hold clear card
numbers.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from graph.errors import BadEvent, ConfigurationError
from streaming.sources.rows import Unreadable

if TYPE_CHECKING:
    from streaming.sources.rows import Row

_ROWS_AT_ONCE = 4096
_LARGEST_UNPACKED_BYTES = 1 << 30


def column_names(path: Path) -> list[str]:
    """The names of the file's columns, at the top level."""
    with _open(path) as file:
        return list(file.schema_arrow.names)


def read_parquet(path: Path, start: int = 0) -> Iterator[Row]:
    """The file's rows from number ``start`` on, as our codec reads them: times as datetimes in UTC."""
    with _open(path) as file:
        batches = file.iter_batches(_ROWS_AT_ONCE)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (pa.ArrowException, OSError):
                yield Unreadable(BadEvent("corrupt_input", "the file is damaged from here on"))
                return
            skipped = min(start, batch.num_rows)
            start -= skipped
            yield from read_batch(batch.slice(skipped))


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(_unpack(path) if path.name.lower().endswith(".gz") else path)
    except (pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigurationError(f"{path} is not a whole Parquet file") from error


def _unpack(path: Path) -> io.BytesIO:
    with gzip.open(path) as file:
        data = file.read(_LARGEST_UNPACKED_BYTES + 1)
    if len(data) > _LARGEST_UNPACKED_BYTES:
        raise ConfigurationError(f"{path} is too large to be unpacked in memory: gunzip it first")
    return io.BytesIO(data)


def read_batch(batch: Any) -> Iterator[Row]:
    """The rows of a record batch."""
    names = batch.schema.names
    columns = [_read_column(column) for column in batch.columns]
    for cells in zip(*columns, strict=True):
        if any(isinstance(cell, BadEvent) for cell in cells):
            yield Unreadable(next(cell for cell in cells if isinstance(cell, BadEvent)))
        else:
            yield dict(zip(names, cells, strict=True))


def _read_column(column: Any) -> list[Any]:
    kind = _readable(column.type)
    try:
        values: list[Any] = column.cast(kind, safe=False).to_pylist()
    except (ValueError, OverflowError):  # one value that Python cannot hold spoils none but its own row
        values = [_read_value(value, kind) for value in column]
    return values


def _readable(kind: Any) -> Any:
    """Dates, and the nanoseconds that Python's datetimes lack, as microseconds; whatever zone, as UTC."""
    if pa.types.is_date(kind):
        return pa.timestamp("us")
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, kind.tz and "UTC")
    return kind


def _read_value(value: Any, kind: Any) -> Any:
    try:
        return value.cast(kind, safe=False).as_py()
    except (ValueError, OverflowError):
        return BadEvent("bad_value", "a value is beyond what a date or a text can be")
