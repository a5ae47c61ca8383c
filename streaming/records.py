"""What a source hands to the pipeline, whatever it reads from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec


class Position(NamedTuple):
    """A place in an ordered log: which one, and where in it."""

    partition: str
    offset: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One undecoded event and where it stands.

    ``partition`` names an ordered log (``topic/3``, or a file's identity) and ``offset`` its place there, from 0;
    reading again from ``offset + 1`` continues after it. ``value`` is the bytes of one JSON object, the row of a
    columnar source under the source's own column names, a ``Transaction`` where the source had to decode it, or
    a ``BadEvent`` that reading it raised; ``raw`` is then what was there, as far as it may be kept.
    ``time`` is when the log received it (epoch ms), where the log knows. ``origin`` is where the event can be
    read again, where that is not ``partition`` and ``offset`` (a sorted file's rows stand elsewhere in the file).
    """

    partition: str
    offset: int
    value: Any
    time: int | None = None
    raw: bytes | None = None
    origin: Position | None = None


class Batch(msgspec.Struct, frozen=True):
    """A micro-batch, and for every partition in it the offset at which the next one begins."""

    records: list[Record]
    ends: dict[str, int]


class Source(Protocol):
    """An ordered, resumable supply of records."""

    def assigned(self) -> list[str]:
        """The partitions that this worker reads now."""

    def seek(self, positions: dict[str, int]) -> None:
        """Continue each named partition at the given offset."""

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records, in order within each partition; fewer, or none, after ``wait_s`` seconds."""

    def exhausted(self) -> bool:
        """Whether a finite source has handed over everything."""

    def close(self) -> None:
        """Let go of files and connections."""
