"""Champion against challenger: two models on the same transactions, later than what either has learned from.

What counts is recall at the alert budget: of all fraud, the share among the highest-scored 1 %. The noise is that
of the paired bootstrap: transactions are drawn anew with replacement, the same for both. It takes transactions for
independent; where fraud comes in rings, there is rather more of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from gnn.card import Card
from gnn.dataset import load_dataset
from gnn.measures import BUDGETS
from gnn.storage import load
from gnn.training import DAY_MS, FEWEST_FRAUDS, MOMENTS
from gnn.transfer import CARD
from graph.errors import ConfigurationError

BUDGET = BUDGETS[0]

_RESAMPLES = 999


@dataclass(frozen=True)
class Difference:
    """Recall at the budget of both, and the middle 95 % of what the challenger's has over the champion's."""

    champion: float
    challenger: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.challenger:.3f} against {self.champion:.3f} (difference {low:+.3f} to {high:+.3f})"


@dataclass(frozen=True)
class Comparison:
    """How two models did on the transactions after ``since`` (epoch ms), by moment."""

    since: int
    transactions: int
    frauds: int
    differences: dict[str, Difference]

    @property
    def is_won(self) -> bool:
        """Whether the challenger is better beyond the noise at one moment, and at none worse beyond it."""
        intervals = [one.interval for one in self.differences.values()]
        return any(low > 0 for low, _ in intervals) and not any(high < 0 for _, high in intervals)

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since / 1000, tz=UTC)
        told = "; ".join(f"{moment} {difference}" for moment, difference in self.differences.items())
        return (
            f"recall at {BUDGET:.0%} on {self.transactions:,} transactions after {since:%Y-%m-%d}, "
            f"{self.frauds:,} of them fraud: {told}"
        )


def compare(champion: Path, challenger: Path, snapshot: Path) -> Comparison:
    """Measure two models on what a snapshot has that neither has learned from.

    Labels are those known at its end; what is too young for complaints by either's card is left out.

    Raises:
        ConfigurationError: a folder is damaged, the snapshot has other entities than a model knows, or too little
            fraud that is new to both.
    """
    dataset, manifest = load_dataset(snapshot)
    cards = [_card(model) for model in (champion, challenger)]
    for card in cards:
        if (card.snapshot.kinds, card.snapshot.later_ms) != (manifest.kinds, manifest.later_ms):
            raise ConfigurationError(
                f"the models cannot be compared on {snapshot}: it has {', '.join(manifest.kinds)}, "
                f"and one of them knows {', '.join(card.snapshot.kinds)}"
            )
    since = max(card.learned_until for card in cards)
    until = manifest.last - max(card.complaint_days for card in cards) * DAY_MS
    rows = np.flatnonzero((dataset.times > since) & (dataset.times <= until))
    fraud = dataset.fraud_by(manifest.last)[rows]
    if (frauds := int(fraud.sum())) < FEWEST_FRAUDS:
        raise ConfigurationError(
            f"of {len(rows):,} transactions that are new to both models {frauds} are known to be fraud; "
            f"{FEWEST_FRAUDS} are needed"
        )
    differences = {}
    for moment in MOMENTS:
        scores = [load(model / moment).score(dataset, rows) for model in (champion, challenger)]
        differences[moment] = difference(fraud, *scores)
    return Comparison(since, len(rows), frauds, differences)


def difference(
    fraud: NDArray[np.bool_], champion: NDArray[np.float64], challenger: NDArray[np.float64]
) -> Difference:
    """Compare scores (n) of the same transactions, of which some must be fraud."""

    def gained(rows: NDArray[np.int64]) -> float:
        if not fraud[rows].any():
            return 0.0
        return _recall(fraud[rows], challenger[rows]) - _recall(fraud[rows], champion[rows])

    drawn = bootstrap(
        (np.arange(len(fraud)),),
        gained,
        n_resamples=_RESAMPLES,
        batch=1,  # all at once would take as many copies of the history
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = drawn.confidence_interval
    return Difference(_recall(fraud, champion), _recall(fraud, challenger), (float(low), float(high)))


def _recall(fraud: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    opened = max(1, round(BUDGET * len(fraud)))
    return float(fraud[np.argpartition(-scores, opened - 1)[:opened]].sum() / fraud.sum())


def _card(model: Path) -> Card:
    try:
        return msgspec.json.decode((model / CARD).read_bytes(), type=Card)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{model} has no card that can be read: {error}") from error
