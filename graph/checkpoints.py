"""How far a stream has got, kept in the graph beside what it wrote.

Every partition has two marks, both the offset at which reading continues: ``written`` is set in the transaction
that writes a batch, ``assembled`` in the one that changes rings. What lies between them after a crash is exactly
one batch, and it is evaluated again. Marks are compared before they are set and belong to one owner, so that a
worker which has lost its partitions cannot write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from graph.driver import Graph, Tx
from graph.errors import Fenced

Stage = Literal["written", "assembled"]


class Marks(NamedTuple):
    """The two marks of a partition, or ``None`` where nothing has been read yet."""

    written: int | None
    assembled: int | None


class Checkpoints:
    """The marks of one consumer group, as one worker (``owner``) sees and moves them."""

    def __init__(self, graph: Graph, group: str, owner: str) -> None:
        self._graph = graph
        self._group = group
        self._owner = owner
        self._marks: dict[str, Marks] = {}

    def claim(self, partitions: list[str]) -> dict[str, Marks]:
        """Take over partitions; from now on their former owner is fenced. Returns where they stand."""
        rows = self._graph.write(
            lambda tx: tx.run(
                "UNWIND $rows AS row MERGE (c:Checkpoint {id: row.id}) "
                "SET c.owner = $owner, c.group = $group, c.partition = row.partition "
                "RETURN c.partition AS partition, c.written AS written, c.assembled AS assembled",
                rows=[{"id": self._id(p), "partition": p} for p in sorted(partitions)],
                owner=self._owner,
                group=self._group,
            )
        )
        claimed = {row["partition"]: Marks(row["written"], row["assembled"]) for row in rows}
        self._marks.update(claimed)
        return claimed

    def reached(self, tx: Tx, stage: Stage, ends: Mapping[str, int]) -> bool:
        """Whether an earlier try of this same transaction did commit, though its answer was lost.

        Raises:
            Fenced: another worker owns one of the partitions now, or has moved its mark.
        """
        rows = tx.run(
            # Setting a property, even to what it is, takes the node's lock.
            "UNWIND $ids AS id MATCH (c:Checkpoint {id: id}) SET c.group = $group "
            f"RETURN c.partition AS partition, c.owner AS owner, c.{stage} AS mark",
            ids=[self._id(p) for p in sorted(ends)],
            group=self._group,
        )
        found = {row["partition"]: row for row in rows}
        for partition in ends:
            if partition not in found or found[partition]["owner"] != self._owner:
                raise Fenced(f"another worker has taken over {partition}")
        if all(found[partition]["mark"] == end for partition, end in ends.items()):
            return True
        for partition in ends:
            if found[partition]["mark"] != getattr(self._marks[partition], stage):
                raise Fenced(f"another worker has moved the {stage} mark of {partition}")
        return False

    def advance(self, tx: Tx, stage: Stage, ends: Mapping[str, int]) -> None:
        """Set the marks as part of ``tx``; call :meth:`reached` first in the same transaction."""
        tx.run(
            f"UNWIND $rows AS row MATCH (c:Checkpoint {{id: row.id}}) SET c.{stage} = row.end",
            rows=[{"id": self._id(p), "end": end} for p, end in sorted(ends.items())],
        )

    def committed(self, stage: Stage, ends: Mapping[str, int]) -> None:
        """Remember marks whose transaction has committed."""
        for partition, end in ends.items():
            self._marks[partition] = self._marks[partition]._replace(**{stage: end})

    def _id(self, partition: str) -> str:
        return f"{self._group}|{partition}"
