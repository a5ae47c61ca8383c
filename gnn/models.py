"""Fitted models: whatever their kind, asked for the probability of fraud of rows of a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gnn.calibration import log_odds
from gnn.dataset import Dataset
from gnn.learning import Learned, ask, judge, own_features

Ints = NDArray[np.int64]
Scores = NDArray[np.float64]


class Model(Protocol):
    """A model of one moment."""

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Numbers in (0, 1), the higher the more likely fraud (n)."""

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """The scores (v) of a row were its own features, all that are known at the moment, others (v, names)."""


@dataclass(frozen=True)
class Trees:
    """Boosted trees on the features of these names."""

    booster: lightgbm.Booster
    names: tuple[str, ...]
    later: bool

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probabilities (n)."""
        return _predicted(self.booster, feature_columns(dataset, rows, self.names, later=self.later))

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:  # noqa: ARG002
        """As the protocol says."""
        return _predicted(self.booster, own[:, self.columns(dataset)])

    def columns(self, dataset: Dataset) -> Ints:
        """Which of all features these are."""
        return _columns(dataset, self.names, later=self.later)


@dataclass(frozen=True)
class Net:
    """A network by itself."""

    learned: Learned

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Its probabilities (n), too high by as much as honest rows were thinned in its training."""
        probabilities: Scores = expit(ask(dataset, self.learned, rows)[0])
        return probabilities

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """As the protocol says; entities' embeddings stay."""
        probabilities: Scores = expit(judge(dataset, self.learned, row, own)[0])
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

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """As the protocol says; entities' embeddings stay."""
        embedded = ask(dataset, self.learned, np.array([row]))[1]
        told = own[:, self.trees.columns(dataset)]
        return _predicted(self.trees.booster, np.hstack([told, embedded.repeat(len(own), axis=0)]))


@dataclass(frozen=True)
class Blend:
    """The mean log-odds of trees and a network."""

    trees: Trees
    net: Net

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probability in between (n)."""
        return _between(model.score(dataset, rows) for model in (self.trees, self.net))

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """As the protocol says."""
        return _between(model.what_if(dataset, row, own) for model in (self.trees, self.net))


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
        count = np.nan_to_num(own[:, _columns(dataset, (self.name,), later=self.later)[0]])
        return (count / (count + 1)).astype(np.float64)


def feature_columns(dataset: Dataset, rows: Ints, names: tuple[str, ...], *, later: bool) -> NDArray[np.float32]:
    """The named features of rows (n, names)."""
    return own_features(dataset, rows, later=later)[:, _columns(dataset, names, later=later)]


def _columns(dataset: Dataset, names: tuple[str, ...], *, later: bool) -> Ints:
    known = [*dataset.features.names, *(dataset.features.later_names if later else [])]
    return np.array([known.index(name) for name in names], dtype=np.int64)


def _between(scores: Iterable[Scores]) -> Scores:
    probabilities: Scores = expit(np.mean([log_odds(one) for one in scores], axis=0))
    return probabilities


def _predicted(booster: lightgbm.Booster, features: NDArray[np.float32]) -> Scores:
    return np.asarray(booster.predict(features), dtype=np.float64)
