"""Fitted models: whatever their kind, asked for the probability of fraud of rows of a dataset.

Those with a network are in :mod:`gnn.network_models`, since these here need no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray

from gnn.dataset import Dataset, own_features

Ints = NDArray[np.int64]
Scores = NDArray[np.float64]


class Model(Protocol):
    """A model of one moment."""

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Numbers in (0, 1), the higher the more likely fraud (n)."""

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """The scores (v) of a row were its own features, all that are known at the moment, others (v, names)."""

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:
        """How it knows entities (r) of kinds (r) at a moment, epoch ms (r, embedding)."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees on the features of these names."""

    booster: lightgbm.Booster
    names: tuple[str, ...]
    later: bool

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probabilities (n)."""
        return predicted(self.booster, feature_columns(dataset, rows, self.names, later=self.later))

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:  # noqa: ARG002
        """As the protocol says."""
        return predicted(self.booster, own[:, self.columns(dataset)])

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Not at all: features say it all (r, 0)."""
        return np.zeros((len(nodes), 0), dtype=np.float32)

    def columns(self, dataset: Dataset) -> Ints:
        """Which of all features these are."""
        return columns_of(dataset, self.names, later=self.later)


@dataclass(frozen=True)
class OneCount:
    """No model at all: a single count, brought into (0, 1) by n / (n + 1), which keeps its order."""

    name: str
    later: bool

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """The count as a number in (0, 1) (n)."""
        count = np.nan_to_num(feature_columns(dataset, rows, (self.name,), later=self.later)[:, 0])
        return (count / (count + 1)).astype(np.float64)

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:  # noqa: ARG002
        """As the protocol says."""
        count = np.nan_to_num(own[:, columns_of(dataset, (self.name,), later=self.later)[0]])
        return (count / (count + 1)).astype(np.float64)

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Not at all (r, 0)."""
        return np.zeros((len(nodes), 0), dtype=np.float32)


def feature_columns(dataset: Dataset, rows: Ints, names: tuple[str, ...], *, later: bool) -> NDArray[np.float32]:
    """The named features of rows (n, names)."""
    return own_features(dataset, rows, later=later)[:, columns_of(dataset, names, later=later)]


def columns_of(dataset: Dataset, names: tuple[str, ...], *, later: bool) -> Ints:
    """Which of all features that are known at a moment these are (names)."""
    known = dataset.features.names_at(later=later)
    return np.array([known.index(name) for name in names], dtype=np.int64)


def predicted(booster: lightgbm.Booster, features: NDArray[np.float32]) -> Scores:
    """What trees say of features (n, names)."""
    return np.asarray(booster.predict(features), dtype=np.float64)
