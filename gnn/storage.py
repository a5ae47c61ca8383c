"""Models as files that are loaded without running anything: JSON, LightGBM's text, safetensors.

A folder holds ``part.json`` (:class:`gnn.part.Part`) and for each seed ``trees-<n>.txt``,
``network-<n>.safetensors``, or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.features import FeatureSet
from gnn.learning import Learned
from gnn.models import Blend, Ints, Model, Net, Scores, Trees, TreesOnEmbeddings
from gnn.network import Network, strangers
from gnn.part import Part, network_file, read_part, trees_file
from gnn.scaling import Scaling
from graph.errors import ConfigurationError

_SCALINGS = ("scaling", "own_scaling")


@dataclass(frozen=True)
class Scorer:
    """A contender's models, one for each seed, and the curve that makes probabilities of their mean."""

    contender: str
    models: list[Model]
    calibration: Calibration

    @property
    def networks(self) -> list[Learned]:
        """Its networks, one for each seed, if it has any."""
        return _pieces(self.models)[1]

    @property
    def reach(self) -> int:
        """How many steps from a transaction over its entities it looks: two with a network, none with trees."""
        return 0 if self.contender == "labels" else 2

    def score(self, dataset: Dataset, rows: Ints) -> Scores:
        """The probability of fraud (n)."""
        return self.calibration(np.mean([model.score(dataset, rows) for model in self.models], axis=0))

    def what_if(self, dataset: Dataset, row: int, own: NDArray[np.float32]) -> Scores:
        """The probability (v) of a row were its own features others (v, names)."""
        return self.calibration(np.mean([model.what_if(dataset, row, own) for model in self.models], axis=0))


def save(scorer: Scorer, folder: Path, features: FeatureSet, later_ms: int) -> None:
    """Write a scorer of these features into a new folder."""
    folder.mkdir(parents=True)
    trees, nets = _pieces(scorer.models)
    for number, booster in enumerate(trees):
        booster.booster.save_model(trees_file(folder, number))
    for number, learned in enumerate(nets):
        weights = {f"network.{name}": tensor.contiguous() for name, tensor in learned.network.state_dict().items()}
        for name in _SCALINGS:
            scaling = getattr(learned, name)
            weights[f"{name}.mean"], weights[f"{name}.spread"] = map(
                torch.from_numpy, (scaling.mean, scaling.spread)
            )
        weights["strangers"] = strangers(learned.network)
        save_file(weights, network_file(folder, number))
    part = Part(
        contender=scorer.contender,
        later=trees[0].later if trees else nets[0].later,
        later_ms=later_ms,
        kinds=features.kinds,
        seeds=len(scorer.models),
        names=trees[0].names if trees else (),
        calibration=scorer.calibration,
        recipe=nets[0].recipe if nets else None,
        shape=nets[0].network.shape if nets else None,
    )
    part.write(folder)


def load(folder: Path) -> Scorer:
    """Read a scorer.

    Raises:
        ConfigurationError: the folder holds none, or one that is damaged.
    """
    part = read_part(folder)
    try:
        models = [_model(part, folder, number) for number in range(part.seeds)]
    except (OSError, SafetensorError, lightgbm.basic.LightGBMError, KeyError, RuntimeError) as error:
        raise ConfigurationError(f"{folder} holds no model that can be read: {error}") from error
    return Scorer(part.contender, models, part.calibration)


def _model(part: Part, folder: Path, number: int) -> Model:
    trees = trees_file(folder, number)
    if part.contender == "labels":
        return _trees(part, trees)
    learned = _learned(part, network_file(folder, number))
    if part.contender == "network":
        return Net(learned)
    if part.contender == "embeddings":
        return TreesOnEmbeddings(_trees(part, trees), learned)
    return Blend(_trees(part, trees), Net(learned))


def _trees(part: Part, path: Path) -> Trees:
    return Trees(lightgbm.Booster(model_file=path), part.names, part.later)


def _learned(part: Part, path: Path) -> Learned:
    assert part.shape is not None
    assert part.recipe is not None
    weights = load_file(path)
    network = Network(part.shape)
    network.load_state_dict(
        {name.removeprefix("network."): each for name, each in weights.items() if name.startswith("network.")}
    )
    scaling, own_scaling = (
        Scaling(_array(weights[f"{name}.mean"]), _array(weights[f"{name}.spread"])) for name in _SCALINGS
    )
    return Learned(network, part.recipe, scaling, own_scaling, part.later, part.recipe.epochs)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.numpy()
    return array


def _pieces(models: list[Model]) -> tuple[list[Trees], list[Learned]]:
    """The trees and the networks of models of one kind."""
    trees: list[Trees] = []
    nets: list[Learned] = []
    for model in models:
        match model:
            case Trees():
                trees.append(model)
            case Net(learned):
                nets.append(learned)
            case TreesOnEmbeddings(boosted, learned) | Blend(boosted, Net(learned)):
                trees.append(boosted)
                nets.append(learned)
    return trees, nets
