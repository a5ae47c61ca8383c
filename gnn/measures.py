"""How good scores are: at every threshold, at a fixed alert budget, and as probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from gnn.calibration import Calibration, log_odds

#: Shares of the transactions that analysts can look at.
BUDGETS = (0.01, 0.05)

_RESAMPLES = 200

#: How much flatter or steeper than the scores a curve may be. Where fraud is rare one attack can be most of what
#: there is in the rows that it is fitted to, and scores that are blind to it would all become the same.
_SLOPES = (0.5, 2.0)


class AtBudget(msgspec.Struct, frozen=True):
    """What the highest-scored ``share`` of the transactions holds."""

    share: float
    recall: float
    precision: float


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """How scores do on transactions that were not learned from.

    ``interval`` holds the middle 95 % of the average precision when transactions are drawn anew with replacement.
    """

    transactions: int
    frauds: int
    average_precision: float
    interval: tuple[float, float]
    roc_auc: float
    brier: float
    budgets: list[AtBudget]


#: The columns of a table of measures, beside the model's name.
COLUMNS = ("average precision", "95 %", "ROC-AUC", "Brier", "recall / precision at 1 %", "at 5 %")


def cells(measures: Measures) -> list[str]:
    """Measures as the text of a table's columns."""
    return [
        f"{measures.average_precision:.3f}",
        "{:.3f} – {:.3f}".format(*measures.interval),
        f"{measures.roc_auc:.3f}",
        f"{measures.brier:.4f}",
        *(f"{at.recall:.3f} / {at.precision:.3f}" for at in measures.budgets),
    ]


def measure(fraud: NDArray[np.bool_], scores: NDArray[np.float64], budgets: Sequence[float] = BUDGETS) -> Measures:
    """Measure probabilities (n) against the truth (n), of which there must be both kinds."""
    return Measures(
        transactions=len(fraud),
        frauds=int(fraud.sum()),
        average_precision=float(average_precision_score(fraud, scores)),
        interval=_interval(fraud, scores),
        roc_auc=float(roc_auc_score(fraud, scores)),
        brier=float(brier_score_loss(fraud, scores)),
        budgets=[_at_budget(fraud, scores, share) for share in budgets],
    )


class Bin(msgspec.Struct, frozen=True):
    """Transactions of like probability: how many, what was foretold on average, and the share that was fraud."""

    transactions: int
    foretold: float
    came_true: float


def reliability(fraud: NDArray[np.bool_], scores: NDArray[np.float64], bins: int = 10) -> list[Bin]:
    """Whether probabilities (n) mean what they say: bins of equal width, those that are empty left out."""
    places = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        Bin(int(ours.sum()), float(scores[ours].mean()), float(fraud[ours].mean()))
        for place in range(bins)
        if (ours := places == place).any()
    ]


def _at_budget(fraud: NDArray[np.bool_], scores: NDArray[np.float64], share: float) -> AtBudget:
    opened = max(1, round(share * len(fraud)))
    hits = int(fraud[np.argsort(-scores, kind="stable")[:opened]].sum())
    return AtBudget(share, recall=hits / int(fraud.sum()), precision=hits / opened)


def gain(fraud: NDArray[np.bool_], one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """How much more average precision other scores (n) have than one has: the middle 95 % of the paired bootstrap.

    Transactions are drawn anew with replacement, the same for both.
    """
    return _middle(
        average_precision_score(fraud[sample], other[sample], sample_weight=weights)
        - average_precision_score(fraud[sample], one[sample], sample_weight=weights)
        for sample, weights in _drawn(fraud)
    )


def _interval(fraud: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    return _middle(
        average_precision_score(fraud[sample], scores[sample], sample_weight=weights)
        for sample, weights in _drawn(fraud)
    )


def _middle(values: Iterable[float]) -> tuple[float, float]:
    low, high = np.quantile(list(values), [0.025, 0.975])
    return float(low), float(high)


def _drawn(fraud: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Rows by the bootstrap, with weights: of many transactions the honest majority is thinned, and weighs more.

    It takes transactions for independent; where fraud comes in rings, there is rather more noise.
    """
    rng = np.random.default_rng(0)
    chosen, weight = _thinned(fraud, rng)
    for _ in range(_RESAMPLES):
        sample = rng.choice(chosen, len(chosen))
        if fraud[sample].any():
            yield sample, np.where(fraud[sample], 1.0, weight)


def _thinned(fraud: NDArray[np.bool_], rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    most = 50_000
    honest, accused = np.flatnonzero(~fraud), np.flatnonzero(fraud)
    if len(honest) <= most:
        return np.concatenate([accused, honest]), 1.0
    return np.concatenate([accused, rng.choice(honest, most, replace=False)]), len(honest) / most


def calibrated(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> Calibration:
    """The curve through scores (n) in (0, 1) of rows that the model has not learned from, and the truth (n).

    The likeliest one whose slope is within ``_SLOPES``.
    """
    odds = log_odds(scores)

    def unlikeliness(curve: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        seen = curve[0] * odds + curve[1]
        error = expit(seen) - fraud
        return float(np.sum(np.logaddexp(0, seen) - fraud * seen)), np.array([error @ odds, error.sum()])

    found = minimize(unlikeliness, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=(_SLOPES, (None, None)))
    slope, offset = found.x
    return Calibration(float(slope), float(offset))


def is_kept_steep(curve: Calibration) -> bool:
    """Whether the likeliest curve of all would have been flatter than ``calibrated`` allows."""
    return curve.slope <= _SLOPES[0]
