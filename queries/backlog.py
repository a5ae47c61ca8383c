"""Anchors that were put off, in the graph: a queue for each partition and rule.

A ``Deferred`` node holds some anchors that were put off together, most urgent first. Nodes are made and removed in
the transactions that :mod:`queries.operation` saves its state in, so that a crash neither loses nor repeats them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from graph.driver import Graph, Row, Tx

#: So many anchors are put off together, and worked off by one query.
TOGETHER = 200

#: So many nodes are looked at in one turn.
_PAGE = 50


class Deferred(msgspec.Struct, frozen=True):
    """Anchors of one rule, as the rule's query takes them; they were put off by the ``step``-th batch."""

    id: str
    rule: str
    step: int
    number: int
    rows: list[Row]


def deferred(queue: str, rule: str, step: int, rows: Sequence[Row]) -> list[Deferred]:
    """The rows that a batch puts off, in the order in which they are to be worked off."""
    return [
        Deferred(f"{queue}|{rule}|{step}|{number}", rule, step, number, list(rows[start : start + TOGETHER]))
        for number, start in enumerate(range(0, len(rows), TOGETHER))
    ]


class Backlog:
    """Reads and writes queues; a partition's are named by its checkpoint's id, its ``queue``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def waiting(self, queue: str) -> dict[str, int]:
        """How many anchors wait, by rule."""
        rows = self._graph.read(
            "MATCH (d:Deferred {queue: $queue}) RETURN d.rule AS rule, sum(d.anchors) AS anchors", queue=queue
        )
        return {row["rule"]: row["anchors"] for row in rows}

    def oldest(self, queue: str, rule: str) -> Iterator[Deferred]:
        """The first of a rule's queue: those of the oldest batch, and of these the most urgent."""
        rows = self._graph.read(
            "MATCH (d:Deferred {queue: $queue}) WHERE d.rule = $rule "
            "RETURN d.id AS id, d.step AS step, d.number AS number, d.rows AS rows "
            "ORDER BY step, number LIMIT $limit",
            queue=queue,
            rule=rule,
            limit=_PAGE,
        )
        for row in rows:
            anchors = msgspec.json.decode(row["rows"], type=list[Row])
            yield Deferred(row["id"], rule, row["step"], row["number"], anchors)

    def add(self, tx: Tx, queue: str, parts: Sequence[Deferred]) -> None:
        """Put anchors into a queue, as part of ``tx``."""
        tx.run(
            "UNWIND $rows AS row CREATE (d:Deferred) SET d = row",
            rows=[
                {
                    "id": part.id,
                    "queue": queue,
                    "rule": part.rule,
                    "step": part.step,
                    "number": part.number,
                    "anchors": len(part.rows),
                    "rows": msgspec.json.encode(part.rows).decode(),
                }
                for part in parts
            ],
        )

    def remove(self, tx: Tx, ids: Collection[str]) -> None:
        """Take worked-off anchors out, as part of ``tx``."""
        tx.run("UNWIND $ids AS id MATCH (d:Deferred {id: id}) DELETE d", ids=sorted(ids))

    def drop(self, tx: Tx, queue: str, rules: Collection[str]) -> None:
        """Take out whatever waits for some rules, as part of ``tx``."""
        tx.run(
            "MATCH (d:Deferred {queue: $queue}) WHERE d.rule IN $rules DELETE d", queue=queue, rules=sorted(rules)
        )
