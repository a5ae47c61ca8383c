"""The transactions of the last hours in memory: who paid, with what, and what hangs together by it.

What is held is a function of the transactions of that span and of nothing else, so that it can be rebuilt from the
graph. Of what ties nobody to anybody (refunds, and payments at a merchant's own terminal) only the id is kept.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec

from graph.events import Entity, Transaction
from streaming.components import Components

#: The times of an account's identifiers are kept to the minute (ms), as the graph has them.
RESOLUTION_MS = 60_000
#: A span expires in so many steps; a limit that is reached puts out this share at once.
_STEPS = 60
_SHARE = 20

#: What says nothing about belonging together by itself: strangers meet at a merchant and behind an address.
PLACES = frozenset({"IP", "Merchant"})


class Payment(msgspec.Struct, frozen=True, order=True, gc=False):
    """What is kept of a transaction, in order of time (epoch ms); ``ends`` are the entities it names itself."""

    time: int
    id: str
    card: Entity
    account: Entity | None
    ends: tuple[Entity, ...]
    declined: bool


class RecentTransactions:
    """The transactions of the last ``span_ms`` of event time, at most ``limit`` of them.

    An account's e-mails, phones and addresses count for each of its payments: the graph has them at the account.
    ``components`` are the cards, accounts, devices and identifiers that hang together; hubs, merchants and IP
    addresses hold nothing together. ``dropped`` counts what the limit put out before its time.
    """

    def __init__(self, span_ms: int, limit: int) -> None:
        self._span_ms = span_ms
        self._step_ms = max(1, span_ms // _STEPS)
        self._limit = limit
        self._due: list[tuple[int, str]] = []
        self._held: dict[str, Payment | None] = {}
        self._payments: dict[Entity, list[Payment]] = {}
        self._cards: dict[Entity, Counter[Entity]] = defaultdict(Counter)
        self._identifiers: dict[Entity, dict[Entity, int]] = {}
        self._accounts: dict[Entity, set[Entity]] = defaultdict(set)
        self._hubs: set[Entity] = set()
        self._floor = 0
        self.components = Components()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, transaction_id: str) -> bool:
        return transaction_id in self._held

    def add(self, transaction: Transaction) -> bool:
        """Take a transaction up; returns whether it is new and not too old to be held."""
        time, key = transaction.event_time, transaction.transaction_id
        if time < self._floor or key in self._held:
            return False
        ends = ends_of(transaction)
        self._held[key] = self._tied(transaction, ends) if ends else None
        heapq.heappush(self._due, (time, key))
        if len(self._held) > self._limit:
            held = len(self._held)
            self._due.sort()
            self._forget_before(self._due[held // _SHARE][0] + 1)
            self.dropped += held - len(self._held)
        return True

    def _tied(self, transaction: Transaction, ends: tuple[Entity, ...]) -> Payment:
        time, card = transaction.event_time, Entity("Card", transaction.card)
        account = Entity("Account", transaction.account) if transaction.account is not None else None
        declined = transaction.status == "declined"
        payment = Payment(time, transaction.transaction_id, card, account, ends, declined)
        insort(self._payments.setdefault(card, []), payment)
        for end in ends:
            self._cards[end][card] += 1
            if end.label not in PLACES and end not in self._hubs:
                self.components.add(card, end, time)
        if account is not None:
            self._cards[account][card] += 1
            self.components.add(card, account, time)
            for identifier in identifiers_of(transaction):
                self.identify(account, identifier, time)
        return payment

    def identify(self, account: Entity, identifier: Entity, time: int) -> None:
        """Note that an account that has payments here had an identifier at a time (epoch ms)."""
        time = time // RESOLUTION_MS * RESOLUTION_MS
        known = self._identifiers.setdefault(account, {})
        known[identifier] = max(time, known.get(identifier, time))
        self._accounts[identifier].add(account)
        if identifier not in self._hubs:
            self.components.add(account, identifier, time)

    def mark_hub(self, entity: Entity) -> None:
        """Let an entity hold nothing together any more."""
        if entity not in self._hubs:
            self._hubs.add(entity)
            self.components.remove(entity)

    def accounts(self) -> set[Entity]:
        """The accounts that have payments here."""
        return {entity for entity in self._cards if entity.label == "Account"}

    def ends(self) -> set[Entity]:
        """What ties payments here, or would if it were no hub."""
        return {*self._cards, *self._accounts} - self.accounts()

    def advance(self, now: int) -> None:
        """Forget what is older than the span, once in a 60th of it."""
        floor = (now - self._span_ms) // self._step_ms * self._step_ms
        if floor > self._floor:
            self._forget_before(floor)

    def payments_of(self, card: Entity, until: int, most: int) -> list[Payment]:
        """A card's newest payments in the span that ends at a time, at most so many, the oldest first."""
        since = until - self._span_ms
        return [p for p in self._payments.get(card, ()) if since < p.time <= until][-most:]

    def ties_of(self, payment: Payment, until: int) -> Iterator[Entity]:
        """What ties a payment to others: its own ends, and its account's identifiers of the span; no hubs."""
        hubs = self._hubs
        for end in payment.ends:
            if end not in hubs:
                yield end
        if payment.account is not None and (known := self._identifiers.get(payment.account)):
            for identifier, last in known.items():
                if last > until - self._span_ms and identifier not in hubs and identifier not in payment.ends:
                    yield identifier

    def cards_at(self, end: Entity) -> set[Entity]:
        """The cards that an end was seen with, or whose accounts were."""
        cards = set(self._cards.get(end, ()))
        for account in self._accounts.get(end, ()):
            cards.update(self._cards[account])
        return cards

    def is_shared(self, end: Entity) -> bool:
        """Whether an end was seen with more than one card, or such accounts."""
        accounts = self._accounts.get(end, ())
        return len(self._cards.get(end, ())) > 1 or len(accounts) > 1 or len(self.cards_at(end)) > 1

    def _forget_before(self, floor: int) -> None:
        self._floor = floor
        while self._due and self._due[0][0] < floor:
            payment = self._held.pop(heapq.heappop(self._due)[1])
            if payment is None:
                continue
            own = self._payments[payment.card]
            own.remove(payment)
            if not own:
                del self._payments[payment.card]
            for end in payment.ends:
                if self._unlink(end, payment.card) and end not in self._accounts:
                    self._hubs.discard(end)
            if payment.account is not None and self._unlink(payment.account, payment.card):
                for identifier in self._identifiers.pop(payment.account, ()):
                    accounts = self._accounts[identifier]
                    accounts.discard(payment.account)
                    if not accounts:
                        del self._accounts[identifier]
                        if identifier not in self._cards:
                            self._hubs.discard(identifier)
        self.components.expire(floor)

    def _unlink(self, end: Entity, card: Entity) -> bool:
        """Take one payment of a card away from an end; returns whether nothing is left there."""
        cards = self._cards[end]
        cards[card] -= 1
        if not cards[card]:
            del cards[card]
        if not cards:
            del self._cards[end]
            return True
        return False


def ends_of(transaction: Transaction) -> tuple[Entity, ...]:
    """The entities by which a transaction itself may be tied to others; none for a refund, or at a terminal."""
    if transaction.status in ("refunded", "reversed") or transaction.channel in ("pos", "atm"):
        return ()
    ends = (
        ("Device", transaction.device),
        ("IP", transaction.ip),
        ("Merchant", transaction.merchant),
        ("Address", transaction.shipping_address),
    )
    return tuple(Entity(label, name) for label, name in ends if name is not None)


def identifiers_of(transaction: Transaction) -> list[Entity]:
    """The identifiers that a transaction tells of its account."""
    ends = (
        ("Email", transaction.email),
        ("Phone", transaction.phone),
        ("Address", transaction.shipping_address),
        ("Address", transaction.billing_address),
    )
    return [Entity(label, name) for label, name in ends if name is not None]
