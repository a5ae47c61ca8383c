"""Where commands print: a terminal as wide as it is; elsewhere wide enough that no id is folded."""

from __future__ import annotations

import sys

from rich.console import Console

_ELSEWHERE = 200


def wide_console() -> Console:
    """A console on standard output; what people wrote is printed as it is, brackets too."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _ELSEWHERE)
