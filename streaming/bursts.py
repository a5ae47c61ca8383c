"""How far entities run above their own past, over the last hours of a stream: MIDAS on event time.

The sketches begin anew at fixed times, and those are asked that began half a span ago or more: so what they say is
a function of the transactions of that span, and can be rebuilt from the graph. They count what a transaction is
tied to there; an e-mail or a phone is tied to an account.
"""

from __future__ import annotations

from collections.abc import Iterable

from graph.events import Entity, Transaction
from queries.spec import Member
from streaming.midas import Midas

#: A span is two generations of sketches; a generation is so many ticks.
_TICKS = 300


class Bursts:
    """MIDAS-R over edges from cards to what they pay with; a tick is a 600th of ``span_ms`` (event time)."""

    def __init__(self, span_ms: int) -> None:
        self._tick_ms = max(1, span_ms // (2 * _TICKS))
        self._generations: dict[int, Midas] = {}

    def count(self, transaction: Transaction, now: int) -> None:
        """Count a transaction at a time (epoch ms) that does not go back."""
        tick = now // self._tick_ms
        newest = tick // _TICKS
        if newest not in self._generations:
            self._generations = {n: m for n, m in self._generations.items() if n == newest - 1}
            self._generations[newest] = Midas()
            self._generations[newest].advance(newest * _TICKS)
        card = _name("Card", transaction.card)
        ends = [
            _name(label, entity_id)
            for label, entity_id in (
                ("Account", transaction.account),
                ("Address", transaction.shipping_address),
                ("Device", transaction.device),
                ("IP", transaction.ip),
                ("Merchant", transaction.merchant),
            )
            if entity_id is not None
        ]
        for midas in self._generations.values():
            midas.advance(tick)
            midas.count(card, ends)

    def score(self, entity: Entity) -> float:
        """How far an entity runs above its past: 0 for what is as usual, or was not seen."""
        return max((m.node_score(_name(*entity)) for m in self._oldest()), default=0.0)

    def highest(self, members: Iterable[Member]) -> float:
        """The highest score of the members, and of the edges between their cards and their core."""
        members = list(members)
        scores = [self.score(member.entity) for member in members]
        cards = [_name(*member.entity) for member in members if member.label == "Card"]
        cores = [_name(*member.entity) for member in members if member.role == "core"]
        scores += [midas.highest_edge_score(cards, cores) for midas in self._oldest()]
        return max(scores, default=0.0)

    def _oldest(self) -> list[Midas]:
        return [self._generations[min(self._generations)]] if self._generations else []


def _name(label: str, entity_id: str) -> str:
    return f"{label}|{entity_id}"
