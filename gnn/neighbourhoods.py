"""What a network is given of entities at a moment: their latest transactions, and what these had to do with.

An entity is looked at together with a moment, and nothing from that moment on is in what is drawn. Around each
such *root* lies a tree of two levels, as flat arrays that point upwards:

    root  <-  its latest transactions  <-  their other entities  <-  the latest transactions of those

Branches that are the same grow once: an entity that several transactions name, as of one moment.
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

    ``near`` hangs on roots. Other entities of its transactions, e of them, are of ``entity_kinds`` (e) at
    ``entity_moments`` (e); ``named`` (l) is which of them hangs on which transaction of ``near``, ``named_below``
    (l). ``far`` hangs on these entities. All is at the moment of its root.
    """

    kinds: Ints
    moments: Ints
    near: Drawn
    entity_kinds: Ints
    entity_moments: Ints
    named: Ints
    named_below: Ints
    far: Drawn


def draw(
    dataset: Dataset, sampler: NeighbourSampler, nodes: Ints, kinds: Ints, moments: Ints, fan_out: tuple[int, int]
) -> Neighbourhoods:
    """The trees around roots: (r) nodes of (r) kinds at (r) moments, ``fan_out`` transactions on each level."""
    near = _drawn(dataset, sampler.latest(nodes, sampler.before(moments), fan_out[0]), moments)
    others = dataset.nodes[near.transactions].copy()
    others[np.arange(len(others)), kinds[near.below]] = -1  # the root itself is no news
    named_below, named_kinds = np.nonzero(others >= 0)
    named_nodes, named_moments = others[named_below, named_kinds], moments[near.below[named_below]]
    first, named = _told_apart(named_nodes, named_moments)
    entity_moments = named_moments[first]
    latest = sampler.latest(named_nodes[first], sampler.before(entity_moments), fan_out[1])
    return Neighbourhoods(
        kinds=kinds,
        moments=moments,
        near=near,
        entity_kinds=named_kinds[first],
        entity_moments=entity_moments,
        named=named,
        named_below=named_below,
        far=_drawn(dataset, latest, entity_moments),
    )


def _told_apart(nodes: Ints, moments: Ints) -> tuple[Ints, Ints]:
    """Of (l) pairs those that differ (e), by where each comes first, and which of these each is (l)."""
    different, number = np.unique(moments, return_inverse=True)
    _, first, which = np.unique(nodes * len(different) + number, return_index=True, return_inverse=True)
    return first, which


def _drawn(dataset: Dataset, latest: Ints, moments: Ints) -> Drawn:
    below, place = np.nonzero(latest >= 0)
    transactions = latest[below, place]
    return Drawn(transactions, below, moments[below] - dataset.times[transactions])
