"""Ties age: what they held together comes apart, into the same rings whatever the batches."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.events import Entity
from queries.spec import Finding, Member
from streaming import ring_ties
from streaming.ring_lineage import mint_ring_id
from streaming.ring_state import STRENGTH, Change, Fact, Tie
from streaming.ring_ties import MAX_TIES, bind, parts
from streaming.rings import RingBook
from tests.findings import DAY, HOUR, MINUTE, SETTINGS, finding, only, taken

SPAN = SETTINGS.expiry_ms


def bridged() -> RingBook:
    """Two devices that a third one made one ring, and that go on for themselves."""
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abcde")))
    taken(book, finding("d2", list("xyz"), time=DAY + MINUTE))
    taken(book, finding("d3", list("abcxy"), time=DAY + HOUR))
    taken(book, finding("d1", list("abcde"), time=3 * DAY, suffix="2"))
    taken(book, finding("d2", list("xyz"), time=3 * DAY, suffix="2"))
    return book


def test_a_ring_splits_when_what_held_its_parts_together_has_expired() -> None:
    book = bridged()
    assert only(book).id == mint_ring_id(finding("d1", []))
    book.expire(DAY + HOUR + SPAN)
    assert len(book) == 1
    book.expire(DAY + HOUR + SPAN + 1)
    kept, new = sorted(book.rings(), key=lambda ring: -len(ring.evidence))
    assert kept.id == mint_ring_id(finding("d1", []))
    assert (new.split_from, kept.split_from) == (kept.id, None)
    assert set(new.members) == {Entity("Device", "d2"), *(Entity("Card", card) for card in "xyz")}
    assert set(new.evidence) == {*(f"t-{card}" for card in "xyz"), *(f"t-{card}2" for card in "xyz")}
    assert {Entity("Device", d) for d in ("d1", "d3")} <= set(kept.members)
    assert not set(kept.members) & set(new.members)
    assert not set(kept.evidence) & set(new.evidence)
    by_id = {update.ring.id: update for update in book.updates()}
    assert by_id[new.id].changes == ["split"]
    assert (by_id[new.id].replaced, by_id[kept.id].replaced) == (True, True)
    assert new.revision == 1


def test_each_part_goes_on_for_itself() -> None:
    book = bridged()
    book.expire(DAY + HOUR + SPAN + 1)
    kept, new = sorted(book.rings(), key=lambda ring: -len(ring.evidence))
    taken(book, finding("d2", list("xyzq"), time=3 * DAY + SPAN, suffix="3"))
    assert Entity("Card", "q") in new.members
    assert Entity("Card", "q") not in kept.members
    assert len(book) == 2


def test_what_is_seen_again_together_stays_together() -> None:
    book = bridged()
    taken(book, finding("d3", list("abcxy"), time=3 * DAY, suffix="3"))
    book.expire(DAY + HOUR + SPAN + 1)
    assert len(book) == 1


def test_merchants_hold_nothing_together() -> None:
    book = RingBook(SETTINGS)
    shop = finding("shop", list("abcxyz"), core_label="Merchant", rule="cash_out")
    taken(book, shop)
    later = 2 * DAY
    for cards, name in (("abc", "one"), ("xyz", "two")):
        taken(book, finding("shop", list(cards), core_label="Merchant", rule=name, time=later, suffix="2"))
    assert len(book) == 1
    book.expire(DAY + SPAN + 1)
    assert len(book) == 2
    assert all(Entity("Merchant", "shop") in ring.members for ring in book.rings())


def test_a_hub_that_is_not_the_only_core_stops_holding_its_ring_together() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc")), finding("d2", list("xyz"), time=DAY + 1))
    taken(book, finding("ip", list("abxy"), core_label="IP", time=DAY + 2))
    assert len(book) == 1
    (ring,) = book.rings()
    book.withdraw(Entity("IP", "ip"), 2 * DAY)
    assert ring.members[Entity("IP", "ip")].role == "member"
    assert ring.status == "open"
    ids = {ring.id for ring in book.rings()}
    # The finding of the address still names cards of both; only as what they share does it count no more.
    assert ids == {mint_ring_id(finding("d1", []))}


@pytest.mark.parametrize("why", ["withdrawn", "allow_listed"])
@pytest.mark.parametrize("customers", ["abcde", "ab"])  # what is left of the larger part keeps the id
def test_of_a_ring_that_comes_apart_what_only_the_hub_held_is_withdrawn(customers: str, why: Change) -> None:
    book = RingBook(SETTINGS)
    kiosk = finding("kiosk", list(customers))
    ring = finding("d2", list("xyz"), time=DAY + 1)
    at_the_kiosk = (*ring.members, Member("Device", "kiosk", "member"))
    taken(book, kiosk, msgspec.structs.replace(ring, members=tuple(sorted(at_the_kiosk))))
    assert len(book) == 1
    book.withdraw(Entity("Device", "kiosk"), 2 * DAY, why)
    told = {tuple(update.ring.cores()): update for update in book.updates()}
    assert told[()].ring.status == "withdrawn"
    assert why in told[()].changes
    assert {Entity("Card", card) for card in customers} <= told[()].ring.members.keys()
    (left,) = book.rings()
    assert left is told[Entity("Device", "d2"),].ring
    assert (left.status, set(left.evidence)) == ("open", {"t-x", "t-y", "t-z"})


def test_a_ring_with_many_ties_folds_the_oldest_and_forgets_nobody() -> None:
    ties: list[Tie] = []
    for number in range(MAX_TIES + 20):
        bind(ties, finding(f"d{number}", ["a", f"c{number}"], time=DAY + number))
    assert len(ties) == MAX_TIES
    assert {entity for tie in ties for entity in tie.entities()} >= {
        Entity("Device", f"d{number}") for number in range(MAX_TIES + 20)
    }
    assert sum(len(tie.identities) for tie in ties) == MAX_TIES + 20


links = st.dictionaries(
    st.sampled_from(["Card", "Device", "IP", "Merchant"]),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
)


@given(st.lists(links, max_size=12))
def test_the_parts_are_the_components_that_networkx_finds(all_links: list[dict[str, dict[str, int]]]) -> None:
    ties = [Tie([("rule", str(number))], held) for number, held in enumerate(all_links)]
    slow = networkx.Graph()
    for number, tie in enumerate(ties):
        slow.add_node(number)
        slow.add_edges_from((number, entity) for entity in tie.entities() if STRENGTH[entity.label])
    expected = {
        frozenset(node for node in component if isinstance(node, int))
        for component in networkx.connected_components(slow)
    }
    found = {frozenset(int(tie.identities[0][1]) for tie in group) for group in parts(ties)}
    assert found == expected


SHORT = replace(SETTINGS, expiry_ms=40 * MINUTE)

streams = st.lists(
    st.builds(
        lambda device, cards, minute, rule: finding(
            device, sorted(cards), time=DAY + minute * MINUTE, rule=rule, core_label=device[:-1]
        ),
        st.sampled_from(["Device1", "Device2", "Device3", "IP1", "Merchant1"]),
        st.sets(st.sampled_from("abcdefghij"), min_size=1, max_size=5),
        st.integers(0, 200),
        st.sampled_from(["one", "two"]),
    ),
    max_size=25,
)


def run(stream: list[Finding], size: int) -> RingBook:
    """The stream in batches, each followed by the watermark that it brings; rule two tells of what is past."""
    book = RingBook(SHORT)
    for start in range(0, len(stream), size):
        batch = stream[start : start + size]
        for index, one in enumerate(batch, start):
            ago = 2 * SHORT.expiry_ms if one.rule == "two" else 0
            book.facts[f"t{index}"] = Fact(one.time - ago, 100, "EUR", 0.9)
            book.take(msgspec.structs.replace(one, evidence=(f"t{index}",)))
        book.expire(batch[-1].time)
        book.updates()
    return book


def shown(book: RingBook) -> dict[str, object]:
    return {
        ring.id: (ring.members, ring.evidence, ring.merged_from, ring.split_from, ring.ties)
        for ring in book.rings()
    }


@given(streams, st.integers(1, 25))
def test_how_a_stream_is_cut_does_not_change_what_splits(stream: list[Finding], size: int) -> None:
    ordered = sorted(stream, key=lambda one: (one.time, one.rule, one.identity))
    assert shown(run(ordered, 25)) == shown(run(ordered, size))


@given(streams)
def test_what_a_finding_tied_is_in_one_ring_until_it_has_expired(stream: list[Finding]) -> None:
    ordered = sorted(stream, key=lambda one: (one.time, one.rule, one.identity))
    book = run(ordered, 3)
    for index, one in enumerate(ordered):
        if one.time + SHORT.expiry_ms < ordered[-1].time:
            continue
        homes = [ring for ring in book.rings() if f"t{index}" in ring.evidence]
        assert len(homes) == 1
        assert ring_ties.identity_of(one) in homes[0].identities()
        assert {member.entity for member in one.members} <= homes[0].members.keys()
        assert homes[0].cores()
