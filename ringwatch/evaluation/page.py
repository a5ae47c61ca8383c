"""The evaluation as one self-contained page with plots."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from graph.errors import ConfigurationError
from ringwatch.evaluation.measures import Figures, RingFigures
from ringwatch.evaluation.report import LOOK_ALIKE_COLUMNS, RING_COLUMNS, Columns, Report, cells, said

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; margin: 1rem 0 2rem } caption { text-align: left; font-weight: 600 }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #d5dde5; text-align: right }
th:first-child, td:first-child { text-align: left } img { max-width: 100% }
"""
_BLUE, _ORANGE, _GREY = "#2f6f9f", "#d9822b", "#9aa7b4"


def write_page(report: Report, path: Path) -> None:
    """Write the page.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    figures, stream = report.within_budget, report.stream
    parts = [
        f"<h1>Ringwatch, evaluated</h1><p>{stream.transactions:,} transactions over {stream.days:.0f} days, "
        f"{stream.fraudulent:,} of them fraudulent, in {stream.rings:,} rings. Analysts open the {report.budget} "
        "riskiest new rings of each day.</p>",
        _table("Rings", _contenders(report), RING_COLUMNS),
        _image(_by_budget(report)),
        _image(_recall(figures)),
        _table("By typology", figures.by_typology, RING_COLUMNS),
        _table("By ring size", figures.by_size, RING_COLUMNS),
        _table("By camouflage", figures.by_camouflage, RING_COLUMNS),
        _image(_look_alikes(figures)),
        _table("False alarms by kind of honest look-alike", figures.look_alikes, LOOK_ALIKE_COLUMNS),
        _model(report),
    ]
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Ringwatch, evaluated</title>"
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _contenders(report: Report) -> dict[str, RingFigures]:
    contenders = {
        "Ringwatch": report.within_budget,
        "Ringwatch, no budget": report.all_reported,
        "connected components": report.connected_components,
    }
    return {
        f"{name} (precision {said(figures.precision, '{:.2f}')})": figures.overall
        for name, figures in contenders.items()
    }


def _table(title: str, groups: Mapping[str, object], columns: Columns) -> str:
    head = "".join(f"<th>{column}" for column, _ in columns.values())
    rows = "".join(
        f"<tr><td>{html.escape(name)}" + "".join(f"<td>{cell}" for cell in cells(one, columns))
        for name, one in groups.items()
    )
    return f"<table><caption>{title}</caption><tr><th>{head}{rows}</table>"


def _model(report: Report) -> str:
    model = report.transaction_model
    if model is None:
        return "<p>The stream has too few known frauds to train a per-transaction model on.</p>"
    return (
        f"<p>A gradient-boosted model that sees single transactions, trained on the first {model.trained_on:,} "
        f"with the {model.known_fraud:,} frauds known by then, opens {model.budget} payments a day of the last "
        f"{model.tested_on:,}: precision {model.precision:.2f}; it touches {model.ring_recall:.2f} of the rings "
        f"active then, and shows half or more of {model.rings_majority:.2f}. Average precision "
        f"{model.average_precision:.3f}, ROC-AUC {model.roc_auc:.3f}.</p>"
    )


def _by_budget(report: Report) -> Figure:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    budgets = list(report.by_budget)
    axes.plot(budgets, [report.by_budget[size][0] for size in budgets], "o-", color=_BLUE, label="ring recall")
    precision = [report.by_budget[size][1] for size in budgets]
    axes.plot(budgets, [float("nan") if one is None else one for one in precision], "s--", color=_ORANGE,
              label="ring precision")  # fmt: skip
    axes.set(xlabel="rings opened a day", ylim=(0, 1.02), title="What a daily budget buys")
    axes.legend()
    return figure


def _recall(figures: Figures) -> Figure:
    names = list(figures.by_typology)
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, [figures.by_typology[name].rings for name in names], color=_GREY, label="rings")
    axes.barh(names, [figures.by_typology[name].found for name in names], color=_BLUE, label="found")
    axes.invert_yaxis()
    axes.set(title="Rings found, by typology")
    axes.legend()
    return figure


def _look_alikes(figures: Figures) -> Figure:
    names = list(figures.look_alikes)
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, [100 * figures.look_alikes[name].flagged_share for name in names], color=_ORANGE)
    axes.axvline(1.0, color=_GREY, linestyle="--")
    axes.invert_yaxis()
    axes.set(xlabel="% of its transactions in a false alarm", title="Honest look-alikes taken for fraud")
    return figure


def _image(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return f'<p><img alt="" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'
