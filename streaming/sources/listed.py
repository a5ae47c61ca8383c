"""Records that are at hand already, as a source: dead letters' originals on their way back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from graph.errors import Fenced
from streaming.records import Leaving, Position, Record, Starts


class ListedSource:
    """One partition of given records, renumbered from 0; each keeps saying where it came from."""

    def __init__(self, records: Sequence[Record], partition: str) -> None:
        self._partition = partition
        self._records = [
            msgspec.structs.replace(
                record,
                partition=partition,
                offset=offset,
                origin=record.origin or Position(record.partition, record.offset),
            )
            for offset, record in enumerate(records)
        ]
        self._next = 0

    def open(self, starts: Starts, leaving: Leaving) -> None:  # noqa: ARG002 - nobody takes them away
        """Begin where ``starts`` says."""
        self._next = starts([self._partition])[self._partition]

    def assigned(self) -> list[str]:
        """The one partition."""
        return [self._partition]

    def read(self, limit: int, wait_s: float) -> list[Record]:  # noqa: ARG002 - nothing is waited for
        """The next records."""
        found = self._records[self._next : self._next + limit]
        self._next += len(found)
        return found

    def read_range(self, ranges: Mapping[str, tuple[int, int]]) -> list[Record]:
        """The records of a range; reading goes on behind it."""
        start, end = ranges[self._partition]
        self._next = end
        return self._records[start:end]

    def idle(self, wait_s: float) -> None:
        """Sleep."""
        time.sleep(wait_s)

    def rejoin(self, error: Fenced) -> None:
        """Nobody else has these records."""
        raise error

    def exhausted(self) -> bool:
        """Whether all were handed over."""
        return self._next >= len(self._records)

    def commit(self, ends: Mapping[str, int]) -> None:
        """Nobody keeps track."""

    def lag(self) -> dict[str, int]:
        """What is left."""
        return {self._partition: len(self._records) - self._next}

    def close(self) -> None:
        """Nothing is held."""
