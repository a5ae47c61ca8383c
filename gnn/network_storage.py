"""Models written to files, and those with a network read back; see :mod:`gnn.storage`."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gnn.features import FeatureSet
from gnn.learning import Learned
from gnn.models import Model, Trees
from gnn.network import Network, strangers
from gnn.network_models import Blend, Net, TreesOnEmbeddings
from gnn.part import Part, network_file, trees_file
from gnn.scaling import Scaling
from gnn.storage import Scorer

_SCALINGS = ("scaling", "own_scaling")


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


def load_models(part: Part, folder: Path) -> list[Model]:
    """The models of a part that has networks, one for each seed.

    Raises:
        OSError, ValueError, KeyError, RuntimeError: a file is missing or damaged.
    """
    return [_model(part, folder, number) for number in range(part.seeds)]


def _model(part: Part, folder: Path, number: int) -> Model:
    learned = _learned(part, network_file(folder, number))
    if part.contender == "network":
        return Net(learned)
    trees = Trees(lightgbm.Booster(model_file=trees_file(folder, number)), part.names, part.later)
    return TreesOnEmbeddings(trees, learned) if part.contender == "embeddings" else Blend(trees, Net(learned))


def _learned(part: Part, path: Path) -> Learned:
    assert part.shape is not None
    assert part.recipe is not None
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: {error}") from error
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
