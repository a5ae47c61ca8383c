"""Rings in memory: birth, growth, merging, withdrawal, expiry and what is worth an alert."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.events import Entity
from queries.spec import Finding, Member
from streaming.ring_lineage import mint_ring_id
from streaming.ring_state import Fact
from streaming.rings import RingBook
from tests.findings import DAY, MINUTE, SETTINGS, finding, taken


def test_a_finding_gives_birth_to_a_ring_and_an_alert() -> None:
    (update,) = taken(RingBook(SETTINGS), finding("d1", ["a", "b", "c"]))
    assert update.changes == ["created"]
    assert update.ring.revision == 1
    assert set(update.ring.members) == {Entity("Device", "d1"), *(Entity("Card", c) for c in "abc")}
    assert update.ring.amounts() == {"EUR": 300}


def test_a_ring_is_withdrawn_when_all_that_holds_it_together_is_allow_listed() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]), finding("d2", ["x", "y", "z"]))
    book.withdraw(Entity("Device", "d1"), 2 * DAY, "allow_listed")
    (update,) = book.updates()
    assert (update.ring.status, update.changes) == ("withdrawn", ["allow_listed"])
    assert [ring.cores() for ring in book.rings()] == [[Entity("Device", "d2")]]


def test_of_two_cores_the_one_that_is_not_allow_listed_holds_the_ring() -> None:
    book = RingBook(SETTINGS)
    (update,) = taken(book, finding("d1", ["a", "b", "c"]), finding("d2", ["a", "b", "c"], time=DAY + 1))
    assert len(update.ring.cores()) == 2
    book.withdraw(Entity("Device", "d1"), 2 * DAY, "allow_listed")
    assert [ring.cores() for ring in book.rings()] == [[Entity("Device", "d2")]]
    book.withdraw(Entity("Device", "d2"), 2 * DAY, "allow_listed")
    assert book.rings() == []


def test_a_merchant_is_withdrawn_as_allow_listed_and_not_as_a_hub() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("m1", ["a", "b", "c"], core_label="Merchant"))
    book.withdraw(Entity("Merchant", "m1"), 2 * DAY)
    assert len(book.rings()) == 1
    book.withdraw(Entity("Merchant", "m1"), 2 * DAY, "allow_listed")
    assert book.rings() == []


def test_the_id_comes_from_the_birth_and_not_from_the_members() -> None:
    first = finding("d1", ["a", "b", "c"])
    (once,) = taken(RingBook(SETTINGS), first, finding("d1", ["a", "b", "c", "d"], time=DAY + 1))
    (again,) = taken(RingBook(SETTINGS), first)
    assert once.ring.id == again.ring.id == mint_ring_id(first)
    assert mint_ring_id(finding("d1", ["x", "y", "z"])) == mint_ring_id(first)
    assert mint_ring_id(finding("d2", ["a", "b", "c"])) != mint_ring_id(first)


def test_growth_is_folded_until_the_ring_has_doubled_and_five_minutes_have_passed() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    (folded,) = taken(book, finding("d1", ["a", "b", "c", "d"], time=DAY + MINUTE))
    assert folded.changes == []
    assert folded.ring.suppressed_count == 1
    (too_soon,) = taken(book, finding("d1", list("abcdefgh"), time=DAY + 2 * MINUTE))
    assert too_soon.changes == []
    (grown,) = taken(book, finding("d1", list("abcdefghi"), time=DAY + 6 * MINUTE))
    assert grown.changes == ["grown"]
    assert grown.suppressed == 2
    assert grown.ring.revision == 2
    assert grown.ring.suppressed_count == 0


def test_a_repeated_finding_changes_nothing() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    (update,) = taken(book, finding("d1", ["a", "b", "c"]))
    assert (update.changes, update.new_members, update.new_evidence) == ([], [], [])
    assert update.ring.revision == 1
    assert update.ring.suppressed_count == 0


def test_more_severe_is_never_folded() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    (update,) = taken(
        book, finding("d1", ["a", "b", "c"], rule="account_takeover_fan_in", severity="critical", time=DAY + 1)
    )
    assert set(update.changes) == {"typology_added", "escalated"}
    assert update.ring.severity == "critical"


def test_findings_that_share_a_strong_core_are_one_ring() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]), finding("d1", ["x", "y", "z"], rule="card_testing"))
    (ring,) = book.rings()
    assert set(ring.typologies) == {"device_farm", "card_testing"}


def test_a_shared_address_of_the_network_is_not_enough() -> None:
    book = RingBook(SETTINGS)
    taken(
        book,
        finding("ip", ["a", "b", "c"], core_label="IP", rule="one"),
        finding("ip", ["x", "y", "z"], core_label="IP", rule="other"),
    )
    assert len(book) == 2


def held(account: str, cards: str, *also: Member) -> Finding:
    """A finding about an account, of which others than its cards are members too."""
    one = finding(account, list(cards), core_label="Account", rule="card_cycling")
    return msgspec.structs.replace(one, members=tuple(sorted((*one.members, *also))))


@pytest.mark.parametrize(
    ("label", "rings"), [("Account", 2), ("Address", 2), ("Device", 1), ("Email", 1), ("IP", 2), ("Phone", 1)]
)
def test_what_is_in_one_hand_is_enough_whatever_part_it_plays(label: str, rings: int) -> None:
    as_member = held("two", "ijklmnop", Member(label, "x", "member"))
    as_core = finding("x", list("ijklmnop"), core_label=label)
    for other in (as_member, as_core):
        book = RingBook(SETTINGS)
        taken(book, held("one", "abcdefgh", Member(label, "x", "member")), other)
        assert len(book) == rings


@pytest.mark.parametrize(
    ("drained", "transfers", "rings"),
    [
        ("abijklmnopqrstuvw", "3456", 1),
        ("abijklmnopqrstuvw", "4567", 2),  # too few of them
        ("aijklmnopqrstuvw", "3456", 2),  # all of one account, which two thieves may have
    ],
)
def test_what_rests_on_the_same_payments_of_several_is_one_ring(drained: str, transfers: str, rings: int) -> None:
    """One rule tells of the account that money goes to, another of who drains those that it comes from."""
    mule = finding("mule", list("abcdefgh"), core_label="Account")
    thief = finding("thief", list(drained), rule="account_takeover_fan_in")
    book = RingBook(SETTINGS)
    taken(book, msgspec.structs.replace(mule, evidence=("1", "2", "3", "4")))
    taken(book, msgspec.structs.replace(thief, evidence=tuple(transfers)))
    assert len(book) == rings


def test_a_card_and_its_account_are_one_owner_whom_two_thieves_may_have() -> None:
    book = RingBook(SETTINGS)
    victim = Member("Account", "victim", "member")
    for name, cards in (("one", "abcdefgh"), ("other", "aijklmno")):
        thief = finding(name, list(cards), rule="account_takeover_fan_in")
        members = tuple(sorted((*thief.members, victim)))
        taken(book, msgspec.structs.replace(thief, members=members, evidence=("1", "2")))
    assert len(book) == 2


def test_a_shared_place_is_enough_with_a_card_that_both_have() -> None:
    book = RingBook(SETTINGS)
    first = finding("ip", list("abcdefgh"), core_label="IP", rule="one")
    taken(book, first, finding("ip", list("ijklmnop"), core_label="IP", rule="two"))
    taken(book, finding("other", ["a", *"qrstuvwx"], core_label="IP", rule="three"))
    assert len(book) == 3
    taken(book, finding("ip", ["a", *"123456789"], core_label="IP", rule="four"))
    assert len(book) == 3
    home = next(ring for ring in book.rings() if Entity("Card", "b") in ring.members)
    assert set(home.typologies) == {"one", "four"}


def test_a_bridging_finding_merges_rings_into_the_oldest() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]), finding("d2", ["x", "y", "z"], time=DAY + MINUTE))
    updates = taken(book, finding("d3", ["a", "b", "x", "y"], time=DAY + 2 * MINUTE))
    (winner,) = book.rings()
    assert winner.id == mint_ring_id(finding("d1", []))
    loser = next(update.ring for update in updates if update.ring.id != winner.id)
    assert (loser.status, loser.merged_into) == ("merged", winner.id)
    assert winner.merged_from == [loser.id]
    assert {Entity("Device", d) for d in ("d1", "d2", "d3")} <= set(winner.members)
    assert set(winner.evidence) == {f"t-{c}" for c in "abcxyz"}


def test_a_ring_whose_only_core_becomes_a_hub_is_withdrawn() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    book.withdraw(Entity("Device", "d1"), DAY)
    (update,) = book.updates()
    assert update.changes == ["withdrawn"]
    assert update.ring.status == "withdrawn"
    assert len(book) == 0


def test_a_merchant_may_be_a_hub_and_still_hold_a_ring() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("m1", ["a", "b", "c"], core_label="Merchant"))
    book.withdraw(Entity("Merchant", "m1"), DAY)
    assert len(book) == 1


def test_rings_expire_by_event_time_and_do_not_come_back() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    book.expire(DAY + SETTINGS.expiry_ms)
    assert len(book) == 1
    book.expire(DAY + SETTINGS.expiry_ms + 1)
    assert len(book) == 0
    (update,) = book.updates()
    assert (update.ring.status, update.changes) == ("expired", [])
    taken(book, finding("d1", ["a", "b", "c"], time=DAY + SETTINGS.expiry_ms + 2))
    (ring,) = book.rings()
    assert ring.id != update.ring.id


def test_what_is_found_long_afterwards_joins_the_ring_that_is_known_by_then() -> None:
    book = RingBook(SETTINGS)
    cards = [f"c{number}" for number in range(8)]
    book.facts.update({f"t-{card}": Fact(DAY, 100, "EUR", 0.9) for card in cards})
    book.expire(60 * DAY)
    for count, day in ((5, 60), (6, 75), (8, 100)):
        taken(book, finding("shop", cards[:count], core_label="Merchant", time=day * DAY))
        book.expire(day * DAY)
    (ring,) = book.rings()
    assert len(ring.evidence) == 8
    book.expire(100 * DAY + SETTINGS.expiry_ms)
    assert len(book) == 1
    book.expire(100 * DAY + SETTINGS.expiry_ms + 1)
    assert ring.status == "expired"


def test_what_was_folded_is_announced_when_the_stream_ends() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", ["a", "b", "c"]))
    taken(book, finding("d1", ["a", "b", "c", "d"], time=DAY + MINUTE))
    book.flush()
    (update,) = book.updates()
    assert update.changes == ["updated"]
    assert update.suppressed == 1
    book.flush()
    assert book.updates() == []


findings = st.lists(
    st.builds(
        lambda device, cards, minute: finding(device, sorted(cards), time=DAY + minute * MINUTE),
        st.sampled_from(["d1", "d2", "d3"]),
        st.sets(st.sampled_from("abcdefghij"), min_size=2, max_size=6),
        st.integers(0, 200),
    ),
    max_size=20,
)


@given(findings, st.integers(1, 20))
def test_how_a_stream_is_cut_into_batches_does_not_change_the_rings(stream: list[Finding], size: int) -> None:
    ordered = sorted(stream, key=lambda one: (one.time, one.rule, one.identity))
    facts = {key: Fact(DAY, 100, "EUR", 0.9) for one in ordered for key in one.evidence}
    whole, cut = RingBook(SETTINGS), RingBook(SETTINGS)
    whole.facts.update(facts)
    cut.facts.update(facts)
    for one in ordered:
        whole.take(one)
    whole.updates()
    for start in range(0, len(ordered), size):
        for one in ordered[start : start + size]:
            cut.take(one)
        cut.updates()

    def shown(book: RingBook) -> dict[str, object]:
        return {ring.id: (ring.members, ring.evidence, ring.merged_from) for ring in book.rings()}

    assert shown(whole) == shown(cut)


@given(findings)
def test_every_member_and_all_evidence_of_every_finding_is_in_exactly_one_chain_of_rings(
    stream: list[Finding],
) -> None:
    book = RingBook(SETTINGS)
    for one in sorted(stream, key=lambda one: (one.time, one.rule, one.identity)):
        taken(book, one)
        homes = [ring for ring in book.rings() if (one.rule, *one.identity) in ring.identities()]
        assert len(homes) == 1
        assert {member.entity for member in one.members} <= set(homes[0].members)
        assert set(one.evidence) <= set(homes[0].evidence)
