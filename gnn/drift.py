"""How far what a model is asked about has moved from what it was trained on: the population stability index.

PSI = sum over bins of (now - then) * ln(now / then), as credit scoring has it (Siddiqi, "Credit Risk Scorecards",
2006): below 0.1 nothing has moved, above 0.25 a model should be looked at. Bins are the tenths of what the model
was measured on, and one for what does not apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.errors import ConfigurationError

_FILE = "baseline.json"

Floats = NDArray[np.floating[Any]]

_TENTHS = np.linspace(0, 1, 11)[1:-1]
#: A bin that nothing fell into counts as half a case: its logarithm would be infinite.
_HALF = 0.5


class Profile(msgspec.Struct, frozen=True):
    """How values were spread: the inner ``edges`` of bins, and the ``shares`` in them, gaps (NaN) last."""

    edges: list[float]
    shares: list[float]

    @classmethod
    def of(cls, values: Floats) -> Profile:
        """The profile of values (n)."""
        known = values[~np.isnan(values)]
        edges = np.unique(np.quantile(known.astype(np.float64), _TENTHS)) if len(known) else np.zeros(0)
        return cls(edges.tolist(), _shares(values, edges).tolist())

    def stability(self, values: Floats) -> float:
        """The index of values (n) against this."""
        then, now = np.array(self.shares), _shares(values, np.array(self.edges))
        return float(np.sum((now - then) * np.log(now / then)))


class Baseline(msgspec.Struct, frozen=True):
    """What a model was measured on: the profile of its scores, and of each feature by name."""

    scores: Profile
    features: dict[str, Profile]

    def write(self, folder: Path) -> None:
        """Into a model's folder."""
        (folder / _FILE).write_bytes(msgspec.json.encode(self))

    @classmethod
    def of(cls, scores: Floats, features: Floats, names: Sequence[str]) -> Baseline:
        """From scores (n) and features (n, names)."""
        return cls(Profile.of(scores), {name: Profile.of(features[:, i]) for i, name in enumerate(names)})

    def stability(self, scores: Floats, features: Floats, names: Sequence[str]) -> dict[str, float]:
        """By name, and for ``score``: the index of scores (n) and features (n, names) against this."""
        found = {"score": self.scores.stability(scores)}
        for column, name in enumerate(names):
            if name in self.features:
                found[name] = self.features[name].stability(features[:, column])
        return found


def read_baseline(folder: Path) -> Baseline:
    """The baseline in a model's folder.

    Raises:
        ConfigurationError: there is none, or it is damaged.
    """
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Baseline)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{folder} does not say what its model was measured on: {error}") from error


def _shares(values: Floats, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1).astype(float)
    counts = np.append(counts, len(values) - len(known))
    shares: NDArray[np.float64] = np.maximum(counts, _HALF) / max(len(values), 1)
    return shares
