"""Verdicts, and what a dismissal keeps quiet."""

from __future__ import annotations

import pytest

from graph.errors import RingwatchError
from graph.events import Entity
from queries.spec import Severity
from streaming.ring_lineage import mint_ring_id
from streaming.ring_state import Ring
from streaming.ring_verdicts import CONFIDENCE, CONFIDENCE_AT_HUB, Judgement, confidence, judge
from streaming.rings import RingBook
from tests.findings import DAY, HOUR, MINUTE, SETTINGS, finding, only, taken

WALL_CLOCK = 1_800_000_000_000


def judged(ring: Ring, judgement: Judgement, now: int = DAY) -> Ring:
    judge(ring, judgement, reason="because", by="ada", at=WALL_CLOCK, now=now)
    return ring


def a_ring(severity: Severity = "high") -> Ring:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc"), severity=severity))
    return only(book)


def dismissed(now: int = DAY) -> RingBook:
    """A book with one ring, {d1, a, b, c}, which was dismissed."""
    return RingBook(SETTINGS, [judged(a_ring(), "dismissed", now)])


@pytest.mark.parametrize(
    ("judgements", "status", "verdict"),
    [
        (["investigating"], "investigating", None),
        (["investigating", "confirmed"], "confirmed", "confirmed"),
        (["confirmed", "dismissed"], "dismissed", "dismissed"),
        (["dismissed", "open"], "open", None),
        (["dismissed", "open", "investigating"], "investigating", None),
    ],
)
def test_every_verdict_is_noted(judgements: list[Judgement], status: str, verdict: str | None) -> None:
    ring = a_ring()
    for judgement in judgements:
        judged(ring, judgement)
    assert (ring.status, ring.verdict) == (status, verdict)
    assert [made.status for made in ring.history] == judgements
    assert {(made.by, made.at, made.reason) for made in ring.history} == {("ada", WALL_CLOCK, "because")}
    assert ring.judged_at == (WALL_CLOCK if verdict else None)


@pytest.mark.parametrize("judgement", ["open", "confirmed", "dismissed", "investigating"])
def test_what_is_so_already_cannot_become_so(judgement: Judgement) -> None:
    ring = a_ring()
    if judgement != "open":
        judged(ring, judgement)
    with pytest.raises(RingwatchError, match="already"):
        judged(ring, judgement)


def test_who_has_a_verdict_is_not_investigated() -> None:
    with pytest.raises(RingwatchError, match="reopen it first"):
        judged(judged(a_ring(), "confirmed"), "investigating")


def test_an_expired_ring_keeps_its_verdict_and_can_still_get_one() -> None:
    book = RingBook(SETTINGS, [judged(a_ring(), "confirmed")])
    ring = only(book)
    book.expire(DAY + SETTINGS.expiry_ms + 1)
    assert (ring.status, ring.verdict) == ("expired", "confirmed")
    judged(ring, "open", now=40 * DAY)
    assert (ring.status, ring.verdict) == ("open", None)
    reopened = RingBook(SETTINGS, [ring])
    reopened.expire(70 * DAY)
    assert len(reopened) == 1
    reopened.expire(70 * DAY + 1)
    assert len(reopened) == 0
    judged(ring, "confirmed", now=70 * DAY + 1)
    assert (ring.status, ring.verdict) == ("expired", "confirmed")


def test_a_dismissed_ring_grows_silently_and_counts_what_it_swallows() -> None:
    book = dismissed()
    for number, cards in enumerate(("abcx", "abcxy"), 1):
        (update,) = taken(book, finding("d1", list(cards), time=DAY + number * HOUR))
        assert (update.changes, update.folded) == ([], 1)
    (again,) = taken(book, finding("d1", list("abcxy"), time=DAY + 3 * HOUR))
    assert again.folded == 0
    book.flush()
    assert book.updates() == []
    ring = only(book)
    assert (ring.status, ring.suppressed_count) == ("dismissed", 2)
    assert Entity("Card", "y") in ring.members


def test_what_a_dismissal_swallows_is_not_looked_at_again() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a"]), finding("d1", ["b"], rule="other"))
    ring = judged(only(book), "dismissed")
    ring.announced.members = 1  # as if it had doubled since the last alert
    book = RingBook(SETTINGS, [ring])
    taken(book, finding("d1", list("abc"), rule="third", time=DAY + HOUR))
    book.expire(DAY + 5 * HOUR)
    assert book.updates() == []


def test_it_breaks_when_half_the_strong_members_are_new() -> None:
    book = dismissed()
    (quiet,) = taken(book, finding("d1", list("abcxyz"), time=DAY + HOUR))
    assert quiet.changes == []  # three of seven
    (update,) = taken(book, finding("d1", list("abcxyzw"), time=DAY + 2 * HOUR))
    assert update.changes == ["reopened"]
    assert (update.ring.status, update.ring.verdict) == ("open", None)
    assert update.suppressed == 1
    assert update.ring.history[-1].by == "ringwatch"
    assert update.ring.history[-1].reason.startswith("4 of its 8 strong members")
    assert update.ring.id == mint_ring_id(finding("d1", []))


