"""Event time: how far a stream has got, whatever the wall clock says."""

from __future__ import annotations

import time
from collections.abc import Callable

#: An event this much ahead of all others (ms) must be borne out by others before it moves the watermark.
_JUMP_MS = 86_400_000
_WITNESSES = 5


class _Partition:
    def __init__(self) -> None:
        self.high: int | None = None
        self.last_read_s = 0.0
        self._ahead: list[int] = []

    def observe(self, event_time: int) -> None:
        if self.high is not None and event_time <= self.high + _JUMP_MS:
            self.high = max(self.high, event_time)
            self._ahead.clear()
            return
        # One clock that runs ahead must not take everyone along; several in a row mean that time went on.
        self._ahead.append(event_time)
        if len(self._ahead) >= _WITNESSES:
            self.high = sorted(self._ahead)[len(self._ahead) // 2]
            self._ahead.clear()


class EventClock:
    """The watermark: the least event time over active partitions, less the lateness allowed.

    A partition that was silent for ``idle_s`` seconds does not hold the others back. ``watermark`` never goes
    back; it is ``None`` until enough events were seen.
    """

    def __init__(
        self, lateness_ms: int, *, idle_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lateness_ms = lateness_ms
        self._idle_s = idle_s
        self._clock = clock
        self._partitions: dict[str, _Partition] = {}
        self.watermark: int | None = None

    def observe(self, partition: str, event_time: int) -> bool:
        """Take note of an event; returns whether it is later than the lateness allowed."""
        state = self._partitions.setdefault(partition, _Partition())
        state.observe(event_time)
        state.last_read_s = self._clock()
        return self.watermark is not None and event_time < self.watermark

    def advance(self) -> int | None:
        """Move the watermark to what the active partitions allow, and return it."""
        now = self._clock()
        highs = [
            state.high
            for state in self._partitions.values()
            if state.high is not None and now - state.last_read_s <= self._idle_s
        ]
        if highs:
            self.restore(min(highs) - self._lateness_ms)
        return self.watermark

    def restore(self, watermark: int | None) -> None:
        """Continue from a watermark that was stored; it never goes back."""
        if watermark is not None:
            self.watermark = watermark if self.watermark is None else max(self.watermark, watermark)

    def reached(self) -> dict[str, int]:
        """The event time that each partition has reached."""
        return {name: state.high for name, state in self._partitions.items() if state.high is not None}
