"""Why a payment is scored as it is: by how much its score falls without each entity, and without each feature.

Leaving out and asking again (occlusion) needs no access to a model's inside, so that trees, networks and both are
explained in the same way, and what is said can be checked: ``tests/gnn/test_explanation.py`` leaves out everything
that was named, and as much at random.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from gnn.dataset import Dataset, own_features
from gnn.features import pair_feature
from gnn.storage import Scorer

_MOST_FEATURES = 5


class Reason(msgspec.Struct, frozen=True):
    """What a score rests on: a feature and its ``value``, or a kind of entity (1.0), and the score without it."""

    name: str
    value: float
    without: float


class Explanation(msgspec.Struct, frozen=True):
    """A payment's score; the entities and the features without which it falls, the weightiest first."""

    risk: float
    entities: list[Reason]
    features: list[Reason]


def explain(dataset: Dataset, scorer: Scorer, row: int, *, later: bool) -> Explanation:
    """Explain the score of a row. A feature is left out by making it unknown, an entity with all its features."""
    rows = np.array([row])
    own = own_features(dataset, rows, later=later)
    names = dataset.features.names_at(later=later)
    risk = float(scorer.score(dataset, rows)[0])
    known = [column for column in range(len(names)) if not np.isnan(own[0, column])]
    without = np.repeat(own, len(known), axis=0)
    without[np.arange(len(known)), known] = np.nan
    told = scorer.what_if(dataset, row, without) if known else np.zeros(0)
    features = [
        Reason(names[column], float(own[0, column]), float(left)) for column, left in zip(known, told, strict=True)
    ]
    entities = [
        Reason(kind, 1.0, float(scorer.score(without_entity(dataset, row, kind), rows)[0]))
        for column, kind in enumerate(dataset.features.kinds)
        if dataset.nodes[row, column] >= 0
    ]
    return Explanation(risk, _weightiest(risk, entities), _weightiest(risk, features)[:_MOST_FEATURES])


def without_entity(dataset: Dataset, row: int, kind: str) -> Dataset:
    """The dataset as if a row had not named its entity of a kind."""
    features = dataset.features
    nodes, arrival, later = dataset.nodes.copy(), dataset.arrival.copy(), dataset.later.copy()
    nodes[row, features.kinds.index(kind)] = -1
    arrival[row, _of_kind(features.names, kind)] = np.nan
    met = {pair_feature(*pair) for pair in features.pairs if kind in pair}
    arrival[row, [column for column, name in enumerate(features.names) if name in met]] = np.nan
    later[row, _of_kind(features.later_names, f"later_{kind}")] = np.nan
    return replace(dataset, nodes=nodes, arrival=arrival, later=later)


def _of_kind(names: list[str], prefix: str) -> NDArray[np.int64]:
    return np.array([i for i, name in enumerate(names) if name.startswith(f"{prefix}_")], dtype=np.int64)


def _weightiest(risk: float, reasons: list[Reason]) -> list[Reason]:
    return sorted((one for one in reasons if one.without < risk), key=lambda one: one.without)
