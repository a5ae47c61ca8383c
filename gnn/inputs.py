"""What a network is given, as tensors: scaled features of transactions, and the trees around their entities."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.dataset import Dataset
from gnn.neighbourhoods import draw
from gnn.network import TreeTensors
from gnn.recipe import Recipe
from gnn.sampler import NeighbourSampler

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


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

    def moments(self, rows: Ints, recipe: Recipe, *, later: bool) -> Ints:
        """As of when the entities of transactions (n) are seen (n, kinds), epoch ms.

        Later that is a moment ``later_ms`` after. At arrival it is when each was last embedded: at the first pass
        after its latest transaction, since a pass leaves alone what has not changed.
        """
        times, nodes = self._dataset.times[rows], self._dataset.nodes[rows]
        if later:
            return np.broadcast_to((times + self._dataset.later_ms)[:, None], nodes.shape)
        before = self._sampler.before(times // recipe.pass_ms * recipe.pass_ms)
        latest = self._sampler.latest(nodes.ravel(), before.repeat(nodes.shape[1]), 1).reshape(nodes.shape)
        passes = (self._dataset.times[np.maximum(latest, 0)] // recipe.pass_ms + 1) * recipe.pass_ms
        return np.where(latest >= 0, passes, 0)

    def of(self, rows: Ints, moments: Ints) -> tuple[torch.Tensor, torch.Tensor, TreeTensors]:
        """The arguments of a network for transactions (n) whose entities are seen as of moments (n, kinds)."""
        nodes = self._dataset.nodes[rows]
        named = nodes >= 0
        trees = self.trees(nodes[named], np.nonzero(named)[1], moments[named])
        return self._tensor(self._own[rows]), self._tensor(named.astype(np.float32)), trees

    def trees(self, nodes: Ints, kinds: Ints, moments: Ints) -> TreeTensors:
        """What an encoder takes for entities (r) of kinds (r) at moments (r)."""
        drawn = draw(self._dataset, self._sampler, nodes, kinds, moments, self._fan_out)
        near, far = drawn.near, drawn.far
        told, which = self._told(
            np.concatenate([near.transactions, far.transactions]),
            np.concatenate([drawn.moments[near.below], drawn.entity_moments[far.below]]),
        )
        return TreeTensors(
            told=self._tensor(told),
            root_kinds=self._tensor(drawn.kinds),
            near=self._tensor(which[: len(near.transactions)]),
            near_age=self._log_age(near.age_ms),
            near_below=self._tensor(near.below),
            entity_kinds=self._tensor(drawn.entity_kinds),
            named=self._tensor(drawn.named),
            named_below=self._tensor(drawn.named_below),
            far=self._tensor(which[len(near.transactions) :]),
            far_age=self._log_age(far.age_ms),
            far_below=self._tensor(far.below),
        )

    def _told(self, rows: Ints, moments: Ints) -> tuple[Floats, Ints]:
        """Features and what was known of transactions (m) at moments (m), each such state of one once.

        These (t, inputs + 2), and which of them each transaction is in (m).
        """
        fraud = self._dataset.fraud_known_at[rows] <= moments
        legitimate = self._dataset.legitimate_known_at[rows] <= moments
        _, first, which = np.unique(rows * 4 + fraud * 2 + legitimate, return_index=True, return_inverse=True)
        told = np.column_stack([self._scaled[rows[first]], fraud[first], legitimate[first]])
        return told.astype(np.float32), which

    def _log_age(self, age_ms: Ints) -> torch.Tensor:
        return self._tensor(np.log1p(age_ms / 1000).astype(np.float32))

    def _tensor(self, values: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
