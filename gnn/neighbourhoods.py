"""What a network is given of entities at a moment: their latest transactions, and what these had to do with.

An entity is looked at together with a moment, and nothing from that moment on is in what is drawn. Around each
such *root* lies a tree of two levels, as flat arrays that point upwards:

    root  <-  its latest transactions  <-  their other entities  <-  the latest transactions of those
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.dataset import Dataset
from gnn.sampler import NeighbourSampler

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Transactions that were drawn below something: one for each of m edges.

    ``transactions`` (m) by their number, ``below`` (m) the number of what each hangs on, ``age_ms`` (m) how long
    it was over at the moment of the root.
    """

    transactions: Ints
    below: Ints
    age_ms: Ints


@dataclass(frozen=True)
class Neighbourhoods:
    """Trees of r roots. ``kinds`` (r) are indices into the features' kinds, ``moments`` (r) epoch ms.

    ``near`` hangs on roots. Entities of its transactions, e of them, are ``entity_kinds`` (e) and hang on
    transactions of ``near`` by ``entity_below`` (e); ``far`` hangs on these entities. ``far`` and the entities are
    at the moment of their root, as ``near`` is: ``near_moments`` (m), ``far_moments``.
    """

    kinds: Ints
    moments: Ints
    near: Drawn
    near_moments: Ints
    entity_kinds: Ints
    entity_below: Ints
    far: Drawn
    far_moments: Ints


def draw(
    dataset: Dataset, sampler: NeighbourSampler, nodes: Ints, kinds: Ints, moments: Ints, fan_out: tuple[int, int]
) -> Neighbourhoods:
    """The trees around roots: (r) nodes of (r) kinds at (r) moments, ``fan_out`` transactions on each level."""
    before = sampler.before(moments)
    near = _drawn(dataset, sampler.latest(nodes, before, fan_out[0]), moments)
    others = dataset.nodes[near.transactions].copy()
    others[np.arange(len(others)), kinds[near.below]] = -1  # the root itself is no news
    entity_below, entity_kinds = np.nonzero(others >= 0)
    root_of = near.below[entity_below]
    far = _drawn(
        dataset,
        sampler.latest(others[entity_below, entity_kinds], before[root_of], fan_out[1]),
        moments[root_of],
    )
    return Neighbourhoods(
        kinds=kinds,
        moments=moments,
        near=near,
        near_moments=moments[near.below],
        entity_kinds=entity_kinds,
        entity_below=entity_below,
        far=far,
        far_moments=moments[root_of][far.below],
    )


def _drawn(dataset: Dataset, latest: Ints, moments: Ints) -> Drawn:
    below, place = np.nonzero(latest >= 0)
    transactions = latest[below, place]
    return Drawn(transactions, below, moments[below] - dataset.times[transactions])
