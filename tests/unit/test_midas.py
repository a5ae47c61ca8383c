"""MIDAS against exact counts, its sketch's bound, and its published bound on false alarms."""

from __future__ import annotations

import math
import random
from collections import Counter
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.midas import CountMinSketch, Midas

#: Edges between so few nodes that a wide sketch counts them exactly.
EDGES = [(f"card {n}", f"device {m}") for n in range(4) for m in range(3)]

streams = st.lists(st.tuples(st.integers(0, 3), st.lists(st.sampled_from(EDGES), max_size=6)), max_size=12)


class Exact:
    """The same scores from whole counts, by the paper's formulas as they stand there."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.current: dict[object, float] = {}
        self.total: Counter[object] = Counter()
        self.ticks = 0

    def advance(self, ticks: int) -> None:
        self.ticks += ticks
        for key in self.current:
            self.current[key] *= self.decay**ticks

    def count(self, source: str, target: str) -> None:
        for key in (source, target, (source, target)):
            self.current[key] = self.current.get(key, 0.0) + 1
            self.total[key] += 1

    def statistic(self, key: object) -> float:
        a, s, t = self.current.get(key, 0.0), self.total[key], self.ticks
        if t == 1 or s == 0 or a <= s / t:
            return 0.0
        return (a - s / t) ** 2 * t**2 / (s * (t - 1))


@settings(deadline=None)
@given(streams, st.sampled_from([0.0, 0.5, 0.9]))
def test_a_wide_sketch_scores_like_exact_counts(
    stream: list[tuple[int, list[tuple[str, str]]]], decay: float
) -> None:
    midas, exact = Midas(width=2**16, decay=decay), Exact(decay)
    tick = 100
    midas.advance(tick)
    exact.advance(1)
    for ticks, edges in stream:
        tick += ticks
        midas.advance(tick)
        exact.advance(ticks)
        for source, target in edges:
            midas.count(source, [target])
            exact.count(source, target)
    for source, target in EDGES:
        assert midas.node_score(source) == pytest.approx(exact.statistic(source))
        expected = max(map(exact.statistic, (source, target, (source, target))))
        assert midas.score(source, target) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=300), st.sampled_from([2, 16, 256]))
def test_an_estimate_is_never_too_low(keys: list[int], width: int) -> None:
    sketch, exact = CountMinSketch(width, 2), Counter(keys)
    for key in keys:
        sketch.add(sketch.places(key), 1.0)
    assert all(sketch.estimate(sketch.places(key)) >= exact[key] for key in keys)


def test_an_estimate_is_rarely_too_high() -> None:
    rng = random.Random(3)
    width, depth = 256, 4
    keys = [rng.getrandbits(64) for _ in range(3_000)]
    sketch, exact = CountMinSketch(width, depth), Counter(keys)
    for key in keys:
        sketch.add(sketch.places(key), 1.0)
    wrong = sum(sketch.estimate(sketch.places(key)) - exact[key] > 2 * math.e / width * len(keys) for key in keys)
    assert wrong <= math.exp(-depth) * len(keys)


def test_a_width_that_no_shift_can_give_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        CountMinSketch(100, 2)


def test_a_burst_scores_above_a_steady_edge() -> None:
    midas = Midas()
    for tick in range(50):
        midas.advance(tick)
        midas.count("steady", ["shop"])
        midas.count("slow" if tick % 2 else "other", ["stall"])
    for _ in range(20):
        midas.count("slow", ["stall"])
    assert midas.score("slow", "stall") > 20 * midas.score("steady", "shop")
    assert midas.node_score("never seen") == 0


def test_what_has_faded_is_no_burst_any_more() -> None:
    midas = Midas()
    midas.advance(0)
    midas.advance(10)
    midas.count("a", ["b"] * 20)
    scores = []
    for tick in (10, 11, 12, 5_000):
        midas.advance(tick)
        scores.append(midas.node_score("a"))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[2] > scores[3] == 0


def test_very_many_ticks_change_nothing_but_the_age() -> None:
    one_by_one, at_once = Midas(decay=0.5), Midas(decay=0.5)
    for midas in (one_by_one, at_once):
        midas.advance(0)
        midas.count("a", ["b"])
    for tick in range(3_000):
        one_by_one.advance(tick)
    at_once.advance(2_999)
    for midas in (one_by_one, at_once):
        midas.count("a", ["b"] * 3)
    assert one_by_one.score("a", "b") == pytest.approx(at_once.score("a", "b"))


def quantile(risk: float) -> float:
    """Of the chi-squared distribution with one degree of freedom at 1 - risk / 2, as in the paper's theorem 1."""
    return NormalDist().inv_cdf(1 - risk / 4) ** 2


@pytest.mark.parametrize("risk", [0.2, 0.05])
def test_false_alarms_stay_below_the_published_bound(risk: float) -> None:
    rng = random.Random(11)
    midas = Midas(width=1024, depth=math.ceil(math.log(2 / risk)), decay=0.0)
    nodes = [f"node {n}" for n in range(40)]
    alarms = tests = 0
    for tick in range(120):
        midas.advance(tick)
        for _ in range(400):  # every edge is equally likely in every tick: nothing ever bursts
            midas.count(rng.choice(nodes), [rng.choice(nodes[:5])])
        if tick > 10:
            tests += len(nodes)
            alarms += sum(midas.edge_score(node, nodes[0]) > quantile(risk) for node in nodes)
    assert 0 < alarms <= risk * tests


def test_a_burst_is_told_by_the_bound() -> None:
    midas = Midas(width=1024, depth=4, decay=0.0)
    for tick in range(50):
        midas.advance(tick)
        midas.count("a", ["b"])
    assert midas.edge_score("a", "b") <= quantile(0.01)
    midas.count("a", ["b"] * 30)
    assert midas.edge_score("a", "b") > quantile(0.01)
