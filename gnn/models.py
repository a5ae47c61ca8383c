"""Fitted models: whatever their kind, asked for the probability of fraud of rows of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from gnn.dataset import Dataset
from gnn.learning import Learned, ask, own_features

Ints = NDArray[np.int64]
Scores = NDArray[np.float64]

_SMALLEST = 1e-9


class Model(Protocol):
    """A model of one moment."""

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Numbers in (0, 1), the higher the more likely fraud (n)."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees on the features of these names."""

    booster: lightgbm.Booster
    names: tuple[str, ...]
    later: bool

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probabilities (n)."""
        return _predicted(self.booster, feature_columns(dataset, rows, self.names, later=self.later))


@dataclass(frozen=True)
class Net:
    """A network by itself."""

    learned: Learned

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Its probabilities (n), too high by as much as honest rows were thinned in its training."""
        probabilities: Scores = expit(ask(dataset, self.learned, rows)[0])
        return probabilities


@dataclass(frozen=True)
class TreesOnEmbeddings:
    """Boosted trees on features and on the embeddings of a network."""

    trees: Trees
    learned: Learned

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probabilities (n)."""
        told = feature_columns(dataset, rows, self.trees.names, later=self.trees.later)
        return _predicted(self.trees.booster, np.hstack([told, ask(dataset, self.learned, rows)[1]]))


@dataclass(frozen=True)
class Blend:
    """The mean log-odds of trees and a network."""

    trees: Trees
    net: Net

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probability in between (n)."""
        scores = (model.score(dataset, rows) for model in (self.trees, self.net))
        odds = [logit(np.clip(one, _SMALLEST, 1 - _SMALLEST)) for one in scores]
        probabilities: Scores = expit(np.mean(odds, axis=0))
        return probabilities


@dataclass(frozen=True)
class OneCount:
    """No model at all: a single count, brought into (0, 1) by n / (n + 1), which keeps its order."""

    name: str
    later: bool

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """The count as a number in (0, 1) (n)."""
        count = np.nan_to_num(feature_columns(dataset, rows, (self.name,), later=self.later)[:, 0])
        return (count / (count + 1)).astype(np.float64)


def feature_columns(dataset: Dataset, rows: Ints, names: tuple[str, ...], *, later: bool) -> NDArray[np.float32]:
    """The named features of rows (n, names)."""
    known = [*dataset.features.names, *(dataset.features.later_names if later else [])]
    columns = np.array([known.index(name) for name in names])
    return own_features(dataset, rows, later=later)[:, columns]


def _predicted(booster: lightgbm.Booster, features: NDArray[np.float32]) -> Scores:
    return np.asarray(booster.predict(features), dtype=np.float64)
