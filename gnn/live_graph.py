"""The latest of a graph as it grows, in memory: what a pass needs to score a payment as it was trained to.

Of every entity the latest payments are held, each with its features at arrival; of what lies further back there
are counts (:mod:`gnn.live_features`). Entities that were silent for as long as counts reach are forgotten. Around
a few payments that is a small :class:`~gnn.dataset.Dataset`, and models cannot tell it from a snapshot's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from gnn.dataset import NEVER, Dataset
from gnn.features import MEMORY, FeatureSet
from gnn.live_features import LiveFeatures, named
from gnn.sayings import Sayings, heard_at
from graph.events import Label, Transaction

#: An entity by its kind and id.
Named = tuple[str, str]

#: How many payments of an entity are held: twice what a network looks at, so that a little hindsight does no harm.
_HELD = 32


class Payment:
    """A payment that is held: its features, what was said of it and when (epoch ms), and its score so far."""

    __slots__ = ("__weakref__", "arrival", "fraud_known_at", "later", "legitimate_known_at", "risk", "transaction")

    def __init__(self, transaction: Transaction, arrival: NDArray[np.float32]) -> None:
        self.transaction = transaction
        self.arrival = arrival
        self.later: NDArray[np.float32] | None = None
        self.risk: float | None = None
        self.fraud_known_at = NEVER
        self.legitimate_known_at = NEVER

    @property
    def time(self) -> int:
        """When it happened."""
        return self.transaction.event_time


class LiveGraph:
    """Fed in the order of time; what is known later (labels) is taken in when its time has come."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self._counts = LiveFeatures(features)
        self._held: dict[Named, deque[Payment]] = {}
        self._by_id: WeakValueDictionary[str, Payment] = WeakValueDictionary()
        self._sayings = Sayings()
        self._forgotten_at = 0
        self.now = 0

    @property
    def known(self) -> int:
        """Of how many entities payments are held."""
        return len(self._held)

    def held(self, transaction_id: str) -> Payment | None:
        """The payment of an id, as long as it is held."""
        return self._by_id.get(transaction_id)

    def take(self, transaction: Transaction) -> Payment:
        """Let a payment happen; it is described as it arrives."""
        self.reach(transaction.event_time)
        payment = Payment(transaction, self._counts.at_arrival(transaction).astype(np.float32))
        self._counts.observe(transaction)
        self._by_id[transaction.transaction_id] = payment
        for entity in self.entities(transaction):
            self._held.setdefault(entity, deque(maxlen=_HELD)).append(payment)
        return payment

    def tell(self, transaction: Transaction, labels: Iterable[Label]) -> None:
        """Hear what was or will be said of a payment; the first word of each kind counts, from its time on."""
        self._sayings.tell(transaction, labels)
        payment = self._by_id.get(transaction.transaction_id)
        for label in labels if payment is not None else ():
            name = "fraud_known_at" if label.verdict == "fraud" else "legitimate_known_at"
            setattr(payment, name, min(getattr(payment, name), heard_at(label.time, transaction)))

    def reach(self, time: int) -> None:
        """Let everything happen that became known until a time (epoch ms)."""
        for accused, known_at in self._sayings.known_by(time):
            self._counts.observe_fraud(accused, known_at)
        self.now = max(self.now, time)
        if self.now - self._forgotten_at >= MEMORY.bucket_ms:
            self._forget(self.now - MEMORY.reach_ms)

    def _forget(self, before: int) -> None:
        """Let go of whom nothing was heard since a time (epoch ms)."""
        self._forgotten_at = self.now
        self._held = {
            entity: held for entity, held in self._held.items() if max(one.time for one in held) >= before
        }

    def look_again(self, payment: Payment, time: int) -> None:
        """Describe a payment's entities as they are at a time up to which every payment has been taken."""
        self.reach(time)
        payment.later = self._counts.later(payment.transaction, time).astype(np.float32)

    def entities(self, transaction: Transaction) -> list[Named]:
        """Those that a payment names."""
        return list(named(transaction, self.features).items())

    def of(self, entity: Named) -> Sequence[Payment]:
        """The latest payments of an entity, in the order in which they came."""
        return self._held.get(entity, ())

    def owner(self, payment: Payment) -> str:
        """Whose a payment is: its account's, else that which its card was last used with, else the card itself."""
        card = payment.transaction.card
        accounts = (one.transaction.account for one in (payment, *reversed(self.of(("card", card)))))
        return next((account for account in accounts if account is not None), card)

    def around(self, payments: Iterable[Payment], later_ms: int, steps: int) -> View:
        """The payments and so many steps over their entities, as a dataset."""
        found = dict.fromkeys(payments)
        frontier = list(found)
        for _ in range(steps):
            entities = dict.fromkeys(entity for each in frontier for entity in self.entities(each.transaction))
            near = dict.fromkeys(payment for entity in entities for payment in self.of(entity))
            frontier = [payment for payment in near if payment not in found]
            found |= dict.fromkeys(frontier)
        return View(sorted(found, key=lambda each: (each.time, each.transaction.transaction_id)), self, later_ms)


class View:
    """Held payments as a dataset, in the order of time."""

    def __init__(self, payments: list[Payment], graph: LiveGraph, later_ms: int) -> None:
        self._rows = {payment: row for row, payment in enumerate(payments)}
        self._nodes: dict[Named, int] = {}
        features = graph.features
        later = np.full((len(payments), len(features.later_names)), np.nan, dtype=np.float32)
        nodes = np.full((len(payments), len(features.kinds)), -1, dtype=np.int64)
        columns = {kind: column for column, kind in enumerate(features.kinds)}
        for row, payment in enumerate(payments):
            if payment.later is not None:
                later[row] = payment.later
            for entity in graph.entities(payment.transaction):
                nodes[row, columns[entity[0]]] = self._nodes.setdefault(entity, len(self._nodes))
        self.dataset = Dataset(
            features=features,
            later_ms=later_ms,
            times=np.array([payment.time for payment in payments], dtype=np.int64),
            arrival=np.stack([payment.arrival for payment in payments]),
            later=later,
            nodes=nodes,
            node_count=len(self._nodes),
            fraud_known_at=np.array([payment.fraud_known_at for payment in payments], dtype=np.int64),
            legitimate_known_at=np.array([payment.legitimate_known_at for payment in payments], dtype=np.int64),
        )

    def rows(self, payments: Iterable[Payment]) -> NDArray[np.int64]:
        """Where payments are (n)."""
        return np.array([self._rows[payment] for payment in payments], dtype=np.int64)

    def nodes(self, entities: Iterable[Named]) -> NDArray[np.int64]:
        """Where entities are (n)."""
        return np.array([self._nodes[entity] for entity in entities], dtype=np.int64)
