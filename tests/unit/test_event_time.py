"""Event time: the watermark and what must not move it."""

from __future__ import annotations

from streaming.event_time import EventClock

MINUTE = 60_000
DAY = 86_400_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def observed(clock: EventClock, partition: str, times: list[int]) -> None:
    for time in times:
        clock.observe(partition, time)


def test_watermark_is_the_newest_event_less_the_lateness() -> None:
    clock = EventClock(5 * MINUTE, clock=Clock())
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10)])
    assert clock.advance() == DAY + 4 * MINUTE


def test_watermark_is_the_least_over_partitions() -> None:
    clock = EventClock(0, clock=Clock())
    observed(clock, "ahead", [DAY + hour * 60 * MINUTE for hour in range(10)])
    observed(clock, "behind", [DAY + minute * MINUTE for minute in range(10)])
    assert clock.advance() == DAY + 9 * MINUTE


def test_a_silent_partition_does_not_hold_the_others_back() -> None:
    wall = Clock()
    clock = EventClock(0, idle_s=30, clock=wall)
    observed(clock, "silent", [DAY + minute * MINUTE for minute in range(10)])
    wall.now = 31
    observed(clock, "busy", [2 * DAY + minute * MINUTE for minute in range(10)])
    assert clock.advance() == 2 * DAY + 9 * MINUTE


def test_one_future_event_does_not_move_it() -> None:
    clock = EventClock(0, clock=Clock())
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10)])
    clock.observe("a", 4000 * DAY)
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10, 20)])
    assert clock.advance() == DAY + 19 * MINUTE


def test_several_events_far_ahead_do_move_it() -> None:
    clock = EventClock(0, clock=Clock())
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10)])
    observed(clock, "a", [40 * DAY + minute * MINUTE for minute in range(10)])
    assert clock.advance() == 40 * DAY + 9 * MINUTE


def test_watermark_never_goes_back() -> None:
    clock = EventClock(0, clock=Clock())
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10)])
    before = clock.advance()
    observed(clock, "b", [DAY - 600 * MINUTE + minute * MINUTE for minute in range(10)])
    assert clock.advance() == before


def test_an_event_before_the_watermark_is_late() -> None:
    clock = EventClock(5 * MINUTE, clock=Clock())
    observed(clock, "a", [DAY + minute * MINUTE for minute in range(10)])
    clock.advance()
    assert not clock.observe("a", DAY + 6 * MINUTE)
    assert clock.observe("a", DAY + 3 * MINUTE)
