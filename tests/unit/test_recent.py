"""The last hours in memory: what is held is what a walk through all transactions would hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from graph.events import Entity, Transaction
from streaming.recent import RecentTransactions
from tests.transactions import MINUTE, NOON, transaction

HOUR = 60 * MINUTE

payments = st.builds(
    lambda n, minute, card, account, device, email, status: transaction(
        f"t{n}",
        f"c{card}",
        event_time=NOON + minute * MINUTE,
        account=account,
        device=device,
        email=email,
        status=status,
    ),
    st.integers(0, 1_000),
    st.integers(0, 180),
    st.integers(0, 3),
    st.sampled_from([None, "a1", "a2"]),
    st.sampled_from([None, "d1", "d2"]),
    st.sampled_from([None, "e1", "e2"]),
    st.sampled_from(["approved", "declined", "refunded"]),
)


def cards_slowly(held: list[Transaction], end: Entity) -> set[Entity]:
    if end.label == "Device":
        return {Entity("Card", t.card) for t in held if t.device == end.id}
    accounts = {t.account for t in held if t.account is not None and t.email == end.id}
    return {Entity("Card", t.card) for t in held if t.account in accounts}


@settings(deadline=None)
@given(st.lists(payments, max_size=25, unique_by=lambda t: t.transaction_id))
def test_what_is_held_is_what_the_span_holds(transactions: list[Transaction]) -> None:
    recent = RecentTransactions(HOUR, limit=1_000)
    now = 0
    for each in transactions:
        now = max(now, each.event_time)
        recent.advance(now)
        recent.add(each)
    held = [
        t for t in transactions if t.event_time >= now - HOUR and t.status != "refunded" and (t.device is not None)
    ]
    assert len(recent) == sum(t.event_time >= now - HOUR for t in transactions)
    for device in ("d1", "d2"):
        assert recent.cards_at(Entity("Device", device)) == cards_slowly(held, Entity("Device", device))
    for card in {Entity("Card", t.card) for t in transactions}:
        own = [t for t in held if Entity("Card", t.card) == card]
        within = sorted((t.event_time, t.transaction_id) for t in own if t.event_time > now - HOUR)
        assert [(p.time, p.id) for p in recent.payments_of(card, now, 1_000)] == within
        assert bool(own) == (card in recent.components)
    recent.advance(now + 3 * HOUR)
    assert not len(recent)
    assert not any([recent._payments, recent._cards, recent._identifiers, recent._accounts, recent._due])
    assert not any([recent.components._near, recent.components._home, recent.components._due])


def test_an_accounts_mailbox_ties_every_card_that_it_pays_with() -> None:
    recent = RecentTransactions(HOUR, limit=1_000)
    recent.add(transaction("t1", "c1", account="a1", email="e", device="d1"))
    recent.add(transaction("t2", "c2", account="a1", device="d2"))
    recent.add(transaction("t3", "c3", account="a2", email="e", device="d3"))
    assert recent.cards_at(Entity("Email", "e")) == {Entity("Card", f"hmac:c{n}") for n in (1, 2, 3)}
    (payment,) = recent.payments_of(Entity("Card", "hmac:c2"), NOON, 8)
    assert set(recent.ties_of(payment, NOON)) == {Entity("Device", "d2"), Entity("Email", "e")}


def test_what_comes_twice_or_too_late_is_not_counted() -> None:
    recent = RecentTransactions(HOUR, limit=1_000)
    assert recent.add(transaction("t1", device="d"))
    assert not recent.add(transaction("t1", device="d"))
    recent.advance(NOON + 2 * HOUR)
    assert not recent.add(transaction("t2", device="d"))
    assert len(recent) == 0


def test_terminals_and_refunds_say_nothing() -> None:
    recent = RecentTransactions(HOUR, limit=1_000)
    for each in (
        transaction("t1", device="d", channel="pos"),
        transaction("t2", device="d", status="refunded"),
        transaction("t3"),
    ):
        assert recent.add(each)
        assert not recent.add(each)
    assert len(recent) == 3
    assert not recent.ends()
    assert not recent.payments_of(Entity("Card", "hmac:c1"), NOON, 8)


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    recent = RecentTransactions(HOUR, limit=10)
    for n in range(40):
        recent.add(transaction(f"t{n}", f"c{n}", event_time=NOON + n * 1_000, device="d"))
        assert len(recent) <= 10
    assert recent.cards_at(Entity("Device", "d")) == {Entity("Card", f"hmac:c{n}") for n in range(30, 40)}
    assert recent.dropped == 30


def test_a_hub_ties_nothing_until_nobody_remembers_it() -> None:
    recent = RecentTransactions(HOUR, limit=1_000)
    device, card = Entity("Device", "d"), Entity("Card", "hmac:c1")
    recent.add(transaction("t1", "c1", device="d", ip="i"))
    assert device in recent.components.component(card)
    recent.mark_hub(device)
    recent.add(transaction("t2", "c1", device="d"))
    assert device not in recent.components
    assert all(device not in recent.ties_of(payment, NOON) for payment in recent.payments_of(card, NOON, 8))
    recent.advance(NOON + 2 * HOUR)
    assert not recent._hubs
