"""``ringwatch score``: learned scores for what has changed in the graph."""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from graph.errors import ConfigurationError
from ringwatch import logs
from ringwatch.commands.options import ConfigFile, GraphAddress, Models
from ringwatch.commands.run import write_report
from ringwatch.commands.signals import on_termination
from ringwatch.settings import load
from ringwatch.telemetry import Telemetry

_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_LONGEST_S = 86_400


def score(
    graph: GraphAddress = None,
    models: Models = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Pass over the graph again and again: 60s, 5m, 1h.")
    ] = None,
    config: ConfigFile = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
) -> None:
    """Score what has changed since the last pass, write risks to the graph, and make rings of what is risky."""
    if importlib.util.find_spec("lightgbm") is None:
        raise ConfigurationError("score needs what `pip install 'ringwatch[scores]'` brings")
    from ringwatch.scoring import opened_scoring  # only now: these need more than the rest

    settings = load(config, {"graph.address": graph, "scores.models": models})
    logs.configure(settings.log.level, settings.log.format)
    if settings.scores.models is None:
        raise ConfigurationError("--models (or scores.models in the settings) says where models are registered")
    pause_s = None if every is None else _seconds(every)
    stop = threading.Event()
    with (
        Telemetry.start(settings.telemetry.host, None if every is None else settings.telemetry.port) as telemetry,
        opened_scoring(settings, settings.scores.models, telemetry.metrics) as scoring,
        on_termination(stop.set),
    ):
        if pause_s is None:
            done = scoring.once()
            if scoring.promoted.trouble is not None:
                raise scoring.promoted.trouble
            sys.stderr.write(f"{done.in_words()}\n")
            if report is not None:
                write_report(report, done._asdict())
            return
        while not stop.is_set():
            begun = time.monotonic()
            scoring.try_once()
            telemetry.health.beat()
            stop.wait(max(0.0, pause_s - (time.monotonic() - begun)))


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d{0,4})([smh])", text)
    if match is None or (seconds := int(match[1]) * _UNITS_S[match[2]]) > _LONGEST_S:
        raise ConfigurationError(
            f"--every is a number of seconds, minutes or hours like 60s, 5m or 1h, up to a day, not {text!r}"
        )
    return seconds
