"""A model's card: what it learned from, what it was measured on and beside what, and what not to use it for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from gnn.calibration import Calibration
from gnn.contenders import CONTENDERS
from gnn.manifest import Manifest
from gnn.measures import COLUMNS, Bin, Measures, cells, is_kept_steep

_BLUE, _GREY = "#2f6f9f", "#9aa7b4"


class MomentCard(msgspec.Struct, frozen=True, kw_only=True):
    """One moment: how all contenders did on the measured rows, and the promoted one's curve and reliability.

    Cards of before the curve was kept have none.
    """

    promoted: str
    calibration: Calibration | None = None
    contenders: dict[str, Measures]
    reliability: list[Bin]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be known of a model. ``learned_until`` and ``measured_from`` are epoch ms.

    ``known_in_time`` is the share of the fraud to learn from that was known within ``complaint_days``; cards of
    before it was counted have none.
    """

    snapshot: Manifest
    snapshot_digest: str
    complaint_days: int
    learned_until: int
    measured_from: int
    known_in_time: float | None = None
    moments: dict[str, MomentCard]


def write_card(card: Card, folder: Path) -> None:
    """Write ``card.json``, ``card.md`` and the plots that it shows."""
    (folder / "card.json").write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    for moment, told in card.moments.items():
        _reliability(moment, told).savefig(folder / f"reliability-{moment}.png", dpi=110)
        _precision(moment, told).savefig(folder / f"contenders-{moment}.png", dpi=110)
    (folder / "card.md").write_text("\n".join(_lines(card)) + "\n", encoding="utf-8")


def _lines(card: Card) -> Iterator[str]:
    snapshot = card.snapshot
    yield from (
        "# Model card",
        "",
        "Probability that a card payment is fraud, from what the entities that it names did before.",
        "",
        "## Data",
        "",
        f"- Snapshot of `{snapshot.origin}`, digest `{card.snapshot_digest}`: {snapshot.transactions:,} "
        f"transactions from {_day(snapshot.first)} to {_day(snapshot.last)}, {snapshot.frauds:,} called fraud.",
        f"- Entities: {', '.join(snapshot.kinds)}.",
        f"- Learned from transactions until {_day(card.learned_until)}, with the labels known on "
        f"{_day(card.measured_from)}; measured on those from {_day(card.measured_from)} on, with the labels known "
        "at the end.",
        f"- Complaints are given {card.complaint_days} days: what is younger is neither learned from nor measured "
        "on. What nobody complained of by then counts as honest, and so does what was cleared later.",
        *_known_in_time(card),
        "- Honest transactions are thinned in the network's training, anew in each epoch; probabilities are put "
        "right afterwards by a logistic curve through validation rows.",
        "",
    )
    for moment, told in card.moments.items():
        yield from _moment_lines(moment, told, card)
    yield from (
        "## Limits",
        "",
        "- Fraud by entities that were never seen, alone, looks like everybody's first payment.",
        "- Windows reach back a year at most; what is older is forgotten.",
        "- A score is a reason to look, not to refuse: nothing here was tested for fairness between groups.",
    )


def _known_in_time(card: Card) -> Iterator[str]:
    if card.known_in_time is not None:
        yield (
            f"- Of the transactions to learn from that were ever called fraud, {card.known_in_time:.0%} were "
            f"known within {card.complaint_days} days."
        )


def _moment_lines(moment: str, told: MomentCard, card: Card) -> Iterator[str]:
    when = "At arrival" if moment == "arrival" else f"At a pass {card.snapshot.later_ms // 60_000} minutes later"
    any_of_them = next(iter(told.contenders.values()))
    yield from (
        f"## {when}",
        "",
        f"Promoted on validation rows: **{told.promoted}**. On {any_of_them.transactions:,} measured "
        f"transactions, {any_of_them.frauds:,} of them fraud:",
        "",
        f"| model | what it is | {' | '.join(COLUMNS)} |",
        "|" + "---|" * (2 + len(COLUMNS)),
    )
    for name, one in told.contenders.items():
        yield f"| {name} | {CONTENDERS[name]} | {' | '.join(cells(one))} |"
    if told.calibration is not None:
        yield from ("", _curve(told.calibration))
    yield from (
        "",
        f"![what was foretold and what came true](reliability-{moment}.png)",
        f"![all contenders](contenders-{moment}.png)",
        "",
    )


def _curve(calibration: Calibration) -> str:
    curve = f"The curve that makes probabilities of the promoted one's scores has slope {calibration.slope:.2f}"
    limit = ", its limit: the order of scores is to be relied on, not that they are probabilities"
    return f"{curve}{limit if is_kept_steep(calibration) else ''}."


def _reliability(moment: str, told: MomentCard) -> Figure:
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color=_GREY)
    axes.plot(
        [one.foretold for one in told.reliability], [one.came_true for one in told.reliability], "o-", color=_BLUE
    )
    axes.set(xlabel="foretold", ylabel="came true", title=f"{told.promoted}, {moment}", xlim=(0, 1), ylim=(0, 1))
    return figure


def _precision(moment: str, told: MomentCard) -> Figure:
    names = list(told.contenders)
    figure = Figure(figsize=(7, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    values = [told.contenders[name].average_precision for name in names]
    low = [value - told.contenders[name].interval[0] for name, value in zip(names, values, strict=True)]
    high = [told.contenders[name].interval[1] - value for name, value in zip(names, values, strict=True)]
    colours = [_BLUE if name == told.promoted else _GREY for name in names]
    axes.barh(names, values, xerr=[[max(0.0, one) for one in low], [max(0.0, one) for one in high]], color=colours)
    axes.invert_yaxis()
    axes.set(xlabel="average precision, with 95 % intervals", title=f"All contenders, {moment}", xlim=(0, 1))
    return figure


def _day(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, tz=UTC).strftime("%Y-%m-%d")
