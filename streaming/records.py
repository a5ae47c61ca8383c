"""What a source hands to the pipeline, whatever it reads from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from graph.errors import Fenced


class Position(NamedTuple):
    """A place in an ordered log: which one, and where in it."""

    partition: str
    offset: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One undecoded event and where it stands.

    ``partition`` names an ordered log (``topic/3``, or a file's identity) and ``offset`` its place there, from 0;
    reading again from ``offset + 1`` continues after it. ``value`` is the bytes of one JSON object, the row of a
    columnar source under the source's own column names, a ``Transaction`` where the source had to decode it, a
    ``Label`` always, or a ``BadEvent`` that reading it raised; ``raw`` is then what was there, as far as it may be
    kept.
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


#: Says at which offset to begin, of every partition that arrives.
Starts = Callable[[list[str]], Mapping[str, int]]

#: Is told of partitions that are about to go to another worker.
Leaving = Callable[[list[str]], None]


class Source(Protocol):
    """An ordered, resumable supply of records."""

    def open(self, starts: Starts, leaving: Leaving) -> None:
        """Begin; partitions may arrive and leave now or later, whenever the source is asked for something."""

    def assigned(self) -> list[str]:
        """The partitions that this worker reads now."""

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records, in order within each partition; fewer, or none, after ``wait_s`` seconds."""

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """Exactly the records with offsets in [start, end) of each partition; reading goes on behind them.

        Raises:
            Fenced: a partition was taken away meanwhile.
        """

    def idle(self, wait_s: float) -> None:
        """Let time pass while nothing can be processed, and stay alive to whoever watches."""

    def rejoin(self, error: Fenced) -> None:
        """Give up what another worker has taken over and go on with the rest, or raise ``error``."""

    def exhausted(self) -> bool:
        """Whether a finite source has handed over everything."""

    def commit(self, ends: Mapping[str, int]) -> None:
        """Tell the source's own book-keeping, if it has one, how far this worker has got."""

    def lag(self) -> dict[str, int]:
        """Records between what was read and the end, by partition, where the source knows."""

    def close(self) -> None:
        """Let go of files and connections."""
