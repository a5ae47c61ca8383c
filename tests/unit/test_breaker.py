"""The circuit breaker: what mutes a rule, and how it comes back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.breaker import Breaker, Breakers, BreakerSettings, Turn

MINUTE = 60_000
HOUR = 60 * MINUTE
NOON = 1_800_000_000_000
SETTINGS = BreakerSettings(share=0.5, anchors=100, times_norm=5.0, mute_ms=15 * MINUTE)


def after(breaker: Breaker, now: int, tested: int, fired: int) -> Breaker:
    return breaker.after(now, Turn(1, tested, fired), SETTINGS)


def quiet(hours: int = 5) -> Breaker:
    """A rule that has fired on one in a hundred of its anchors for some hours before noon."""
    breaker = Breaker(1)
    for minute in range(-60 * hours, 0, 10):
        breaker = after(breaker, NOON + minute * MINUTE, 2_000, 20)
    return breaker


def test_a_rule_that_fires_as_it_always_does_goes_on() -> None:
    breaker = quiet()
    assert not breaker.is_muted(NOON)
    assert not after(breaker, NOON, 2_000, 60).is_muted(NOON)


def test_a_rule_that_suddenly_fires_on_most_anchors_is_muted_for_a_while() -> None:
    tripped = after(quiet(), NOON, 2_000, 1_500)
    assert tripped.is_muted(NOON)
    assert tripped.is_muted(NOON + 15 * MINUTE - 1)
    assert not tripped.is_muted(NOON + 15 * MINUTE)


def test_few_anchors_prove_nothing() -> None:
    assert not after(Breaker(1), NOON, 100, 100).is_muted(NOON)
    assert after(Breaker(1), NOON, 101, 101).is_muted(NOON)


@pytest.mark.parametrize("apart", [1, MINUTE, HOUR])
def test_small_batches_add_up_at_any_pace(apart: int) -> None:
    breaker, now = quiet(), NOON
    for _ in range(11):
        now += apart
        breaker = after(breaker, now, 10, 9)
    assert not breaker.is_muted(now)
    for _ in range(20):
        now += apart
        breaker = after(breaker, now, 10, 9)
    assert breaker.mutes > 0


def test_half_of_the_anchors_is_not_most_of_them() -> None:
    assert not after(Breaker(1), NOON, 2_000, 1_000).is_muted(NOON)
    assert after(Breaker(1), NOON, 2_000, 1_001).is_muted(NOON)


def test_what_is_usual_for_a_rule_is_not_sudden() -> None:
    breaker = Breaker(1)
    for minute in range(0, 300, 10):
        breaker = after(breaker, NOON + minute * MINUTE, 2_000, 600)
    assert not after(breaker, NOON + 6 * HOUR, 2_000, 1_400).is_muted(NOON + 6 * HOUR)


def test_a_rule_comes_back_by_itself() -> None:
    back = after(quiet(), NOON, 2_000, 1_500)
    now = NOON + 15 * MINUTE
    back = after(back, now, 2_000, 20)
    assert not back.is_muted(now)
    assert back.mutes == 0


def test_on_trial_a_tenth_is_enough_and_each_time_lasts_longer() -> None:
    breaker, now = after(quiet(), NOON, 2_000, 1_500), NOON
    lengths = []
    for _ in range(6):
        now = breaker.muted_until
        assert not after(breaker, now, 10, 10).is_muted(now)
        breaker = after(breaker, now, 11, 11)
        lengths.append((breaker.muted_until - now) // MINUTE)
    assert lengths == [30, 60, 120, 240, 240, 240]


def test_event_time_that_goes_back_changes_nothing() -> None:
    tripped = after(quiet(), NOON, 2_000, 1_500)
    assert tripped.is_muted(NOON - HOUR)
    again = after(quiet(), NOON - HOUR, 2_000, 1_500)
    assert again.time == NOON - 10 * MINUTE


def test_another_version_of_a_rule_begins_anew() -> None:
    breakers = Breakers(SETTINGS).after(NOON, {"r": Turn(1, 2_000, 1_500), "s": Turn(1, 2_000, 1)})
    assert breakers.muted(NOON) == {"r": NOON + 15 * MINUTE}
    assert breakers.of("r", 1).is_muted(NOON)
    assert not breakers.of("r", 2).is_muted(NOON)


turns = st.lists(st.tuples(st.integers(0, HOUR), st.integers(0, 500), st.integers(0, 500)), max_size=30)


@given(turns, st.integers(0, 30))
def test_stored_and_read_again_it_decides_the_same(steps: list[tuple[int, int, int]], stop: int) -> None:
    whole, resumed, now = Breaker(1), Breaker(1), NOON
    for number, (elapsed, tested, fired) in enumerate(steps):
        if number == stop:
            resumed = msgspec.json.decode(msgspec.json.encode(resumed), type=Breaker)
        now += elapsed
        whole, resumed = (after(each, now, tested, min(tested, fired)) for each in (whole, resumed))
    assert whole == resumed
