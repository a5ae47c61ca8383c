"""Logs on standard error: readable on a terminal, elsewhere one JSON object per line.

Everything goes through here, the standard library's loggers (with their ``extra``) and structlog's alike, and
nothing leaves with a card number in it: long runs of digits are masked in every value, tracebacks included.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor

from streaming.card_numbers import MASK, mask

#: An epoch time in milliseconds has 13 digits; a number longer than that may be a card's.
_LARGEST_NUMBER = 10**13


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["auto", "json", "text"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log record of ``level`` and above to ``stream`` (standard error), and nowhere else."""
    stream = stream or sys.stderr
    on_terminal = stream.isatty()
    renderer: Processor
    if style == "text" or (style == "auto" and on_terminal):
        renderer = structlog.dev.ConsoleRenderer(colors=on_terminal)
    else:
        renderer = structlog.processors.JSONRenderer()
    shared: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # As plain text: a renderer's own tracebacks show local variables, and those may be secrets.
                structlog.processors.format_exc_info,
                mask_card_numbers,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def mask_card_numbers(_: Any, __: str, event: EventDict) -> EventDict:
    """The same event with everything in it that may be a card number hidden."""
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int() | float():
            return MASK if abs(value) >= _LARGEST_NUMBER else value
        case str():
            return mask(value)
        case Mapping():
            return {mask(str(key)): _masked(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(item) for item in value]
        case _:
            return mask(str(value))
