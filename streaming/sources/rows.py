"""The rows of one file, in constant memory: JSON lines and CSV, plain or gzipped (Parquet is ``columns``).

A row that cannot be read is :class:`Unreadable`, and the next one follows; an input that ends too early gives
the good rows before, and then one such row. This module refuses to look into values: that is the codec's work.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from graph.errors import BadEvent, ConfigurationError
from streaming.card_numbers import mask
from streaming.codec import LARGEST_EVENT_BYTES
from streaming.secret_fields import is_secret_name

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: What may part cells; spreadsheets write semicolons where the comma is decimal.
_DELIMITERS = (",", ";", "\t", "|")


class Unreadable(NamedTuple):
    """A row that could not be read, why, and its bytes where they are at hand and may be kept."""

    error: BadEvent
    raw: bytes | None = None


Row = bytes | dict[str, Any] | Unreadable


def file_format(path: Path) -> str:
    """``jsonl``, ``csv`` or ``parquet``, by the file's name.

    Raises:
        ConfigurationError: the name says nothing of the kind.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    match suffix:
        case ".jsonl" | ".ndjson":
            return "jsonl"
        case ".csv" | ".parquet":
            return suffix[1:]
    raise ConfigurationError(
        f"{path}: expected .jsonl, .ndjson, .csv or .parquet, each optionally followed by .gz"
    )


def read_rows(path: Path, start: int = 0) -> Iterator[Row]:
    """The file's rows from number ``start`` on, counted from 0 without header and blank lines."""
    match file_format(path):
        case "jsonl":
            rows = _read_json_lines(path)
        case "csv":
            rows = _read_csv(path)
        case _:
            from streaming.sources.columns import read_parquet  # pyarrow takes long to import

            return read_parquet(path, start)
    return islice(rows, start, None)


def check_columns(path: Path, expected: Collection[str]) -> None:
    """Make sure that a file with column names has the expected ones (JSON lines have none to check).

    Raises:
        ConfigurationError: it has not; the message lists those that it has.
    """
    match file_format(path):
        case "jsonl":
            return
        case "csv":
            with _open(path) as file:
                try:
                    names = _read_header(_csv_rows(_TextLines(_Lines(file))))
                except (BadEvent, csv.Error, StopIteration):
                    return  # reading the rows will say what is wrong
        case _:
            from streaming.sources.columns import column_names  # pyarrow takes long to import

            names = column_names(path)
    if missing := sorted(set(expected) - set(names)):
        raise ConfigurationError(
            f"{path.name} has no column {', '.join(map(repr, missing))}; it has {mask(', '.join(names))}"
        )


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb"))


def _read_json_lines(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        lines = _Lines(file)
        while True:
            try:
                line = next(lines).strip()
            except StopIteration:
                return
            except BadEvent as error:
                yield Unreadable(error)
            else:
                if line:
                    yield line


def _read_csv(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        lines = _TextLines(_Lines(file))
        try:
            rows = _csv_rows(lines)
            header = _read_header(rows)
        except StopIteration:
            return
        except BadEvent as error:
            yield Unreadable(error)
            return
        except csv.Error:
            yield Unreadable(BadEvent("broken_row", "the quotes of the header do not match"))
            return
        secret = any(map(is_secret_name, header))
        while True:
            lines.valid = True
            try:
                cells = next(rows)
            except StopIteration:
                return
            except BadEvent as error:
                yield Unreadable(error)
            except csv.Error:
                yield Unreadable(BadEvent("broken_row", "the quotes of the row do not match"))
            else:
                if lines.valid and len(cells) == len(header):
                    yield dict(zip(header, cells, strict=True))
                elif cells:
                    yield _broken_row(cells, len(header), valid=lines.valid, secret=secret)


def _csv_rows(lines: Iterator[str]) -> Iterator[list[str]]:
    """Header and rows, parted by whatever there is most of in the header."""
    header = next(line for line in lines if line.strip())  # blank lines are no rows
    return csv.reader(chain([header], lines), delimiter=max(_DELIMITERS, key=header.count), strict=True)


def _read_header(rows: Iterator[list[str]]) -> list[str]:
    names = (name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in next(rows))
    return [name.strip() for name in names]


def _broken_row(cells: list[str], expected: int, *, valid: bool, secret: bool) -> Unreadable:
    """A row that does not fit its header; cells without names may be secrets where a column is one."""
    if valid:
        error = BadEvent("broken_row", f"the row has {len(cells)} cells, the header {expected}", secret=secret)
    else:
        error = BadEvent("not_utf8", "the row is not valid UTF-8", secret=secret)
    return Unreadable(error, None if secret else ",".join(cells).encode("utf-8", "surrogateescape"))


class _Lines:
    """The lines of a file, line ends included; raises BadEvent for a bad one, and goes on with the next."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            line = self._file.readline(LARGEST_EVENT_BYTES + 1)
            if len(line) <= LARGEST_EVENT_BYTES:
                if line:
                    return line
                raise StopIteration
            while line and not line.endswith(b"\n"):
                line = self._file.readline(LARGEST_EVENT_BYTES)
        except EOFError:
            self._ended = True
            raise BadEvent("truncated_input", "the compressed file ends too early") from None
        except (zlib.error, gzip.BadGzipFile):
            self._ended = True
            raise BadEvent("corrupt_input", "the compressed file is damaged from here on") from None
        raise BadEvent("too_large", f"the line is longer than {LARGEST_EVENT_BYTES} bytes")


class _TextLines:
    """Lines as text; ``valid`` turns false at one that is not UTF-8, and stays so until it is set again."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._first = True
        self.valid = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if self._first:
            self._first = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.valid = False
            return line.decode("utf-8", "surrogateescape")
