"""SIGTERM and SIGINT: what is in flight is finished, then the command ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_termination(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` when the process is asked to end."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
