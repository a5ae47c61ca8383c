"""Dead letters read again from where they came, once the cause is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Protocol

from graph.errors import ServiceError, Unavailable
from streaming.dead_letters import DeadLetter
from streaming.records import Position, Record


class Originals(Protocol):
    """A source that can be asked for single places."""

    def seek(self, positions: Mapping[str, int]) -> None:
        """Continue each named partition at the given offset."""

    def read(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` records; fewer, or none, after ``wait_s`` seconds."""

    def close(self) -> None:
        """Let go of files and connections."""


def read_originals(
    letters: Iterable[DeadLetter], open_partition: Callable[[str], Originals], wait_s: float = 10.0
) -> Iterator[tuple[DeadLetter, Record | None]]:
    """Each letter, by position, with the event it is about; None if that is there no more.

    ``open_partition`` gives a source that has a partition (:meth:`FileSource.at`, :class:`TopicPlaces`), and
    raises :class:`ServiceError` where it is gone; one is open at a time.

    Raises:
        Unavailable: a source cannot be reached now.
    """
    in_order = sorted(letters, key=lambda letter: letter.position)
    for partition, group in groupby(in_order, key=lambda letter: letter.partition):
        try:
            source = open_partition(partition)
        except Unavailable:
            raise
        except ServiceError:
            yield from ((letter, None) for letter in group)
            continue
        try:
            for letter in group:
                source.seek({partition: letter.offset})
                found = source.read(1, wait_s)
                there = bool(found) and Position(found[0].partition, found[0].offset) == letter.position
                yield letter, found[0] if there else None
        finally:
            source.close()
