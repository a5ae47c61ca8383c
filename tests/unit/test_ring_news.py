"""A ring makes a handful of alerts, and what it folds comes out in the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.rings import RingBook
from tests.findings import DAY, HOUR, MINUTE, SETTINGS, finding, only, taken


def test_a_ring_that_grows_to_fifty_cards_in_an_hour_makes_a_handful_of_alerts() -> None:
    book = RingBook(SETTINGS)
    cards = [f"c{number:02}" for number in range(50)]
    told = []
    for count in range(4, 51):
        time = DAY + count * HOUR // 50
        for rule in ("device_farm", "card_testing", "bin_attack"):
            for update in taken(book, finding("d1", cards[:count], rule=rule, time=time)):
                told += [update.changes] if update.changes else []
    book.flush()
    told += [update.changes for update in book.updates()]
    assert told[0] == ["created"]
    assert len(told) <= 5
    assert sum("typology_added" in changes for changes in told) == 1
    assert len(only(book).members) == 51


def test_a_ring_put_together_from_many_tells_of_it_once() -> None:
    book = RingBook(SETTINGS)
    for number in range(6):
        taken(book, finding(f"d{number}", [f"{number}a", f"{number}b"], time=DAY + number))
    winner = min(book.rings(), key=lambda ring: ring.first_seen)
    told = []
    for number in range(1, 6):
        bridge = finding("d0", [f"{number}a", f"{number}b"], time=DAY + number * MINUTE)
        for update in taken(book, bridge):
            told += [update.changes] if update.changes else []
    book.expire(DAY + 2 * HOUR)
    told += [update.changes for update in book.updates() if update.changes]
    assert only(book) is winner
    assert 1 <= len(told) <= 2
    assert "merged" in {change for changes in told for change in changes}
    assert len(winner.merged_from) == 5


def test_news_that_waits_comes_out_when_its_time_has_come() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc")))
    (folded,) = taken(book, finding("d1", list("abc"), rule="card_testing", time=DAY + MINUTE))
    assert folded.changes == []
    book.expire(DAY + HOUR)
    assert book.updates() == []
    restarted = RingBook(SETTINGS, book.rings())
    for each in (book, restarted):
        each.expire(DAY + HOUR + 1)
    (update,) = restarted.updates()
    assert update.changes == ["typology_added"]


def test_a_ring_that_has_doubled_too_soon_is_told_of_after_the_pause() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc")))
    taken(book, finding("d1", list("abcdefgh"), time=DAY + MINUTE))
    book.expire(DAY + 5 * MINUTE + 1)
    (update,) = book.updates()
    assert update.changes == ["grown"]
    assert update.suppressed == 1


growth = st.lists(
    st.tuples(st.integers(0, 600), st.sampled_from(["d1", "d2"]), st.integers(1, 40), st.sampled_from("pqr")),
    min_size=1,
    max_size=30,
)


@given(growth)
def test_nothing_that_was_folded_is_lost(steps: list[tuple[int, str, int, str]]) -> None:
    book = RingBook(SETTINGS)
    announced: dict[str, tuple[int, int, set[str]]] = {}
    for minute, device, count, rule in sorted(steps):
        cards = [f"{device}-{number}" for number in range(count)]
        one = finding(device, cards, rule=rule, time=DAY + minute * MINUTE)
        for update in taken(book, one):
            if update.changes:
                ring = update.ring
                announced[ring.id] = (len(ring.members), len(ring.evidence), set(ring.typologies))
    book.flush()
    for update in book.updates():
        ring = update.ring
        announced[ring.id] = (len(ring.members), len(ring.evidence), set(ring.typologies))
    assert announced == {
        ring.id: (len(ring.members), len(ring.evidence), set(ring.typologies)) for ring in book.rings()
    }
    assert not any(ring.has_news for ring in book.rings())
