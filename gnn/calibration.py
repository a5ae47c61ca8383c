"""Scores as probabilities: a logistic curve through what is known of other rows (Platt, 1999)."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

_SMALLEST = 1e-6


class Calibration(msgspec.Struct, frozen=True):
    """``expit(slope * logit(score) + offset)``; the order of scores stays as it is."""

    slope: float
    offset: float

    @classmethod
    def of(cls, scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> Calibration:
        """Fit to scores (n) in (0, 1) of rows that the model has not learned from, and the truth (n)."""
        curve = LogisticRegression(C=1e6).fit(_odds(scores)[:, None], fraud)
        # A slope of zero or less would turn the order over: then the scores say nothing, and stay.
        slope = float(curve.coef_[0, 0])
        return cls(slope, float(curve.intercept_[0])) if slope > 0 else cls(1.0, 0.0)

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (n)."""
        probabilities: NDArray[np.float64] = expit(self.slope * _odds(scores) + self.offset)
        return probabilities


def _odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    odds: NDArray[np.float64] = logit(np.clip(scores, _SMALLEST, 1 - _SMALLEST))
    return odds
