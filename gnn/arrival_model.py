"""The model of a payment's arrival as the hot path uses it: trees by LightGBM, a network's head as plain arrays.

What was trained with torch is loaded from the same files without it. Entities' embeddings are those of the last
pass over the graph, which does need torch, and not the hot path's time.
"""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import expit

from gnn.calibration import log_odds
from gnn.models import predicted
from gnn.part import Part, network_file, read_part, trees_file
from gnn.scaling import Scaling
from graph.errors import ConfigurationError

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]


class ArrivalModel:
    """The model in a folder; ``embedding`` is how many numbers it knows an entity by (0: it has no network).

    Raises:
        ConfigurationError: the folder holds none that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.part: Part = read_part(folder)
        self.features = self.part.features
        seeds, known = range(self.part.seeds), self.features.names_at(later=self.part.later)
        try:
            self._columns = np.array([known.index(name) for name in self.part.names], dtype=np.int64)
            self._trees = [lightgbm.Booster(model_file=trees_file(folder, n)) for n in seeds if self.part.names]
            self._heads = [_Head(load_file(network_file(folder, n))) for n in seeds if self.part.shape]
        except (OSError, SafetensorError, lightgbm.basic.LightGBMError, KeyError, ValueError) as error:
            raise ConfigurationError(f"{folder} holds no model that can be read: {error}") from error
        self.embedding = sum(head.strangers.shape[1] for head in self._heads)
        #: By kind, how an entity that no pass has seen is embedded (kinds, embedding).
        self.strangers: Floats = np.hstack([np.zeros((len(self.part.kinds), 0), np.float32)]
                                           + [head.strangers for head in self._heads])  # fmt: skip

    def score(self, features: Floats, named: NDArray[np.bool_], embeddings: Floats) -> Scores:
        """The probability of fraud (n) of payments.

        ``features`` (n, names) are those at arrival, ``named`` (n, kinds) says which entities there are, and
        ``embeddings`` (n, kinds, embedding) what is known of them; those of entities that there are not count not.
        """
        embeddings = np.where(named[:, :, None], embeddings, 0).astype(np.float32)
        told = features[:, self._columns]
        scores = []
        start = 0
        for seed in range(self.part.seeds):
            size = self._heads[seed].strangers.shape[1] if self._heads else 0
            seen = embeddings[:, :, start : start + size]
            start += size
            scores.append(self._score(seed, features, told, named, seen))
        return self.part.calibration(np.mean(scores, axis=0))

    def _score(self, seed: int, features: Floats, told: Floats, named: NDArray[np.bool_], seen: Floats) -> Scores:
        if self.part.contender == "labels":
            return predicted(self._trees[seed], told)
        if self.part.contender == "embeddings":
            return predicted(self._trees[seed], np.hstack([told, seen.reshape(len(seen), -1)]))
        odds = self._heads[seed].odds(features, named, seen)
        if self.part.contender == "blend":
            odds = (odds + log_odds(predicted(self._trees[seed], told))) / 2
        probabilities: Scores = expit(odds)
        return probabilities


class _Head:
    """The judging end of :class:`gnn.network.Network`: three layers, rectified in between."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.strangers = weights["strangers"]
        self._scaling = Scaling(weights["own_scaling.mean"], weights["own_scaling.spread"])
        self._layers = [
            (weights[f"network.head.judge.{n}.weight"].T, weights[f"network.head.judge.{n}.bias"])
            for n in (0, 3, 5)
        ]

    def odds(self, features: Floats, named: NDArray[np.bool_], seen: Floats) -> Scores:
        value = np.hstack([self._scaling(features), seen.reshape(len(seen), -1), named.astype(np.float32)])
        for weight, bias in self._layers[:-1]:
            value = np.maximum(value @ weight + bias, 0)
        weight, bias = self._layers[-1]
        odds: Scores = (value @ weight + bias)[:, 0].astype(np.float64)
        return odds
