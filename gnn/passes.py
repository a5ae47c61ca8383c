"""Passes over what has changed: payments are scored again when others have followed, and their entities with them.

A payment is looked at by the first pass after it, by further ones while it is young and something of its entities
changes, and for the last time at the age at which models were trained to look again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gnn.explanation import Explanation, explain
from gnn.live_graph import LiveGraph, Named, Payment
from gnn.sayings import Told
from gnn.storage import Scorer
from graph.schema import HOUR_MS

#: An entity's risk is that of what it did within so long before its latest payment.
_RECENT_MS = 24 * HOUR_MS
#: How many payments are scored at once.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Passed:
    """What a pass has scored as of a ``moment`` (epoch ms): payments, and the entities that they name."""

    moment: int
    payments: list[Payment]
    entities: list[Named]


class Passes:
    """Scores a graph's payments as it grows; ``later_ms`` is the age at which the last look is taken."""

    def __init__(self, graph: LiveGraph, scorer: Scorer, later_ms: int) -> None:
        self.graph = graph
        self.scorer = scorer
        self.later_ms = later_ms
        self._young: deque[Payment] = deque()

    def remember(self, told: Iterable[Told]) -> None:
        """Take in what earlier passes have scored, in the order of time."""
        for transaction, labels in told:
            self.graph.take(transaction)
            self.graph.tell(transaction, labels)

    def look(self, new: Sequence[Told], labelled: Sequence[Told] = ()) -> Passed:
        """One pass: over ``new`` payments, and over ``labelled`` ones of before of which something was said."""
        looked: list[Payment] = []
        due: list[Payment] = []
        changed: set[Named] = set()
        for transaction, labels in labelled:
            self.graph.tell(transaction, labels)
            changed.update(self.graph.entities(transaction))
        for transaction, labels in sorted(new, key=lambda told: (told[0].event_time, told[0].transaction_id)):
            known = self.graph.held(transaction.transaction_id)
            if known is not None:  # told again after a failure, or written while others were remembered
                changed.update(self.graph.entities(transaction))
                if known.time + self.later_ms < self.graph.now:
                    due.append(known)
                elif not any(known is one for one in self._young):
                    self._young.append(known)
                continue
            due += self._grown_up(transaction.event_time)
            if len(due) >= _AT_ONCE:  # not much later, or their neighbours would be others
                looked += self._scored(due)
                due = []
            self._young.append(self.graph.take(transaction))
            self.graph.tell(transaction, labels)
            changed.update(self.graph.entities(transaction))
        for payment in self._young:
            if not changed.isdisjoint(self.graph.entities(payment.transaction)):
                self.graph.look_again(payment, self.graph.now)
                due.append(payment)
        looked += self._scored(due)
        entities = dict.fromkeys(entity for one in looked for entity in self.graph.entities(one.transaction))
        return Passed(self.graph.now, looked, list(entities))

    def risk(self, entity: Named) -> float | None:
        """How much of what an entity did lately is likely fraud: the mean over its latest scored payments."""
        held = self.graph.of(entity)
        since = held[-1].time - _RECENT_MS if held else 0
        risks = [payment.risk for payment in held if payment.risk is not None and payment.time >= since]
        return sum(risks) / len(risks) if risks else None

    def explained(self, payment: Payment) -> Explanation:
        """Why a payment that is held has its score."""
        view = self.graph.around([payment], self.later_ms, self.scorer.reach)
        return explain(view.dataset, self.scorer, int(view.rows([payment])[0]), later=True)

    def embedded(self, entities: Sequence[Named], arrival: Scorer) -> dict[Named, list[float]]:
        """How the model of arrivals knows entities after a pass, if it has networks."""
        if not entities or not arrival.reach:
            return {}
        held = (payment for entity in entities for payment in self.graph.of(entity))
        view = self.graph.around(held, self.later_ms, 1)
        kinds = np.array([self.graph.features.kinds.index(kind) for kind, _ in entities])
        known = arrival.embed(view.dataset, view.nodes(entities), kinds, self.graph.now + 1)
        return dict(zip(entities, known.tolist(), strict=True))

    def _grown_up(self, time: int) -> Iterator[Payment]:
        """Those whose last look is due before a time, with that look taken."""
        while self._young and self._young[0].time + self.later_ms < time:
            payment = self._young.popleft()
            self.graph.look_again(payment, payment.time + self.later_ms)
            yield payment

    def _scored(self, payments: Sequence[Payment]) -> Sequence[Payment]:
        for start in range(0, len(payments), _AT_ONCE):
            part = payments[start : start + _AT_ONCE]
            view = self.graph.around(part, self.later_ms, self.scorer.reach)
            for payment, risk in zip(part, self.scorer.score(view.dataset, view.rows(part)), strict=True):
                payment.risk = float(risk)
        return payments
