"""The time-respecting sampler beside two other ways: ``python -m benchmarks.sampling``.

Two million edges from transactions to entities of two kinds, entities as busy as they are in life (few very much,
most hardly); batches of 512 transactions ask for the latest ten of both their entities, and for the latest five
of the other entity of each of those. Beside it: the same lists, found entity by entity with a binary search in
Python; and :func:`torch_geometric.utils.k_hop_subgraph`, which knows no time and looks at every edge.
"""

from __future__ import annotations

import argparse
import statistics
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch_geometric.utils import k_hop_subgraph

from benchmarks.machine import Machine
from gnn.sampler import NeighbourSampler

Ints = NDArray[np.int64]
Draw = Callable[[Ints], object]

_SEEDS = 512
_FAN_OUT = (10, 5)


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=20)
    chosen = parser.parse_args()
    console = Console()
    console.print(Machine.here())
    nodes, times = history(chosen.transactions)
    ways: dict[str, Draw] = {
        "the sampler": ours(nodes, times),
        "entity by entity": entity_by_entity(nodes),
        "k_hop_subgraph, without time": k_hop(nodes),
    }
    seconds = measure(ways, chosen.transactions, chosen.turns)
    shown = Table(title=f"{_SEEDS} transactions of {chosen.transactions:,}, median of {chosen.turns} turns")
    for column in ("way", "ms", "times the sampler's"):
        shown.add_column(column, justify="left" if column == "way" else "right")
    base = statistics.median(seconds["the sampler"])
    for way, taken in seconds.items():
        median = statistics.median(taken)
        shown.add_row(way, f"{1000 * median:.1f}", f"{median / base:.1f}")
    console.print(shown)


def history(transactions: int, seed: int = 0) -> tuple[Ints, Ints]:
    """Nodes (n, 2), of heavy-tailed degree, and times (n)."""
    rng = np.random.default_rng(seed)
    half = max(1, transactions // 10)
    drawn = rng.pareto(1.2, size=(transactions, 2)) * half / 50
    nodes = drawn.astype(np.int64) % half
    nodes[:, 1] += half
    return nodes, np.sort(rng.integers(0, 10**10, transactions))


def measure(ways: dict[str, Draw], transactions: int, turns: int) -> dict[str, list[float]]:
    """Seconds for each way and turn; all are asked the same in a turn, one after the other."""
    rng = np.random.default_rng(1)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(turns + 1):
        seeds = rng.integers(transactions // 2, transactions, _SEEDS)
        for way, draw in ways.items():
            started = time.perf_counter()
            draw(seeds)
            if turn:  # the first one warms up
                found[way].append(time.perf_counter() - started)
    return found


def ours(nodes: Ints, times: Ints) -> Callable[[Ints], tuple[Ints, Ints]]:
    """The sampler; a draw gives (roots, 10) and (roots * 10, 5)."""
    sampler = NeighbourSampler(nodes, times, int(nodes.max()) + 1)

    def draw(seeds: Ints) -> tuple[Ints, Ints]:
        roots, columns = nodes[seeds].ravel(), np.tile([0, 1], len(seeds))
        before = np.repeat(seeds, 2)
        near = sampler.latest(roots, before, _FAN_OUT[0])
        others = np.where(near >= 0, nodes[near, 1 - columns[:, None]], -1)
        far = sampler.latest(others.ravel(), np.repeat(before, _FAN_OUT[0]), _FAN_OUT[1])
        return near, far

    return draw


def entity_by_entity(nodes: Ints) -> Callable[[Ints], tuple[list[list[int]], list[list[int]]]]:
    """The same lists, each found by itself."""
    made: dict[int, list[int]] = defaultdict(list)
    for row, (one, other) in enumerate(nodes.tolist()):
        made[one].append(row)
        made[other].append(row)

    def latest(node: int, before: int, most: int) -> list[int]:
        end = bisect_left(made[node], before)
        return made[node][max(0, end - most) : end][::-1]

    def draw(seeds: Ints) -> tuple[list[list[int]], list[list[int]]]:
        near, far = [], []
        for seed in seeds.tolist():
            for column in (0, 1):
                found = latest(int(nodes[seed, column]), seed, _FAN_OUT[0])
                near.append(found)
                far += [latest(int(nodes[row, 1 - column]), seed, _FAN_OUT[1]) for row in found]
        return near, far

    return draw


def k_hop(nodes: Ints) -> Draw:
    """All edges within two hops of one seed, whatever their time: it takes one centre, so one seed is asked."""
    transactions = len(nodes)
    rows = np.repeat(np.arange(transactions), 2)
    edges = torch.from_numpy(np.stack([nodes.ravel() + transactions, rows]))

    def draw(seeds: Ints) -> object:
        return k_hop_subgraph(int(seeds[0]), 2, edges, num_nodes=transactions + int(nodes.max()) + 1)

    return draw


if __name__ == "__main__":
    main()
