"""Scores as probabilities: a logistic curve through what is known of other rows (Platt, 1999).

:func:`gnn.measures.calibrated` fits it.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

_SMALLEST = 1e-6


class Calibration(msgspec.Struct, frozen=True):
    """``expit(slope * logit(score) + offset)``; the order of scores stays as it is."""

    slope: float
    offset: float

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (n)."""
        probabilities: NDArray[np.float64] = expit(self.slope * log_odds(scores) + self.offset)
        return probabilities


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of scores (n) in [0, 1], kept off both ends."""
    odds: NDArray[np.float64] = logit(np.clip(scores, _SMALLEST, 1 - _SMALLEST))
    return odds
