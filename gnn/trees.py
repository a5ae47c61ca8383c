"""Gradient-boosted trees (LightGBM): the models that a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_ROUNDS = 300
#: Shallow trees and a strong penalty: most fraud of a kind that nothing foretells is noise to be left alone.
_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 7,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def fit_trees(features: Floats, fraud: NDArray[np.bool_], names: Sequence[str], seed: int) -> lightgbm.Booster:
    """Trees on (n, names) features; NaN is a value of its own."""
    learned = lightgbm.Dataset(features, fraud.astype(np.int8), feature_name=list(names), free_raw_data=True)
    return lightgbm.train({**_PARAMETERS, "seed": seed}, learned, _ROUNDS)
