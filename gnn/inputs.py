"""Features as networks take them: squashed, scaled by what was seen in training, and without gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.dataset import Dataset
from gnn.neighbourhoods import draw
from gnn.network import TreeTensors
from gnn.sampler import NeighbourSampler

#: A spread below this is none.
_CONSTANT = 1e-6
_FARTHEST = 10

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scaling:
    """Sign and logarithm, then the mean and spread (names) of the training rows; a gap becomes the mean."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: Floats) -> Scaling:
        """From training rows (n, names)."""
        squashed = _squash(features)
        known = np.maximum((~np.isnan(squashed)).sum(axis=0), 1)
        mean = np.nansum(squashed, axis=0) / known
        spread = np.sqrt(np.nansum((squashed - mean) ** 2, axis=0) / known)
        return cls(mean.astype(np.float32), np.where(spread > _CONSTANT, spread, 1).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """(n, names) to (n, names), most within (-3, 3) and none farther than 10."""
        scaled = (_squash(features) - self.mean) / self.spread
        clipped: Floats = np.clip(np.nan_to_num(scaled), -_FARTHEST, _FARTHEST)
        return clipped


def _squash(features: Floats) -> Floats:
    return np.sign(features) * np.log1p(np.abs(features))


class GraphInputs:
    """What a network sees of a dataset at moments; ``fan_out`` as in :func:`gnn.neighbourhoods.draw`.

    ``own`` (n, inputs + extra) are the scaled features that a transaction is judged by.
    """

    def __init__(
        self, dataset: Dataset, scaled: Floats, own: Floats, fan_out: tuple[int, int], device: torch.device
    ) -> None:
        self._dataset = dataset
        self._sampler = NeighbourSampler(dataset.nodes, dataset.times, dataset.node_count)
        self._scaled = scaled
        self._own = own
        self._fan_out = fan_out
        self._device = device

    def of(self, rows: Ints, moments: Ints) -> tuple[torch.Tensor, torch.Tensor, TreeTensors]:
        """The arguments of a network for transactions (n) whose entities are seen as of moments (n, epoch ms)."""
        nodes = self._dataset.nodes[rows]
        named = nodes >= 0
        place, kinds = np.nonzero(named)
        trees = self.trees(nodes[named], kinds, moments[place])
        return self._tensor(self._own[rows]), self._tensor(named.astype(np.float32)), trees

    def trees(self, nodes: Ints, kinds: Ints, moments: Ints) -> TreeTensors:
        """What an encoder takes for entities (r) of kinds (r) at moments (r)."""
        drawn = draw(self._dataset, self._sampler, nodes, kinds, moments, self._fan_out)
        return TreeTensors(
            root_kinds=self._tensor(drawn.kinds),
            near=self._told(drawn.near.transactions, drawn.near_moments),
            near_age=self._log_age(drawn.near.age_ms),
            near_below=self._tensor(drawn.near.below),
            entity_kinds=self._tensor(drawn.entity_kinds),
            entity_below=self._tensor(drawn.entity_below),
            far=self._told(drawn.far.transactions, drawn.far_moments),
            far_age=self._log_age(drawn.far.age_ms),
            far_below=self._tensor(drawn.far.below),
        )

    def _told(self, rows: Ints, moments: Ints) -> torch.Tensor:
        """Features (m, inputs) and what was known of them at moments (m): (m, inputs + 2)."""
        known = [self._dataset.fraud_known_at[rows] <= moments, self._dataset.legitimate_known_at[rows] <= moments]
        return self._tensor(np.column_stack([self._scaled[rows], *known]).astype(np.float32))

    def _log_age(self, age_ms: Ints) -> torch.Tensor:
        return self._tensor(np.log1p(age_ms / 1000).astype(np.float32))

    def _tensor(self, values: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
