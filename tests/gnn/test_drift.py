"""The population stability index against its definition, and what it says of streams that move."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gnn.drift import Baseline, Profile


def test_it_is_what_its_definition_says() -> None:
    profile = Profile.of(np.arange(1000.0))
    half = np.concatenate([np.arange(0.0, 500.0), np.arange(0.0, 500.0)])
    none = 0.5 / 1000  # a bin without a value counts as half of one; the bin of gaps has none on either side
    expected = 5 * (0.2 - 0.1) * math.log(0.2 / 0.1) + 5 * (none - 0.1) * math.log(none / 0.1)
    assert profile.stability(half) == pytest.approx(expected, rel=0.05)


def test_what_stays_is_stable_and_what_moves_is_not() -> None:
    rng = np.random.default_rng(0)
    then = np.column_stack([rng.normal(size=5000), rng.exponential(size=5000)])
    baseline = Baseline.of(then[:, 0], then, ["steady", "moving"])
    now = np.column_stack([rng.normal(size=3000), 3 * rng.exponential(size=3000)])
    found = baseline.stability(rng.normal(size=3000) + 1, now, ["steady", "moving"])
    assert found["steady"] < 0.02
    assert found["moving"] > 0.25
    assert found["score"] > 0.25


def test_gaps_are_a_bin_of_their_own() -> None:
    profile = Profile.of(np.array([np.nan] * 100 + [1.0] * 100))
    assert profile.stability(np.array([np.nan, 1.0] * 100)) == pytest.approx(0, abs=1e-3)
    assert profile.stability(np.full(200, np.nan)) > 0.25
    assert Profile.of(np.full(10, np.nan)).stability(np.full(10, np.nan)) == pytest.approx(0, abs=1e-9)
