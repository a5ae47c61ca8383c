"""The hot path's model says what the trained one says, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.arrival_model import ArrivalModel
from gnn.arrivals import ArrivalScorer
from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.learning import Learned, ask, learn
from gnn.models import Model, Trees, feature_columns
from gnn.network_models import Blend, Net, TreesOnEmbeddings
from gnn.network_storage import save
from gnn.recipe import Recipe
from gnn.storage import Scorer, load
from gnn.trees import fit_trees
from graph.errors import ConfigurationError, Unavailable
from graph.events import Entity
from tests.gnn.histories import bursts, dataset_of

_RECIPE = Recipe(epochs=1, hidden=12, embedding=5, fan_out=(4, 2))
_SEEDS = (0, 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(bursts(5, 800), tmp_path_factory.mktemp("arrival") / "snapshot")


@pytest.fixture(scope="module")
def fitted(dataset: Dataset) -> list[tuple[Trees, TreesOnEmbeddings, Learned]]:
    fraud, rows = dataset.fraud_by(int(dataset.times[-1])), np.arange(len(dataset))
    names = tuple(reversed(dataset.features.names))
    found = []
    for seed in _SEEDS:
        learned = learn(dataset, fraud, rows, _RECIPE, seed)
        told = feature_columns(dataset, rows, names, later=False)
        trees = Trees(fit_trees(told, fraud, names, seed), names, later=False)
        both = np.hstack([told, ask(dataset, learned, rows)[1]])
        columns = [f"column_{number}" for number in range(both.shape[1])]
        boosted = Trees(fit_trees(both, fraud, columns, seed), names, later=False)
        found.append((trees, TreesOnEmbeddings(boosted, learned), learned))
    return found


def _models(contender: str, fitted: list[tuple[Trees, TreesOnEmbeddings, Learned]]) -> list[Model]:
    def made(trees: Trees, boosted: TreesOnEmbeddings, learned: Learned) -> Model:
        net = Net(learned)
        models: dict[str, Model] = {
            "labels": trees,
            "embeddings": boosted,
            "network": net,
            "blend": Blend(trees, net),
        }
        return models[contender]

    return [made(*one) for one in fitted]


@pytest.mark.parametrize("contender", ["labels", "embeddings", "network", "blend"])
def test_both_give_the_same_score(
    contender: str,
    dataset: Dataset,
    fitted: list[tuple[Trees, TreesOnEmbeddings, Learned]],
    tmp_path: Path,
) -> None:
    folder = tmp_path / contender
    save(Scorer(contender, _models(contender, fitted), Calibration(0.8, -1.0)), folder, dataset.features, 1)
    rows = np.arange(0, len(dataset), 3)
    model = ArrivalModel(folder)
    scores = model.score(
        dataset.arrival[rows], dataset.nodes[rows] >= 0, _embeddings(dataset, fitted, rows, model)
    )
    assert scores == pytest.approx(load(folder).score(dataset, rows), abs=1e-6)
    assert scores.max() > scores.min()


def _embeddings(
    dataset: Dataset,
    fitted: list[tuple[Trees, TreesOnEmbeddings, Learned]],
    rows: NDArray[np.int64],
    model: ArrivalModel,
) -> NDArray[np.float32]:
    kinds = len(dataset.features.kinds)
    if not model.embedding:
        return np.zeros((len(rows), kinds, 0), dtype=np.float32)
    return np.concatenate(
        [ask(dataset, learned, rows)[1].reshape(len(rows), kinds, -1) for _, _, learned in fitted], axis=2
    )


def test_an_entity_without_a_past_is_embedded_as_a_stranger(
    dataset: Dataset, fitted: list[tuple[Trees, TreesOnEmbeddings, Learned]], tmp_path: Path
) -> None:
    save(Scorer("network", _models("network", fitted), Calibration(1, 0)), tmp_path / "m", dataset.features, 1)
    first = ask(dataset, fitted[0][2], np.array([0]))[1].reshape(len(dataset.features.kinds), -1)
    known = ArrivalModel(tmp_path / "m").strangers[:, : first.shape[1]]
    assert first[dataset.nodes[0] >= 0] == pytest.approx(known[dataset.nodes[0] >= 0], abs=1e-6)


def test_what_was_asked_in_vain_is_counted_once(
    dataset: Dataset, fitted: list[tuple[Trees, TreesOnEmbeddings, Learned]], tmp_path: Path
) -> None:
    save(Scorer("network", _models("network", fitted), Calibration(1, 0)), tmp_path / "m", dataset.features, 1)
    away = [Unavailable("the graph is away")]

    def embeddings(_: Iterable[Entity]) -> dict[Entity, list[float]]:
        if away:
            raise away.pop()
        return {}

    model = ArrivalModel(tmp_path / "m")
    batch, _ = bursts(7, 60)
    asked_again, undisturbed = ArrivalScorer(model, "m", embeddings), ArrivalScorer(model, "m", lambda _: {})
    with pytest.raises(Unavailable):
        asked_again.describe(batch[:30])
    for part in (batch[:30], batch[30:]):
        assert asked_again.describe(part) == undisturbed.describe(part)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no model"):
        ArrivalModel(tmp_path)


def test_it_needs_no_torch() -> None:
    check = "import sys, gnn.arrival_model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
