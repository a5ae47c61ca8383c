"""A model's ``part.json``: what the files beside it are; readable without torch."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gnn.calibration import Calibration
from gnn.features import FeatureSet
from gnn.recipe import Recipe, Shape
from graph.errors import ConfigurationError

_FILE = "part.json"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The model of one moment: which contender it is, fitted with how many ``seeds``, on which features.

    ``names`` are the features that its trees take, in their order; ``recipe`` and ``shape`` are its networks'.
    Entities are of ``kinds``; a pass looks at a transaction again until ``later_ms`` after it.
    """

    contender: str
    later: bool
    later_ms: int
    kinds: tuple[str, ...]
    seeds: int
    names: tuple[str, ...]
    calibration: Calibration
    recipe: Recipe | None = None
    shape: Shape | None = None

    @property
    def features(self) -> FeatureSet:
        """What each transaction is described by."""
        return FeatureSet(self.kinds)

    def write(self, folder: Path) -> None:
        """Into a model's folder."""
        (folder / _FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def read_part(folder: Path) -> Part:
    """The part in a model's folder.

    Raises:
        ConfigurationError: there is none, or it is damaged.
    """
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Part)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{folder} holds no model that can be read: {error}") from error


def trees_file(folder: Path, number: int) -> Path:
    """The trees of one seed, in LightGBM's text format."""
    return folder / f"trees-{number}.txt"


def network_file(folder: Path, number: int) -> Path:
    """The network of one seed: weights, scalings, and what an entity without a past is embedded as."""
    return folder / f"network-{number}.safetensors"
