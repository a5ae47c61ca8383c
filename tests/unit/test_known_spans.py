"""What a writer remembers of relationships: as much as it may trust, and no more."""

from __future__ import annotations

from graph.known_spans import KnownSpans
from graph.schema import HOUR_MS, RELATIONSHIPS

OWNS = next(one for one in RELATIONSHIPS if one.type == "OWNS")
PAIR = ("account", "card")


def test_what_lies_within_is_covered() -> None:
    known = KnownSpans()
    known.remember({OWNS: {PAIR: (100, 200)}}, 200)
    known.remember({OWNS: {PAIR: (50, 150)}}, 250)
    assert known.covers(OWNS, PAIR, (50, 200))
    assert not known.covers(OWNS, PAIR, (50, 201))
    assert not known.covers(OWNS, PAIR, (49, 200))
    assert not known.covers(OWNS, ("account", "another"), (100, 100))


def test_what_ended_an_hour_ago_is_neither_trusted_nor_kept() -> None:
    known = KnownSpans()
    known.remember({OWNS: {PAIR: (100, 200)}}, 200)
    known.remember({}, 200 + HOUR_MS)
    assert known.covers(OWNS, PAIR, (100, 200))
    known.remember({}, 201 + HOUR_MS)
    assert not known.covers(OWNS, PAIR, (100, 200))
    known.remember({}, 3 * HOUR_MS)
    assert len(known) == 0


def test_memory_follows_the_last_hour_and_not_the_stream() -> None:
    known = KnownSpans()
    for minute in range(0, 5 * 24 * 60, 10):
        time = minute * 60_000
        known.remember({OWNS: {("account", f"card {minute} {n}"): (time, time) for n in range(5)}}, time)
        assert len(known) <= 2 * 7 * 5


def test_a_late_event_does_not_turn_time_back() -> None:
    known = KnownSpans()
    known.remember({OWNS: {PAIR: (0, 5 * HOUR_MS)}}, 5 * HOUR_MS)
    known.remember({OWNS: {("account", "late"): (1, 1)}}, 1)
    assert known.covers(OWNS, PAIR, (4 * HOUR_MS, 5 * HOUR_MS))
    assert not known.covers(OWNS, ("account", "late"), (1, 1))
