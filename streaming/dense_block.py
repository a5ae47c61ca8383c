"""The dense block around one payment: cards that share more, and more recently, than strangers do.

Density is that of FRAUDAR (Hooi et al., KDD 2016): the weight of all edges inside divided by the number of nodes,
where what many share weighs 1 / log(degree + 5), so that purchases at popular merchants camouflage nothing. A
greedy peel finds half of the highest density or more (Charikar, APPROX 2000). Weights fade with a half-life, as in
RUSH (Grab, VLDB 2024): honest communities live long, and this is what keeps them from looking dense. And the
search is local: only what hangs together with a payment is peeled, and only when it is made.

A place is never enough. Strangers meet at a merchant and behind an address of the network, students at one door,
customers at one kiosk: every card of a block is tied to others' in two ways, neither of them a merchant or an IP.
And what an account has, it has once: the mailbox of an agent who orders with the cards of many clients, and all
the addresses that these orders went to, tie nobody to anybody, however many of the clients pay themselves as well.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice

from graph.events import Entity
from streaming.recent import PLACES, Payment, RecentTransactions

#: What it says of belonging together that an entity of a kind is shared.
_WEIGHTS = {"Address": 0.5, "Device": 1.0, "Email": 1.0, "IP": 0.25, "Merchant": 0.25, "Phone": 1.0}
#: A declined payment counts so many times: honest people's are few.
_DECLINED = 2.0

#: No more cards than these are looked at around one payment, and of each no more than its newest payments.
_MOST_CARDS = 200
_MOST_PAYMENTS = 8
#: Who has more cards than these, on average over a block, has them from clients.
_CARDS_EACH = 3

#: What ties each payment to others, by its id.
Ties = Mapping[str, tuple[Entity, ...]]
#: Weights between cards and what they share, by card.
Edges = Mapping[Entity, Mapping[Entity, float]]
#: Who paid when a card was tied to an end, by card and end: an account, or the card itself.
Payers = Mapping[Entity, Mapping[Entity, set[Entity]]]

_COUPLE = 2


@dataclass(frozen=True)
class DensitySettings:
    """When a block is a finding; ``half_life_ms`` is how long (event time) a payment takes to count half.

    ``min_owners`` are different accounts, a card that was used with none being its own.
    """

    half_life_ms: int = 3_600_000
    min_density: float = 0.25
    min_owners: int = 7


@dataclass(frozen=True)
class Block:
    """Cards that hang together densely; ``shared`` is what they share, with the weight of its edges.

    ``payments`` are those by which they are tied, the newest of each card, in order of time.
    """

    cards: frozenset[Entity]
    owners: frozenset[Entity]
    shared: Mapping[Entity, float]
    density: float
    payments: list[Payment]


def peel(edges: Edges, enough: float) -> tuple[set[Entity], float]:
    """The largest set on the way of a greedy peel that is dense enough, and its density; else nothing, and 0.

    The node of least weight is taken away, again and again (of equal nodes the least). Dense enough is a set whose
    density, and whose every node's weight, is at least ``enough``: a node below it belongs to no set of that
    density that could not do without it. What has a density of twice ``enough`` is never missed.
    """
    near: defaultdict[Entity, dict[Entity, float]] = defaultdict(dict)
    for card, shared in edges.items():
        for end, weight in shared.items():
            near[card][end] = near[end][card] = weight
    weights = {node: math.fsum(around.values()) for node, around in near.items()}
    total = math.fsum(weights.values()) / 2
    heap = [(weight, node) for node, weight in weights.items()]
    heapq.heapify(heap)
    while heap:
        weight, node = heap[0]
        if weights.get(node) != weight:
            heapq.heappop(heap)  # it has been taken away, or become lighter
        elif weight >= enough and total / len(weights) >= enough:
            return set(weights), total / len(weights)
        else:
            heapq.heappop(heap)
            del weights[node]
            total -= weight
            for other, lost in near[node].items():
                if other in weights:
                    weights[other] -= lost
                    heapq.heappush(heap, (weights[other], other))
    return set(), 0.0


class DenseBlockSearch:
    """Looks for dense blocks in the transactions of the last hours."""

    def __init__(self, recent: RecentTransactions, settings: DensitySettings) -> None:
        self._recent = recent
        self._settings = settings

    def around(self, card: Entity, time: int) -> Block | None:
        """The dense block that a card is in at a time (epoch ms), by the payments until then."""
        if not self._reaches_enough(card):
            return None
        payments, ties = self._neighbourhood(card, time)
        edges = self._edges(payments, ties, time)
        payers = _payers(payments, ties, edges)
        cards = _tied(edges, payments, payers)
        while card in cards and self._of_many(cards, payments):
            found, density = peel({one: edges[one] for one in cards}, self._settings.min_density)
            if cards <= found:
                return self._block({one: edges[one] for one in cards}, density, payments)
            edges = {one: {end: w for end, w in edges[one].items() if end in found} for one in cards & found}
            cards = _tied(edges, payments, payers)
        return None

    def _of_many(self, cards: set[Entity], payments: Mapping[Entity, list[Payment]]) -> bool:
        owners = len(_owners(cards, payments))
        return owners >= self._settings.min_owners and len(cards) <= _CARDS_EACH * owners

    def _reaches_enough(self, card: Entity) -> bool:
        """Whether enough cards hang together with this one for a block."""
        found, wanted = self._recent.components.component(card), self._settings.min_owners
        cards = (entity for entity in found if entity.label == "Card")
        return len(found) > wanted and next(islice(cards, wanted - 1, None), None) is not None

    def _neighbourhood(self, card: Entity, time: int) -> tuple[dict[Entity, list[Payment]], Ties]:
        """Payments, and their ties, of the cards nearest to one, itself included, without crossing places or hubs.

        A card that could not be tied in two ways is in no block, and nothing is reached through it.
        """
        recent = self._recent
        is_shared = cache(recent.is_shared)  # what many cards share would be counted anew for each of them
        found: dict[Entity, list[Payment]] = {}
        ties: dict[str, tuple[Entity, ...]] = {}
        seen: set[Entity] = set()
        crossed: set[Entity] = set()
        ahead = [card]
        while ahead and len(found) < _MOST_CARDS:
            near: set[Entity] = set()
            for one in ahead[: _MOST_CARDS - len(found)]:
                payments = recent.payments_of(one, time, _MOST_PAYMENTS)
                ties.update((payment.id, tuple(recent.ties_of(payment, time))) for payment in payments)
                ends = {end for payment in payments for end in ties[payment.id]}
                shared = [end for end in ends if end.label not in PLACES and is_shared(end)]
                seen.add(one)
                if not _is_twice({end.label for end in shared}, payments):
                    continue
                found[one] = payments
                for end in shared:
                    if end not in crossed:
                        crossed.add(end)
                        near |= recent.cards_at(end)
            ahead = sorted(near - seen)
        return found, ties

    def _edges(
        self, payments: Mapping[Entity, list[Payment]], ties: Ties, time: int
    ) -> dict[Entity, dict[Entity, float]]:
        """The faded weights between cards and what at least two of them share."""
        recent, half_life_ms = self._recent, self._settings.half_life_ms
        edges: dict[Entity, dict[Entity, float]] = {}
        cards: defaultdict[Entity, int] = defaultdict(int)
        for card, own in payments.items():
            weights: defaultdict[Entity, float] = defaultdict(float)
            for payment in own:
                weight = 0.5 ** ((time - payment.time) / half_life_ms) * (_DECLINED if payment.declined else 1.0)
                for end in ties[payment.id]:
                    weights[end] += weight
            edges[card] = weights
            for end in weights:
                cards[end] += 1
        rarity = {}
        for end, near in cards.items():
            if near > 1:
                rarity[end] = _WEIGHTS[end.label] / math.log(len(recent.cards_at(end)) + 5)
        return {
            card: {end: weight * rarity[end] for end, weight in weights.items() if end in rarity}
            for card, weights in edges.items()
        }

    def _block(self, inside: Edges, density: float, payments: Mapping[Entity, list[Payment]]) -> Block:
        weights: defaultdict[Entity, list[float]] = defaultdict(list)
        for ends in inside.values():
            for end, weight in ends.items():
                weights[end].append(weight)
        shared = {end: math.fsum(each) for end, each in weights.items() if len(each) > 1}
        return Block(
            cards=frozenset(inside),
            owners=frozenset(_owners(inside, payments)),
            shared=shared,
            density=density,
            payments=sorted(payment for card in inside for payment in _tying(payments[card], shared)),
        )


def _payers(payments: Mapping[Entity, list[Payment]], ties: Ties, edges: Edges) -> Payers:
    """Who paid with each card by whatever it is tied to; without an account it is who the card belongs to."""
    payers: dict[Entity, dict[Entity, set[Entity]]] = {}
    for card, own in payments.items():
        owner, of_card = _owner(card, own), {end: set[Entity]() for end in edges[card]}
        for payment in own:
            for end in ties[payment.id]:
                if end in of_card:
                    of_card[end].add(payment.account or owner)
        payers[card] = of_card
    return payers


def _tying(payments: list[Payment], shared: Mapping[Entity, float]) -> list[Payment]:
    """The payments of a card that name what is shared; all of them where only its account does."""
    naming = [p for p in payments if any(end in shared and end.label not in PLACES for end in p.ends)]
    return naming or payments


def _tied(edges: Edges, payments: Mapping[Entity, list[Payment]], payers: Payers) -> set[Entity]:
    """The cards that are tied in two ways to cards of other owners that are.

    What only two payers share ties nobody: a couple's address and phone are on both their cards wherever they buy.
    """
    held = set(edges)
    while True:
        owners: defaultdict[Entity, set[Entity]] = defaultdict(set)
        for card in held:
            for end in edges[card]:
                owners[end] |= payers[card][end]
        tied = set()
        for card in held:
            kinds = {end.label for end in edges[card] if len(owners[end]) > _COUPLE} - PLACES
            if _is_twice(kinds, payments[card]):
                tied.add(card)
        if tied == held:
            return held
        held = tied


def _is_twice(kinds: set[str], payments: list[Payment]) -> bool:
    """Whether a card that shares entities of these kinds with others is tied to them in two ways.

    Each kind is one. That most of its payments were declined is another, but not beside an address alone: an
    issuer's outage declines everybody at home.
    """
    if len(kinds) > 1 or not kinds - {"Address"}:
        return len(kinds) > 1
    return 2 * sum(payment.declined for payment in payments) >= len(payments)


def _owners(cards: Iterable[Entity], payments: Mapping[Entity, list[Payment]]) -> set[Entity]:
    return {_owner(card, payments[card]) for card in cards}


def _owner(card: Entity, payments: Iterable[Payment]) -> Entity:
    """The account that a card was last used with, or else the card itself."""
    owner = card
    for payment in payments:
        owner = payment.account or owner
    return owner
