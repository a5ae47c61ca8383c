"""Scores of payments as they arrive, for the hot path: counts in memory, the light head, no torch.

Counts are those of the payments that this worker has seen, or read back from the graph when it started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gnn.arrival_model import ArrivalModel
from gnn.features import node_of
from gnn.live_features import LiveFeatures, named
from gnn.sayings import Sayings, Told
from graph.driver import Row
from graph.events import Entity, Label, Transaction

#: How networks know entities since the last pass, for those that it has seen.
Embeddings = Callable[[Iterable[Entity]], Mapping[Entity, Sequence[float]]]


class ArrivalScorer:
    """Scores payments in the order in which they come; ``version`` names the model."""

    def __init__(self, model: ArrivalModel, version: str, embeddings: Embeddings) -> None:
        self.use(model, version, embeddings)
        self._counts = LiveFeatures(model.features)
        self._sayings = Sayings()
        self._latest: dict[str, Row] = {}

    def use(self, model: ArrivalModel, version: str, embeddings: Embeddings) -> None:
        """Score with another model that counts as the one before did."""
        self._model = model
        self._embeddings = embeddings
        self.version = version

    def counts_as(self, model: ArrivalModel) -> bool:
        """Whether what is counted here is what a model counts by."""
        return self._model.features == model.features

    def remember(self, told: Iterable[Told]) -> None:
        """Take in what happened before, in the order of time."""
        for transaction, labels in told:
            self._reach(transaction.event_time)
            self._counts.observe(transaction)
            self.tell(transaction, labels)

    def tell(self, transaction: Transaction, labels: Iterable[Label]) -> None:
        """Hear what was said of a payment of before."""
        self._sayings.tell(transaction, labels)

    def describe(self, transactions: Sequence[Transaction]) -> dict[str, Row]:
        """By id ``risk``, ``risk_model`` and ``risk_time`` (epoch ms) of a batch's new payments.

        Asked again about the same batch, or a part of it, it answers the same and counts nothing twice.
        """
        new = [transaction for transaction in transactions if transaction.transaction_id not in self._latest]
        if len(new) == len(transactions) > 0:
            self._latest = {}
        for transaction, risk in zip(new, self._risks(new), strict=True):
            self._latest[transaction.transaction_id] = {
                "risk": float(risk),
                "risk_model": self.version,
                "risk_time": transaction.event_time,
            }
        return {one.transaction_id: self._latest[one.transaction_id] for one in transactions}

    def _risks(self, transactions: Sequence[Transaction]) -> NDArray[np.float64]:
        if not transactions:
            return np.zeros(0)
        names = [named(transaction, self._model.features) for transaction in transactions]
        known = self._known(names)  # before anything is counted: this can fail, and is then asked again
        features = {}
        for transaction in sorted(transactions, key=lambda one: (one.event_time, one.transaction_id)):
            self._reach(transaction.event_time)
            features[transaction.transaction_id] = self._counts.at_arrival(transaction)
            self._counts.observe(transaction)
        told = np.stack([features[one.transaction_id] for one in transactions]).astype(np.float32)
        kinds = self._model.part.kinds
        there = np.array([[kind in one for kind in kinds] for one in names])
        return self._model.score(told, there, known)

    def _known(self, names: Sequence[Mapping[str, str]]) -> NDArray[np.float32]:
        """How the entities of payments are known (n, kinds, embedding)."""
        kinds, size = self._model.part.kinds, self._model.embedding
        known = np.broadcast_to(self._model.strangers, (len(names), len(kinds), size)).copy()
        if size:
            seen = self._embeddings({node_of(kind, one[kind]) for one in names for kind in one})
            for row, one in enumerate(names):
                for column, kind in enumerate(kinds):
                    if kind in one and (embedding := seen.get(node_of(kind, one[kind]))) is not None:
                        known[row, column] = embedding
        return known

    def _reach(self, time: int) -> None:
        for accused, known_at in self._sayings.known_by(time):
            self._counts.observe_fraud(accused, known_at)
