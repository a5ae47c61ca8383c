"""The command line. Exit codes: 0 done, 1 failed, 2 wrong use or configuration (one clear line)."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer

from graph.errors import ConfigurationError, RingwatchError
from ringwatch.commands import allow, dead_letters, models, report, rings, rules, vertex
from ringwatch.commands.backtest import backtest
from ringwatch.commands.demo import demo
from ringwatch.commands.doctor import doctor
from ringwatch.commands.evaluate import evaluate
from ringwatch.commands.produce import produce
from ringwatch.commands.run import run
from ringwatch.commands.score import score
from ringwatch.commands.simulate import simulate
from ringwatch.commands.snapshot import snapshot
from ringwatch.commands.train import train

app = typer.Typer(
    name="ringwatch",
    help="Finds fraud rings in streams of transactions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.command()(run)
app.command()(score)
app.command()(backtest)
app.command()(produce)
app.command()(simulate)
app.command()(evaluate)
app.command()(snapshot)
app.command()(train)
app.command()(doctor)
app.add_typer(rules.app, name="rules")
app.add_typer(rings.app, name="rings")
app.add_typer(allow.app, name="allow")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(models.app, name="models")
app.add_typer(report.app, name="report")
app.add_typer(vertex.app, name="vertex")


def main() -> None:
    """Run a command; errors that a user can mend end in one line, never in a traceback."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except ConfigurationError as error:
        _fail(error, 2)
    except RingwatchError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        _fail("interrupted", 1)


def _end(number: int, _frame: object) -> NoReturn:
    """Asked to end: by way of whatever cleans up, unlike what a signal does by itself."""
    sys.exit(128 + number)


def _fail(error: object, code: int) -> None:
    sys.stderr.write(f"ringwatch: {error}\n")
    sys.exit(code)
