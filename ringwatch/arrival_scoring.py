"""Wiring of the scores at arrival: the promoted model in the hot path, without torch."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from gnn.arrival_model import ArrivalModel
from gnn.arrivals import ArrivalScorer
from gnn.sayings import Told
from graph.driver import Graph, Row
from graph.events import Label, Transaction
from graph.history import labelled_transactions, transactions_by_id
from graph.scores import embeddings
from ringwatch.promoted_model import PromotedModel
from streaming.metrics import Metrics

log = logging.getLogger(__name__)

_PAUSE_S = 60.0


class ArrivalScoring:
    """Scores new payments for the writer; whatever fails here, the stream goes on without scores."""

    def __init__(
        self,
        graph: Graph,
        promoted: PromotedModel,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = graph
        self._promoted = promoted
        self._metrics = metrics
        self._clock = clock
        self._scorer: ArrivalScorer | None = None
        self._again_at = -math.inf
        self.refresh()

    def refresh(self) -> None:
        """Take up another model if one was promoted; one that could not be taken up is tried again after a while.

        What it counts by is read back from the graph, unless the one before counted alike.
        """
        self._promoted.refresh()
        version, used = self._promoted.version, self._scorer and self._scorer.version
        if version is None or version == used or self._promoted.folder is None or self._clock() < self._again_at:
            return
        try:
            model = ArrivalModel(self._promoted.folder / "arrival")
            known = partial(embeddings, self._graph, size=model.embedding)
            if self._scorer is not None and self._scorer.counts_as(model):
                self._scorer.use(model, version, known)
            else:
                scorer = ArrivalScorer(model, version, known)
                scorer.remember(labelled_transactions(self._graph))
                self._scorer = scorer
        except Exception:
            self._again_at = self._clock() + _PAUSE_S
            self._failed()

    def describe(self, transactions: Sequence[Transaction], labels: Sequence[Label]) -> Mapping[str, Row]:
        """What the writer puts on new payments' nodes."""
        if self._scorer is None:
            return {}
        try:
            for transaction, said in self._spoken_of(transactions, labels):
                self._scorer.tell(transaction, said)
            described = self._scorer.describe(transactions)
        except Exception:
            self._failed()
            return {}
        self._metrics.arrivals_scored.add(len(described))
        return described

    def _spoken_of(self, transactions: Iterable[Transaction], labels: Iterable[Label]) -> Iterator[Told]:
        about: defaultdict[str, list[Label]] = defaultdict(list)
        for label in labels:
            if label.subject.label == "Transaction":
                about[label.subject.id].append(label)
        if about:
            new = [transaction for transaction in transactions if transaction.transaction_id in about]
            stored = transactions_by_id(self._graph, sorted(about))
            for transaction in (*new, *(transaction for transaction, _ in stored)):
                yield transaction, about[transaction.transaction_id]

    def _failed(self) -> None:
        log.exception("arrival_scoring_failed")
        self._metrics.arrival_failures.add(1)
