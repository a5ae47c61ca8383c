"""Features as networks take them: squashed, scaled by what was seen in training, and without gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A spread below this is none.
_CONSTANT = 1e-6
_FARTHEST = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """Sign and logarithm, then the mean and spread (names) of the training rows; a gap becomes the mean."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: Floats) -> Scaling:
        """From training rows (n, names)."""
        squashed = _squash(features)
        known = np.maximum((~np.isnan(squashed)).sum(axis=0), 1)
        mean = np.nansum(squashed, axis=0) / known
        spread = np.sqrt(np.nansum((squashed - mean) ** 2, axis=0) / known)
        return cls(mean.astype(np.float32), np.where(spread > _CONSTANT, spread, 1).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """(n, names) to (n, names), most within (-3, 3) and none farther than 10."""
        scaled = (_squash(features) - self.mean) / self.spread
        clipped: Floats = np.clip(np.nan_to_num(scaled), -_FARTHEST, _FARTHEST)
        return clipped


def _squash(features: Floats) -> Floats:
    return np.sign(features) * np.log1p(np.abs(features))
