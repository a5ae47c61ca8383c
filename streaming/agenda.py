"""What is to be looked at when: a heap of moments, each ring at most once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Agenda:
    """Ring ids by the earliest moment (event time, ms) after which something may be due."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._at: dict[str, int] = {}

    def put(self, ring_id: str, moment: int) -> None:
        """Look at a ring after ``moment``, unless it is to be looked at before."""
        if moment < self._at.get(ring_id, moment + 1):
            self._at[ring_id] = moment
            heapq.heappush(self._heap, (moment, ring_id))

    def __contains__(self, ring_id: str) -> bool:
        return ring_id in self._at

    def due(self, now: int) -> Iterator[str]:
        """Take off, in order, the rings whose moment lies before ``now``; they may be put back meanwhile."""
        while self._heap and self._heap[0][0] < now:
            moment, ring_id = heapq.heappop(self._heap)
            if self._at.get(ring_id) == moment:
                del self._at[ring_id]
                yield ring_id
