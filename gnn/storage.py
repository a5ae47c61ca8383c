"""Models as files that are loaded without running anything: JSON, LightGBM's text, safetensors.

A folder holds ``part.json`` (:class:`gnn.part.Part`) and for each seed ``trees-<n>.txt``,
``network-<n>.safetensors``, or both. :mod:`gnn.network_storage` writes them, and reads those with a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray

from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.models import Ints, Model, Scores, Trees
from gnn.part import Part, read_part, trees_file
from graph.errors import ConfigurationError


@dataclass(frozen=True)
class Scorer:
    """A contender's models, one for each seed, and the curve that makes probabilities of their mean."""

    contender: str
    models: list[Model]
    calibration: Calibration

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

    def embed(self, dataset: Dataset, nodes: Ints, kinds: Ints, moment: int) -> NDArray[np.float32]:
        """How its models know entities (r) of kinds (r) at a moment, epoch ms, side by side (r, embedding)."""
        return np.hstack([model.embed(dataset, nodes, kinds, moment) for model in self.models])


def load(folder: Path) -> Scorer:
    """Read a scorer; torch is needed only where there is a network in it.

    Raises:
        ConfigurationError: the folder holds none, one that is damaged, or one that needs torch, which is missing.
    """
    part = read_part(folder)
    try:
        models = _trees(part, folder) if part.shape is None else _with_networks(part, folder)
    except ImportError as error:
        raise ConfigurationError(f"the model in {folder} has a network, which needs torch: {error}") from error
    except (OSError, ValueError, KeyError, RuntimeError, lightgbm.basic.LightGBMError) as error:
        raise ConfigurationError(f"{folder} holds no model that can be read: {error}") from error
    return Scorer(part.contender, models, part.calibration)


def _trees(part: Part, folder: Path) -> list[Model]:
    seeds = range(part.seeds)
    return [Trees(lightgbm.Booster(model_file=trees_file(folder, n)), part.names, part.later) for n in seeds]


def _with_networks(part: Part, folder: Path) -> list[Model]:
    from gnn.network_storage import load_models  # imports torch

    return load_models(part, folder)
