"""The latest transactions of entities before a moment: a time-respecting neighbour sampler.

Neighbours lie in one array (CSR), sorted by entity and then by time, so that what an entity had done before any
moment is a slice that ends where a binary search says. Nothing at or after the moment can be drawn. The latest
are taken rather than a random choice: what a ring does, it does together, and the same question gets the same
answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class NeighbourSampler:
    """``nodes`` (n, k) are the entities (-1: none) of n transactions in the order of ``times`` (n, epoch ms)."""

    def __init__(self, nodes: Ints, times: Ints, node_count: int) -> None:
        self._times = times
        self._count = len(times)
        transactions, columns = np.nonzero(nodes >= 0)
        named = nodes[transactions, columns]
        order = np.argsort(named, kind="stable")  # row-major before, so each entity's stay in the order of time
        # Entity and transaction in one number: sorted, and sought with one binary search for each question.
        self._keys = named[order] * self._count + transactions[order]
        self._transactions = np.append(transactions[order], -1)  # never empty
        self._starts = np.searchsorted(named[order], np.arange(node_count))

    def before(self, moments: Ints) -> Ints:
        """How many transactions happened strictly before each moment (epoch ms)."""
        return np.searchsorted(self._times, moments, side="left")

    def latest(self, nodes: Ints, before: Ints, most: int) -> Ints:
        """For each of m entities its latest transactions among the first ``before`` (m): (m, most), -1 for none.

        The latest comes first. An entity of -1 has none.
        """
        known = np.maximum(nodes, 0)
        ends = np.searchsorted(self._keys, known * self._count + before)
        places = ends[:, None] - 1 - np.arange(most)
        drawn = (places >= self._starts[known][:, None]) & (nodes >= 0)[:, None]
        return np.where(drawn, self._transactions[np.maximum(places, 0)], -1)