def test_it_breaks_when_another_more_severe_typology_shows() -> None:
    book = dismissed()
    (equal,) = taken(book, finding("d1", list("abc"), rule="card_testing", time=DAY + HOUR))
    assert equal.changes == []
    takeover = finding("d1", list("abc"), rule="account_takeover_fan_in", severity="critical", time=DAY + 2 * HOUR)
    (update,) = taken(book, takeover)
    assert set(update.changes) == {"reopened", "escalated", "typology_added"}


def test_it_lapses_after_its_time() -> None:
    book = dismissed(now=5 * DAY)
    end = 5 * DAY + SETTINGS.dismissal_ms
    book.expire(end)
    (quiet,) = taken(book, finding("d1", list("abc"), time=end, suffix="2"))
    assert quiet.changes == []
    (update,) = taken(book, finding("d1", list("abc"), time=end + 1, suffix="3"))
    assert update.changes == ["reopened"]
    assert update.ring.history[-1].reason == "the dismissal has lapsed"


def test_an_expired_dismissal_is_forgotten_but_the_verdict_is_not() -> None:
    book = dismissed(now=5 * DAY)
    taken(book, finding("d1", list("abcx"), time=2 * DAY))
    book.expire(5 * DAY + SETTINGS.dismissal_ms + 1)
    (update,) = book.updates()
    assert (update.ring.status, update.ring.verdict, update.changes) == ("expired", "dismissed", [])
    assert len(book) == 0


def test_another_core_is_another_ring() -> None:
    book = dismissed()
    updates = taken(book, finding("d2", list("abc"), time=DAY + HOUR))
    assert [update.changes for update in updates] == [["created"]]
    assert len(book) == 2


def test_a_living_ring_is_told_of_even_if_a_dismissed_one_knows_its_core() -> None:
    book = dismissed()
    taken(book, finding("d2", list("xyz"), time=DAY + HOUR))
    updates = taken(book, finding("d1", list("xyz"), rule="card_testing", time=DAY + 4 * HOUR))
    (update,) = updates
    assert update.ring.id == mint_ring_id(finding("d2", [], time=DAY + HOUR))
    assert update.changes == ["typology_added"]


def test_confirmed_beats_older_and_tells_of_new_transactions() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc")), finding("d2", list("xyz"), time=DAY + MINUTE))
    older, newer = sorted(book.rings(), key=lambda ring: ring.first_seen)
    judged(newer, "confirmed")
    book = RingBook(SETTINGS, [older, newer])
    updates = taken(book, finding("d3", list("abxy"), time=DAY + 2 * HOUR, suffix="2"))
    assert only(book) is newer
    assert (older.status, older.merged_into) == ("merged", newer.id)
    told = next(update for update in updates if update.ring is newer)
    assert set(told.changes) >= {"merged", "acted"}
    assert (newer.status, newer.verdict) == ("confirmed", "confirmed")


def test_a_confirmed_ring_tells_of_new_transactions_once_an_hour() -> None:
    book = RingBook(SETTINGS, [judged(a_ring(), "confirmed")])
    told = []
    for minute in range(0, 240, 5):
        time = DAY + HOUR + minute * MINUTE
        for update in taken(book, finding("d1", list("abc"), time=time, suffix=f"-{minute}")):
            told += update.changes
    assert told == ["acted"] * 4


def test_a_hub_does_not_withdraw_what_somebody_has_decided() -> None:
    for judgement in ("confirmed", "dismissed"):
        book = RingBook(SETTINGS, [judged(a_ring(), judgement)])
        book.withdraw(Entity("Device", "d1"), 2 * DAY)
        assert only(book).status == judgement


def test_a_withdrawn_ring_is_not_born_again_by_the_same_finding() -> None:
    book = RingBook(SETTINGS)
    first = finding("d1", list("abc"))
    taken(book, first)
    book.withdraw(Entity("Device", "d1"), 2 * DAY)
    book.updates()
    book.births = {mint_ring_id(first): mint_ring_id(first)}
    assert taken(book, first) == []
    assert len(book) == 0


def test_a_finding_that_gave_birth_to_a_loser_belongs_to_the_winner() -> None:
    book = RingBook(SETTINGS)
    second = finding("ip", list("xyz"), core_label="IP", time=DAY + MINUTE)
    taken(book, finding("d1", list("abc")), second)
    taken(book, finding("d3", list("abxy"), time=DAY + HOUR))
    winner = only(book)
    assert taken(book, second)[0].ring is winner
    restarted = RingBook(SETTINGS, [winner])
    assert taken(restarted, second)[0].ring is winner
    assert len(restarted) == 1


def test_camouflage_at_a_hub_is_less_certain() -> None:
    assert confidence(DAY, DAY - 1) == CONFIDENCE_AT_HUB < CONFIDENCE
    assert confidence(DAY, DAY + 1) == confidence(DAY, None) == CONFIDENCE
