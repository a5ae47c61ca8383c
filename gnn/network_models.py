"""Fitted models with a network in them; see :mod:`gnn.models`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gnn.calibration import log_odds
from gnn.dataset import Dataset
from gnn.learning import Learned, ask, embed, judge
from gnn.models import Ints, Scores, Trees, feature_columns, predicted


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
        probabilities: Scores = expit(judge(dataset, self.learned, row, own))
        return probabilities

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:
        """As the protocol says."""
        return embed(dataset, self.learned, nodes, kinds, moment)


@dataclass(frozen=True)
class TreesOnEmbeddings:
    """Boosted trees on features and on the embeddings of a network."""

    trees: Trees
    learned: Learned

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """Their probabilities (n)."""
        told = feature_columns(dataset, rows, self.trees.names, later=self.trees.later)
        return predicted(self.trees.booster, np.hstack([told, ask(dataset, self.learned, rows)[1]]))

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """As the protocol says; entities' embeddings stay."""
        embedded = ask(dataset, self.learned, np.array([row]))[1]
        told = own[:, self.trees.columns(dataset)]
        return predicted(self.trees.booster, np.hstack([told, embedded.repeat(len(own), axis=0)]))

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:
        """As the protocol says."""
        return embed(dataset, self.learned, nodes, kinds, moment)


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

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:
        """As the protocol says."""
        return self.net.embed(dataset, nodes, kinds, moment)


def _between(scores: Iterable[Scores]) -> Scores:
    probabilities: Scores = expit(np.mean([log_odds(one) for one in scores], axis=0))
    return probabilities
