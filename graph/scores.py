"""Learned scores in the graph: what no pass has looked at yet, and the risk that a pass gives to nodes.

A batch that is written leaves a list of what it brought, for the scorer, in its own transaction; a pass takes the
lists away in the transaction that ends it. So a pass costs what has changed, nothing is overlooked, and a crash
only makes a pass come twice. Until somebody has scored the graph once, no lists are kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from graph.driver import Graph, Row, Tx
from graph.errors import Fenced
from graph.events import Entity, Label, Transaction
from graph.schema import HOUR_MS

_LEAVE = (
    "MATCH (:Scorer {id: 'ringwatch'}) "
    "CREATE (:Unscored {id: $id, hour: $hour, transactions: $transactions, labelled: $labelled})"
)
_ROWS_AT_ONCE = 1_000


class Waiting(NamedTuple):
    """A batch that no pass has looked at: ids of its transactions, and of those that labels spoke of."""

    id: str
    transactions: list[str]
    labelled: list[str]


class Score(NamedTuple):
    """A node's probability of being fraud, and of an entity how networks know it (none: left as it is)."""

    node: Entity
    risk: float
    embedding: list[float] | None = None


class LastPass(NamedTuple):
    """Which model the last pass used, at which moment (event time, epoch ms), and how many payments wait since."""

    model: str
    time: int
    waiting: int


def leave(tx: Tx, transactions: Sequence[Transaction], labels: Iterable[Label]) -> None:
    """Leave a batch for the scorer, if there is one, as part of ``tx``."""
    about = [label for label in labels if label.subject.label == "Transaction"]
    if transactions or about:
        times = [transaction.event_time for transaction in transactions] + [label.time for label in about]
        tx.run(
            _LEAVE,
            id=uuid.uuid4().hex,
            hour=max(times) // HOUR_MS,
            transactions=[transaction.transaction_id for transaction in transactions],
            labelled=sorted({label.subject.id for label in about}),
        )


class ScoreStore:
    """The scorer's side; ``owner`` tells it from others, of which the latest to claim the graph goes on."""

    def __init__(self, graph: Graph, owner: str) -> None:
        self._graph = graph
        self._owner = owner

    def claim(self) -> bool:
        """Become the scorer; from now on batches are left. Returns whether the graph has been scored before."""
        rows = self._graph.write(
            lambda tx: tx.run(
                "MERGE (s:Scorer {id: 'ringwatch'}) SET s.owner = $owner RETURN s.time AS time", owner=self._owner
            )
        )
        return rows[0]["time"] is not None

    def waiting(self, most: int) -> list[Waiting]:
        """Batches that no pass has looked at, at most so many."""
        rows = self._graph.read(
            "MATCH (u:Unscored) RETURN u.id AS id, u.transactions AS transactions, u.labelled AS labelled "
            "LIMIT $most",
            most=most,
        )
        return [Waiting(**row) for row in rows]

    def write(self, scores: Sequence[Score], *, model: str, time: int) -> None:
        """Set ``risk``, ``risk_model`` and ``risk_time`` (epoch ms) of nodes; those that are gone are left out.

        Raises:
            Fenced: another scorer has claimed the graph.
        """
        by_label: dict[str, list[Row]] = {}
        for score in sorted(scores):
            row: Row = {"id": score.node.id, "risk": score.risk, "embedding": score.embedding}
            by_label.setdefault(score.node.label, []).append(row)
        for label in sorted(by_label):
            rows = by_label[label]
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                self._graph.write(partial(self._write, label=label, rows=part, model=model, time=time))

    def finish(self, looked_at: Iterable[Waiting], *, model: str, time: int) -> None:
        """End a pass: what it has looked at waits no longer.

        Raises:
            Fenced: another scorer has claimed the graph.
        """

        def work(tx: Tx) -> None:
            self._hold(tx)
            tx.run(
                "MATCH (s:Scorer {id: 'ringwatch'}) SET s.model = $model, s.time = $time", model=model, time=time
            )
            ids = [waiting.id for waiting in looked_at]
            tx.run("UNWIND $ids AS id MATCH (u:Unscored {id: id}) DELETE u", ids=ids)

        self._graph.write(work)

    def _write(self, tx: Tx, *, label: str, rows: list[Row], model: str, time: int) -> None:
        self._hold(tx)
        embedded = "" if label == "Transaction" else ", n.embedding = coalesce(row.embedding, n.embedding)"
        tx.run(
            f"UNWIND $rows AS row MATCH (n:{label} {{id: row.id}}) "
            f"SET n.risk = row.risk, n.risk_model = $model, n.risk_time = $time{embedded}",
            rows=rows,
            model=model,
            time=time,
        )

    def _hold(self, tx: Tx) -> None:
        rows = tx.run("MATCH (s:Scorer {id: 'ringwatch'}) SET s.owner = s.owner RETURN s.owner AS owner")
        if not rows or rows[0]["owner"] != self._owner:
            raise Fenced("another scorer has taken over this graph")


def last_pass(graph: Graph) -> LastPass | None:
    """How far scoring has got (``None``: nobody has ever scored this graph)."""
    rows = graph.read(
        "MATCH (s:Scorer {id: 'ringwatch'}) WHERE s.time IS NOT NULL RETURN s.model AS model, s.time AS time"
    )
    if not rows:
        return None
    [count] = graph.read("MATCH (u:Unscored) RETURN sum(size(u.transactions)) AS waiting")
    return LastPass(**rows[0], waiting=count["waiting"])


def embeddings(graph: Graph, entities: Iterable[Entity], size: int) -> dict[Entity, list[float]]:
    """How networks know entities since the last pass, those of the right ``size``."""
    by_label: dict[str, list[str]] = {}
    for label, entity_id in sorted(entities):
        by_label.setdefault(label, []).append(entity_id)
    return {
        Entity(label, row["id"]): row["embedding"]
        for label, ids in by_label.items()
        for row in graph.read(
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE n.embedding IS NOT NULL "
            "RETURN n.id AS id, n.embedding AS embedding",
            ids=ids,
        )
        if len(row["embedding"]) == size
    }
