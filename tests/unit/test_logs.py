"""Logs: one object per line with every field, and never a card number."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from ringwatch import logs

PAN = "4242424242424242"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The root logger as it was: pytest has handlers of its own there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def configured(style: Literal["auto", "json", "text"] = "json", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    logs.configure("info", style, stream)
    return stream


def last(stream: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return line


def test_extra_fields_of_the_standard_library_appear() -> None:
    stream = configured()
    logging.getLogger("graph.driver").warning("graph_%s", "retry", extra={"attempt": 3, "error": "OSError"})
    line = last(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "graph_retry",
        "level": "warning",
        "logger": "graph.driver",
        "attempt": 3,
        "error": "OSError",
    }


def test_structlog_goes_the_same_way() -> None:
    stream = configured()
    structlog.get_logger("console").info("opened %s", PAN, ring="r1")
    assert (line := last(stream))["event"] == "opened ****"
    assert line["ring"] == "r1"


def test_lower_levels_are_dropped() -> None:
    stream = configured()
    logging.getLogger("x").debug("small")
    structlog.get_logger("x").debug("small")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "value",
    [
        PAN,
        int(PAN),
        float(PAN),
        "4242 4242-4242 4242",
        PAN.encode(),
        {"deep": [(PAN,), {int(PAN)}]},
        {PAN: 1},
        ValueError(PAN),
        Path("files") / PAN,
    ],
    ids=repr,
)
def test_a_card_number_is_masked_wherever_it_hides(style: Literal["json", "text"], value: object) -> None:
    stream = configured(style)
    logging.getLogger("x").info("seen", extra={"value": value})
    text = stream.getvalue()
    assert "seen" in text
    assert "4242424" not in "".join(filter(str.isdigit, text))
    assert "****" in text


def test_a_card_number_in_a_message_or_a_traceback_is_masked() -> None:
    stream = configured()
    try:
        raise ValueError(f"bad card {PAN}")
    except ValueError:
        logging.getLogger("x").exception("refused %s", PAN)
    line = last(stream)
    assert line["event"] == "refused ****"
    assert line["exception"].endswith("ValueError: bad card ****")


def test_a_traceback_shows_no_local_variable() -> None:
    stream = configured("text", Terminal())
    password = "not-for-the-log"
    try:
        raise RuntimeError(f"{len(password)} characters")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    assert "RuntimeError: 15 characters" in stream.getvalue()
    assert "not-for-the-log" not in stream.getvalue()


def test_epoch_times_in_milliseconds_stay() -> None:
    stream = configured()
    logging.getLogger("x").info("seen", extra={"at": 1_700_000_000_000})
    assert last(stream)["at"] == 1_700_000_000_000


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    terminal = configured("auto", Terminal())
    logging.getLogger("x").info("seen", extra={"n": 1})
    assert not terminal.getvalue().startswith("{")
    pipe = configured("auto")
    logging.getLogger("x").info("seen", extra={"n": 1})
    assert last(pipe)["n"] == 1
