"""The time-respecting sampler beside a slow and obvious one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnn.sampler import NeighbourSampler

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 3), st.integers(-1, 2)), min_size=1, max_size=40)
ASKED = st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 32)), min_size=1, max_size=20)


@given(
    ROWS, st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 32)), min_size=1, max_size=20), st.integers(1, 5)
)
def test_it_draws_the_latest_before_the_moment_and_nothing_else(
    rows: list[tuple[int, int, int]], asked: list[tuple[int, int]], most: int
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times = np.array([time for time, _, _ in rows])
    nodes = np.array([(one, -1 if other < 0 else 4 + other) for _, one, other in rows])
    sampler = NeighbourSampler(nodes, times, node_count=7)
    wanted, moments = (np.array(part) for part in zip(*asked, strict=True))
    drawn = sampler.latest(wanted, sampler.before(moments), most)
    for node, moment, found in zip(wanted, moments, drawn, strict=True):
        before = [row for row in range(len(rows)) if node >= 0 and node in nodes[row] and times[row] < moment]
        expected = before[::-1][:most]
        assert found.tolist() == expected + [-1] * (most - len(expected))
