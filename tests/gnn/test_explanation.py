"""What an explanation names matters more to a score than as much of anything else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.calibration import Calibration
from gnn.dataset import Dataset, own_features
from gnn.explanation import explain, without_entity
from gnn.learning import learn
from gnn.models import Model, Trees, feature_columns
from gnn.network_models import Blend, Net
from gnn.recipe import Recipe
from gnn.storage import Scorer
from gnn.trees import fit_trees
from tests.gnn.histories import DAY_MS, bursts, dataset_of

_DRAWS = 10


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(bursts(6, 1200), tmp_path_factory.mktemp("explained") / "snapshot")


@pytest.fixture(scope="module")
def models(dataset: Dataset) -> dict[str, Model]:
    fraud, rows = dataset.fraud_by(int(dataset.times[-1]) + DAY_MS), np.arange(len(dataset))
    names = (*dataset.features.names, *dataset.features.later_names)
    trees = Trees(fit_trees(feature_columns(dataset, rows, names, later=True), fraud, names, 0), names, later=True)
    net = Net(learn(dataset, fraud, rows, Recipe(epochs=2, hidden=16, embedding=4, fan_out=(6, 2)), 0, later=True))
    return {"labels": trees, "network": net, "blend": Blend(trees, net)}


@pytest.mark.parametrize("contender", ["labels", "network", "blend"])
def test_without_what_is_named_a_score_falls_further_than_without_as_much_at_random(
    contender: str, dataset: Dataset, models: dict[str, Model]
) -> None:
    scorer = Scorer(contender, [models[contender]], Calibration(1, 0))
    chance = random.Random(0)
    rows = _riskiest(dataset, scorer)
    features, entities = [], []
    for row in rows:
        told = explain(dataset, scorer, row, later=True)
        assert told.risk == pytest.approx(float(scorer.score(dataset, np.array([row]))[0]))
        named = {reason.name for reason in told.features}
        assert named
        known = sorted(_known(dataset, row))
        others = (_without(dataset, scorer, row, set(chance.sample(known, len(named)))) for _ in range(_DRAWS))
        features.append((_without(dataset, scorer, row, named), float(np.mean(list(others)))))
        weightiest = told.entities[0]
        left = [kind for kind in dataset.features.kinds if kind != weightiest.name]
        at_random = float(np.mean([_without_kind(dataset, scorer, row, kind) for kind in left]))
        entities.append((weightiest.without, at_random))
    for pairs in (features, entities):
        named_left, random_left = np.mean(np.array(pairs), axis=0)
        assert 1 - named_left > 1.5 * (1 - random_left)


def _riskiest(dataset: Dataset, scorer: Scorer) -> list[int]:
    scores = scorer.score(dataset, np.arange(len(dataset)))
    return [int(row) for row in np.argsort(scores)[-12:]]


def _known(dataset: Dataset, row: int) -> set[str]:
    names = [*dataset.features.names, *dataset.features.later_names]
    own = own_features(dataset, np.array([row]), later=True)[0]
    return {name for name, value in zip(names, own, strict=True) if not np.isnan(value)}


def _without(dataset: Dataset, scorer: Scorer, row: int, left_out: set[str]) -> float:
    names = [*dataset.features.names, *dataset.features.later_names]
    own: NDArray[np.float32] = own_features(dataset, np.array([row]), later=True).copy()
    own[0, [names.index(name) for name in left_out]] = np.nan
    return float(scorer.what_if(dataset, row, own)[0])


def _without_kind(dataset: Dataset, scorer: Scorer, row: int, kind: str) -> float:
    return float(scorer.score(without_entity(dataset, row, kind), np.array([row]))[0])


def test_a_payment_s_own_features_are_those_that_it_is_scored_by(
    dataset: Dataset, models: dict[str, Model]
) -> None:
    for model in models.values():
        for row in (0, len(dataset) // 2):
            own = own_features(dataset, np.array([row]), later=True)
            assert model.what_if(dataset, row, own) == pytest.approx(
                model.score(dataset, np.array([row])), abs=1e-5
            )


def test_an_entity_is_left_out_with_all_that_it_had_to_do_with(dataset: Dataset) -> None:
    kinds = dataset.features.kinds
    row = int(np.flatnonzero((dataset.nodes >= 0).sum(axis=1) > 1)[-1])
    for kind in (kind for column, kind in enumerate(kinds) if dataset.nodes[row, column] >= 0):
        left = without_entity(dataset, row, kind)
        names = dataset.features.names
        about = [
            column
            for column, name in enumerate(names)
            if name.startswith(f"{kind}_") or (name.endswith("_met") and kind in name.split("_"))
        ]
        assert np.isnan(left.arrival[row, about]).all()
        assert not np.isnan(left.arrival[row]).all()
