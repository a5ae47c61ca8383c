"""The table of all models on all sets, at both moments, as data and as text."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table
from sklearn.metrics import average_precision_score

from gnn.contenders import CONTENDERS, Field, Outcome, Split, best, compete, probabilities
from gnn.dataset import Dataset, load_dataset
from gnn.measures import COLUMNS, Measures, cells, measure
from gnn.snapshot import write_snapshot
from gnn.training import MOMENTS
from ringwatch.quality.sets import QualitySet

HEAD = ("model", *COLUMNS, "by seed")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the contenders do on one set at one moment; ``best`` was chosen on validation rows, before the test."""

    set: str
    moment: str
    seeds: int
    trained_on: int
    best: str
    by_contender: dict[str, Measures]
    by_seed: dict[str, list[float]]


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``ringwatch report quality`` says; ``versions`` are those of what the figures depend on."""

    machine: str
    versions: dict[str, str]
    standings: list[Standing]


def stand(chosen: QualitySet, data: Path, told: Callable[[str], None]) -> Iterator[Standing]:
    """Both moments of one set; ``told`` hears what is being done."""
    told(f"{chosen.name}: reading")
    transactions, labels = chosen.read(data)
    with tempfile.TemporaryDirectory(prefix="ringwatch-quality-") as folder:
        snapshot = Path(folder) / "snapshot"
        told(f"{chosen.name}: features of {len(transactions):,} transactions")
        write_snapshot(transactions, labels, snapshot, origin=chosen.name)
        dataset, _ = load_dataset(snapshot)
    del transactions, labels
    train, test = chosen.split(dataset.times)
    for moment, later in MOMENTS.items():
        # What was learned from is labelled as of the end: public sets have no complaint that is still to come.
        field = Field(dataset, dataset.fraud_by(_end(dataset)), Split(train, test), chosen.recipe, later)
        outcomes = compete(field, chosen.seeds, lambda name, m=moment: told(f"{chosen.name}, {m}: {name}"))  # type: ignore[misc]
        yield _standing(chosen, moment, field, outcomes)


def _end(dataset: Dataset) -> int:
    return int(np.iinfo(dataset.times.dtype).max) - 1


def _standing(chosen: QualitySet, moment: str, field: Field, outcomes: dict[str, Outcome]) -> Standing:
    tested = field.fraud[field.split.test]
    by_contender, by_seed = {}, {}
    for name, outcome in outcomes.items():
        _, scores = probabilities(field, outcome)
        by_contender[name] = measure(tested, scores)
        by_seed[name] = [float(average_precision_score(tested, one)) for one in outcome.tested]
    return Standing(
        set=chosen.name,
        moment=moment,
        seeds=len(chosen.seeds),
        trained_on=len(field.split.train),
        best=best(field, outcomes),
        by_contender=by_contender,
        by_seed=by_seed,
    )


def quality_report(standings: list[Standing]) -> QualityReport:
    """With what the figures depend on."""
    names = ("torch", "torch-geometric", "lightgbm", "ibis-framework", "duckdb", "numpy", "scikit-learn")
    return QualityReport(
        machine=f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        versions={name: version(name) for name in names},
        standings=standings,
    )


def table(standing: Standing) -> Table:
    """One set at one moment; the promoted contender is marked."""
    any_of_them = next(iter(standing.by_contender.values()))
    shown = Table(
        title=f"{standing.set}, {standing.moment}: {standing.trained_on:,} to learn from, "
        f"{any_of_them.transactions:,} to be measured on, {any_of_them.frauds:,} of them fraud",
        caption="* promoted, by the validation rows",
    )
    for column in HEAD:
        shown.add_column(column, justify="left" if column == "model" else "right")
    for row in rows(standing):
        shown.add_row(*row)
    return shown


def rows(standing: Standing) -> Iterator[list[str]]:
    """The cells of a table, a row for each contender."""
    for name in CONTENDERS:
        seeds = standing.by_seed[name]
        yield [
            f"{name} *" if name == standing.best else name,
            *cells(standing.by_contender[name]),
            f"{min(seeds):.3f} – {max(seeds):.3f}" if len(seeds) > 1 else "–",
        ]


def markdown(report: QualityReport) -> str:
    """The report as a page of Markdown."""
    lines = ["# Quality of learned scores", "", f"{report.machine}; " + ", ".join(
        f"{name} {number}" for name, number in report.versions.items()
    ) + ".", ""]  # fmt: skip
    for standing in report.standings:
        title = str(table(standing).title)
        lines += [f"## {title}", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(row) + " |" for row in rows(standing)]
        lines += ["", "\\* promoted, by the validation rows", ""]
    return "\n".join(lines)
