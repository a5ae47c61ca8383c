"""The benchmark compares like with like: both ways draw the same."""

from __future__ import annotations

import numpy as np

from benchmarks.sampling import entity_by_entity, history, measure, ours


def test_both_ways_draw_the_same() -> None:
    nodes, times = history(2000)
    seeds = np.random.default_rng(3).integers(1000, 2000, 50)
    near, far = ours(nodes, times)(seeds)
    expected_near, expected_far = entity_by_entity(nodes)(seeds)
    assert [[one for one in row if one >= 0] for row in near.tolist()] == expected_near
    drawn = (near >= 0).ravel()
    assert [[one for one in row if one >= 0] for row in far[drawn].tolist()] == expected_far


def test_every_way_has_as_many_turns() -> None:
    nodes, times = history(2000)
    found = measure({"one": ours(nodes, times), "other": entity_by_entity(nodes)}, 2000, 3)
    assert [len(turns) for turns in found.values()] == [3, 3]
