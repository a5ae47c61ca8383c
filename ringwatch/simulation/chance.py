"""Draws and derivations: every simulated value comes from here and from the seed alone.

``mix`` derives a value from what it belongs to, so that a population of any size needs no table; nothing here
depends on Python's string hashing.
"""

from __future__ import annotations

import math
import random

_MASK = 2**64 - 1


def mix(*parts: int) -> int:
    """A 64-bit value that depends on every part and its place (the finaliser of SplitMix64, chained)."""
    state = 0
    for part in parts:
        state = ((state ^ part) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def derived(*parts: int) -> random.Random:
    """A generator of its own for whatever the parts name."""
    return random.Random(mix(*parts))  # noqa: S311 - a simulation wants reproducible draws, not secrets


def zipf_rank(uniform: float, ranks: int, exponent: float) -> int:
    """The rank in ``0 … ranks - 1`` at a quantile of a bounded Zipf law, by its continuous inverse.

    ``exponent`` must not be 1.
    """
    power = 1.0 - exponent
    return min(ranks - 1, int((uniform * ((ranks + 1) ** power - 1.0) + 1.0) ** (1.0 / power)) - 1)


def heavy_tailed(rng: random.Random, smallest: int, largest: int, *, alpha: float = 1.2) -> int:
    """A size from a Pareto law, cut at ``largest``."""
    return max(smallest, min(largest, int(smallest * rng.paretovariate(alpha))))


def lognormal(rng: random.Random, median: float, sigma: float) -> float:
    """A lognormal draw, given by its median."""
    return rng.lognormvariate(math.log(median), sigma)
