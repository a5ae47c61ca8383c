"""An evaluation as a whole: as data, and as the tables that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from rich.table import Table

from graph.errors import ConfigurationError
from ringwatch.evaluation.baselines import TransactionModelFigures, component_rings, transaction_model
from ringwatch.evaluation.found import Reported
from ringwatch.evaluation.matching import within_budget
from ringwatch.evaluation.measures import Figures, measure, recall_and_precision, rounded
from ringwatch.evaluation.truth import Truth

#: Columns of a table, as a person reads it: field → (title, format).
Columns = Mapping[str, tuple[str, str]]

#: What is said of true rings, from :class:`RingFigures`.
RING_COLUMNS: Columns = {
    "rings": ("rings", "{:d}"),
    "found": ("found", "{:d}"),
    "recall": ("recall", "{:.2f}"),
    "half_shown": ("half shown", "{:d}"),
    "member_f1": ("member F1", "{:.2f}"),
    "transactions_until_alert": ("transactions until alert", "{:g}"),
    "hours_until_alert": ("hours until alert", "{:.1f}"),
    "money_lost_share": ("money lost until alert", "{:.0%}"),
    "alerts_per_ring": ("alerts per ring", "{:.1f}"),
    "churn": ("id churn", "{:.2f}"),
}

#: What is said of honest look-alikes, from :class:`LookAlikeFigures`.
LOOK_ALIKE_COLUMNS: Columns = {
    "groups": ("groups", "{:d}"),
    "groups_flagged": ("flagged", "{:d}"),
    "transactions": ("transactions", "{:d}"),
    "transactions_flagged": ("flagged", "{:d}"),
    "flagged_share": ("share", "{:.2%}"),
}


class Stream(msgspec.Struct, frozen=True):
    """What was evaluated."""

    transactions: int
    fraudulent: int
    rings: int
    honest_groups: int
    days: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``ringwatch evaluate`` says.

    ``within_budget`` counts what analysts see who open each day's ``budget`` riskiest new rings; ``all_reported``
    counts everything; ``by_budget`` is (recall, precision) for other budgets.
    """

    stream: Stream
    budget: int
    within_budget: Figures
    all_reported: Figures
    by_budget: dict[int, tuple[float, float | None]]
    transaction_model: TransactionModelFigures | None
    connected_components: Figures


def evaluate(truth: Truth, reported: list[Reported], budget: int) -> Report:
    """Measure what was reported, at a daily budget of rings and without one, and the baselines beside it.

    Raises:
        ConfigurationError: what was reported is of another stream.
    """
    if reported and all(truth.times.keys().isdisjoint(one.transactions) for one in reported):
        raise ConfigurationError("the truth knows none of the transactions of these rings: it is another stream's")
    times = truth.times.values()
    sizes = sorted({1, 2, 5, 10, 20, budget})
    return Report(
        stream=Stream(
            transactions=len(truth.payments),
            fraudulent=len(truth.fraud),
            rings=len(truth.rings),
            honest_groups=len(truth.honest),
            days=(max(times) - min(times)) / 86_400_000 if times else 0.0,
        ),
        budget=budget,
        within_budget=measure(truth, within_budget(reported, budget)),
        all_reported=measure(truth, reported),
        by_budget={size: recall_and_precision(truth, within_budget(reported, size)) for size in sizes},
        transaction_model=transaction_model(truth, budget),
        connected_components=measure(truth, within_budget(component_rings(truth), budget)),
    )


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(report)))) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def tables(report: Report) -> Iterator[Table]:
    """The report as tables, the summary first."""
    yield _summary(report)
    figures = report.within_budget
    for title, groups in (
        ("By typology", figures.by_typology),
        ("By ring size", figures.by_size),
        ("By camouflage", figures.by_camouflage),
    ):
        yield _table(title, groups, RING_COLUMNS)
    look_alikes = _table("False alarms by kind of honest look-alike", figures.look_alikes, LOOK_ALIKE_COLUMNS)
    if figures.false_alarm_typologies:
        said_by = ", ".join(f"{name} {count}" for name, count in figures.false_alarm_typologies.items())
        look_alikes.caption = f"{figures.false_alarms} false alarms, by what they said: {said_by}"
    yield look_alikes


def said(value: float | None, form: str) -> str:
    """A figure for a person; one that does not exist is a dash."""
    return "–" if value is None else form.format(value)


def cells(figures: object, columns: Columns) -> list[str]:
    """The figures of one row, in the columns' order."""
    return [said(getattr(figures, name), form) for name, (_, form) in columns.items()]


def _summary(report: Report) -> Table:
    table = Table(title=f"Rings, at {report.budget} opened a day")
    for title in ("", "reported", "precision", *(title for title, _ in RING_COLUMNS.values())):
        table.add_column(title, justify="left" if not title else "right")
    for name, figures in (
        ("Ringwatch", report.within_budget),
        ("Ringwatch, no budget", report.all_reported),
        ("connected components", report.connected_components),
    ):
        of_rings = cells(figures.overall, RING_COLUMNS)
        table.add_row(name, str(figures.reported), said(figures.precision, "{:.2f}"), *of_rings)
    model = report.transaction_model
    if model is not None:
        table.caption = (
            f"A per-transaction model, opening {model.budget} payments a day of the stream's last part: precision "
            f"{model.precision:.2f}, touches {model.ring_recall:.2f} of its rings and shows half or more of "
            f"{model.rings_majority:.2f}; average precision {model.average_precision:.3f}, "
            f"ROC-AUC {model.roc_auc:.3f}"
        )
    return table


def _table(title: str, groups: Mapping[str, object], columns: Columns) -> Table:
    table = Table(title=title)
    table.add_column("")
    for column, _ in columns.values():
        table.add_column(column, justify="right")
    for name, figures in groups.items():
        table.add_row(name, *cells(figures, columns))
    return table
