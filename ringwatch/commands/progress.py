"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; both on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_PLAIN_EVERY_S = 5.0


@contextmanager
def shown_progress(
    words: Callable[[], str], done: Callable[[], int] = lambda: 0, total: int | None = None
) -> Iterator[None]:
    """Show ``words`` (and, where ``total`` is known, a bar of ``done``) until the block ends."""
    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(words(), total=total)
    ended = threading.Event()

    def show() -> None:
        last, said = time.monotonic(), ""
        while not ended.wait(0.25):
            bar.update(task, description=words(), completed=done())
            due = not console.is_terminal and time.monotonic() - last >= _PLAIN_EVERY_S
            if due and words() != said:
                last, said = time.monotonic(), words()
                sys.stderr.write(said + "\n")

    with bar:
        thread = threading.Thread(target=show, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
