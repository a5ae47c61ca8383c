"""MIDAS: how far edges and nodes of a stream run above their own past, in constant memory.

Bhatia, Hooi, Yoon, Shin and Faloutsos, "MIDAS: Microcluster-Based Detector of Anomalies in Edge Streams",
AAAI 2020: count-min sketches (Cormode and Muthukrishnan, J. Algorithms 2005) of what the current tick brought and
of everything so far, compared by a chi-squared statistic. This is the paper's MIDAS-R: current counts fade from
tick to tick instead of being forgotten, and an edge scores as high as the busier of its ends.

A score is a signal and never a gate: a slow ring never bursts.
"""

from __future__ import annotations

import math
import random
import zlib
from array import array
from collections.abc import Sequence
from itertools import starmap

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
#: Weights of the current tick are kept below this, so that no sum overflows.
_RENORMALISE_ABOVE = 2.0**400


class CountMinSketch:
    """Sums by key in ``depth`` rows of ``width`` cells (a power of two); an estimate is never too low.

    It exceeds the truth by more than ``2e / width`` of everything added with a probability of at most
    ``e^-depth``: the rows are hashed by multiply-shift (Dietzfelbinger et al., J. Algorithms 1997), whose
    collisions are at most twice as likely as chance.
    """

    def __init__(self, width: int, depth: int) -> None:
        if width < 2 or width & (width - 1):
            raise ValueError("the width of a sketch is a power of two")
        rng = random.Random(0)  # noqa: S311 - the same rows in every process: nothing here is a secret
        self._shift = 64 - width.bit_length() + 1
        self._rows = [(rng.getrandbits(64) | 1, row * width) for row in range(depth)]
        self._cells = array("d", bytes(8 * width * depth))

    def places(self, key: int) -> list[int]:
        """Where sketches of this width and depth hold a key of 64 bits."""
        shift = self._shift
        return [offset + ((key * factor & _MASK) >> shift) for factor, offset in self._rows]

    def add(self, places: list[int], amount: float) -> None:
        """Add an amount above zero to the key that is held at these places."""
        cells = self._cells
        for place in places:
            cells[place] += amount

    def estimate(self, places: list[int]) -> float:
        """The sum of the key that is held at these places, or more."""
        cells, lowest = self._cells, math.inf
        for place in places:  # min() of a comprehension takes twice as long, and this is asked most of all
            if cells[place] < lowest:
                lowest = cells[place]
        return lowest

    def scale(self, factor: float) -> None:
        """Multiply every sum."""
        self._cells = array("d", (cell * factor for cell in self._cells))


class _Counts:
    """Counts in the current tick, fading by ``decay`` a tick, and since the first one.

    The current counts are weighed forward: what comes later is added with a larger weight, which spares a walk
    through all cells at every tick (forward decay: Cormode et al., ICDE 2009).
    """

    def __init__(self, width: int, depth: int, decay: float) -> None:
        self._current = CountMinSketch(width, depth)
        self._total = CountMinSketch(width, depth)
        self._decay = decay
        self._weight = 1.0

    def age(self, ticks: int) -> None:
        if self._decay == 0 or self._weight > _RENORMALISE_ABOVE or ticks * -math.log2(self._decay) > 400:
            self._current.scale(self._decay**ticks / self._weight)
            self._weight = 1.0
        else:
            self._weight /= self._decay**ticks

    def add(self, key: int) -> None:
        places = self._total.places(key)
        self._current.add(places, self._weight)
        self._total.add(places, 1.0)

    def compared(self, key: int) -> tuple[float, float]:
        """The counts at a key: in the current tick, and since the first one."""
        places = self._total.places(key)
        return self._current.estimate(places) / self._weight, self._total.estimate(places)


class Midas:
    """Counts the edges of a stream, and scores edges and nodes by how much the current tick surprises.

    A tick is a whole number that rises with event time; an edge that comes with an earlier one counts in the
    current. ``decay`` is what is left of a tick's counts in the next (0: nothing, the paper's plain MIDAS).
    """

    def __init__(self, *, width: int = 4096, depth: int = 2, decay: float = 0.5) -> None:
        self._nodes = _Counts(width, depth, decay)
        self._edges = _Counts(width, depth, decay)
        self._first: int | None = None
        self._tick = 0

    def advance(self, tick: int) -> None:
        """Let event time go on to a tick."""
        if self._first is None:
            self._first = self._tick = tick
        if tick > self._tick:
            self._nodes.age(tick - self._tick)
            self._edges.age(tick - self._tick)
            self._tick = tick

    def count(self, source: str, targets: list[str]) -> None:
        """Count one edge from a node to each of some others, in the current tick."""
        start = _key(source)
        self._nodes.add(start)
        for target in targets:
            end = _key(target)
            self._nodes.add(end)
            self._edges.add(_pair(start, end))

    def node_score(self, node: str) -> float:
        """How far a node runs above its past: the paper's statistic, 0 for what is as usual or was never seen."""
        current, total = self._nodes.compared(_key(node))
        return self._statistic(current, total)

    def edge_score(self, source: str, target: str) -> float:
        """How far an edge runs above its past, whatever its ends do."""
        return self.highest_edge_score([source], [target])

    def highest_edge_score(self, sources: Sequence[str], targets: Sequence[str]) -> float:
        """The highest score of the edges from any of some nodes to any of others (0: of none)."""
        ends = [_key(target) for target in targets]
        edges = (_pair(start, end) for start in map(_key, sources) for end in ends)
        return max(starmap(self._statistic, map(self._edges.compared, edges)), default=0.0)

    def score(self, source: str, target: str) -> float:
        """How far an edge, or one of its ends, runs above its past."""
        return max(self.edge_score(source, target), self.node_score(source), self.node_score(target))

    def _statistic(self, current: float, total: float) -> float:
        """(a - s/t)² t² / (s (t - 1)) for a in the current of t ticks and s in all of them; 0 below the mean."""
        ticks = self._tick - (self._first if self._first is not None else self._tick) + 1
        surplus = current - total / ticks
        if ticks == 1 or surplus <= 0:
            return 0.0
        return (surplus * ticks) ** 2 / (total * (ticks - 1))


def _key(name: str) -> int:
    # A checksum, since Python's own hash differs from process to process; spread over 64 bits by the rows.
    return zlib.crc32(name.encode())


def _pair(start: int, end: int) -> int:
    return (start * _GOLDEN + end) & _MASK
