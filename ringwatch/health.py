"""Whether this process should be restarted, and whether it works: two questions with two answers.

A worker that waits for a graph that is away is alive but not ready; restarting it would help nobody. A worker
whose loop stands still without a reason is neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Health:
    """What the main loop says of itself, read by other threads.

    The loop calls :meth:`beat` each time that it comes round. A loop that is silent for longer than ``patience_s``
    seconds counts as stuck, unless it said why it waits. ``clock`` gives seconds that never go back.
    """

    def __init__(self, patience_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._last_beat = clock()
        self._waiting: str | None = "starting"

    def beat(self) -> None:
        """Say that the loop came round and works: whatever was waited for is there."""
        self._last_beat = self._clock()
        self._waiting = None

    def wait(self, reason: str) -> None:
        """Say what the loop waits for; until the next beat it is alive, however long that takes, but not ready."""
        self._waiting = reason

    def stuck(self) -> str | None:
        """Why the process should be restarted, or ``None`` while it is alive."""
        silent_s = self._clock() - self._last_beat
        if self._waiting is not None or silent_s <= self._patience_s:
            return None
        return f"no progress for {silent_s:.0f} s"

    def unready(self) -> str | None:
        """What keeps the process from its work, or ``None`` while it is ready."""
        return self._waiting or self.stuck()
