"""How far a stream has got, kept in the graph beside what it wrote.

Every partition has two marks, both the offset at which reading continues: ``written`` is set in the transaction
that writes a batch, ``assembled`` in the one that changes rings. What lies between them after a crash (a batch, or
two) is evaluated again, as one batch. Marks are compared before they are set and belong to one owner, so that a
worker which has lost its partitions cannot write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from graph.driver import Graph, Row, Tx
from graph.errors import Fenced

Stage = Literal["written", "assembled"]

_OWN = "MATCH (c:Checkpoint {id: $id})"
_OWNER = "RETURN c.owner AS owner, c.kept AS kept"


class Marks(NamedTuple):
    """The two marks of a partition, or ``None`` where nothing has been read yet."""

    written: int | None
    assembled: int | None


class Companion(Protocol):
    """State that is kept in step with the mark ``assembled``, in whose transaction it is saved."""

    def claimed(self, partition: str, text: str | None) -> None:
        """A partition was taken over, with the text that was kept for it."""

    def reached(self, tx: Tx) -> bool:
        """Whether a change that belongs to no batch has been saved before, and the answer was lost."""

    def save(self, tx: Tx, partitions: Sequence[str]) -> None:
        """Save what is pending as part of ``tx``, which sets these marks (none: for a change without a batch)."""

    def saved(self, partitions: Sequence[str]) -> None:
        """That transaction has been committed."""


class Checkpoints:
    """The marks of one consumer group, as one worker (``owner``) sees and moves them."""

    def __init__(self, graph: Graph, group: str, owner: str) -> None:
        self._graph = graph
        self._group = group
        self._owner = owner
        self._marks: dict[str, Marks] = {}
        self._companion: Companion | None = None

    def accompany(self, companion: Companion) -> None:
        """Keep a companion's state in step with the mark ``assembled`` from now on."""
        self._companion = companion

    def claim(self, partitions: list[str]) -> dict[str, Marks]:
        """Take over partitions; from now on their former owner is fenced. Returns where they stand."""
        rows = self._graph.write(
            lambda tx: tx.run(
                "UNWIND $rows AS row MERGE (c:Checkpoint {id: row.id}) "
                "SET c.owner = $owner, c.group = $group, c.partition = row.partition "
                "RETURN c.partition AS partition, c.written AS written, c.assembled AS assembled, c.kept AS kept",
                rows=[{"id": self.id_of(p), "partition": p} for p in sorted(partitions)],
                owner=self._owner,
                group=self._group,
            )
        )
        claimed = {row["partition"]: Marks(row["written"], row["assembled"]) for row in rows}
        self._marks.update(claimed)
        if self._companion is not None:
            for row in rows:
                self._companion.claimed(row["partition"], row["kept"])
        return claimed

    def reached(self, tx: Tx, stage: Stage, ends: Mapping[str, int]) -> bool:
        """Whether an earlier try of this same transaction did commit, though its answer was lost.

        One that sets no marks is known by the companion's state.

        Raises:
            Fenced: another worker owns one of the partitions now, or has moved its mark.
        """
        if not ends:
            return self._companion is not None and self._companion.reached(tx)
        rows = tx.run(
            # Setting a property, even to what it is, takes the node's lock.
            "UNWIND $ids AS id MATCH (c:Checkpoint {id: id}) SET c.group = $group "
            f"RETURN c.partition AS partition, c.owner AS owner, c.{stage} AS mark",
            ids=[self.id_of(p) for p in sorted(ends)],
            group=self._group,
        )
        found = {row["partition"]: row for row in rows}
        for partition in ends:
            if partition not in found or found[partition]["owner"] != self._owner:
                raise Fenced(f"another worker has taken over {partition}", partition)
        if all(found[partition]["mark"] == end for partition, end in ends.items()):
            return True
        for partition in ends:
            if found[partition]["mark"] != getattr(self._marks[partition], stage):
                raise Fenced(f"another worker has moved the {stage} mark of {partition}", partition)
        return False

    def advance(self, tx: Tx, stage: Stage, ends: Mapping[str, int]) -> None:
        """Set the marks as part of ``tx``; call :meth:`reached` first in the same transaction."""
        tx.run(
            f"UNWIND $rows AS row MATCH (c:Checkpoint {{id: row.id}}) SET c.{stage} = row.end",
            rows=[{"id": self.id_of(p), "end": end} for p, end in sorted(ends.items())],
        )
        if stage == "assembled" and self._companion is not None:
            self._companion.save(tx, sorted(ends))

    def committed(self, stage: Stage, ends: Mapping[str, int]) -> None:
        """Remember marks whose transaction has committed."""
        for partition, end in ends.items():
            self._marks[partition] = self._marks[partition]._replace(**{stage: end})
        if stage == "assembled" and self._companion is not None:
            self._companion.saved(sorted(ends))

    def keep(self, tx: Tx, partition: str, text: str) -> None:
        """Keep a companion's text with a partition, as part of ``tx``.

        Raises:
            Fenced: another worker owns the partition now.
        """
        self._own(partition, tx.run(f"{_OWN} SET c.kept = $text {_OWNER}", id=self.id_of(partition), text=text))

    def kept(self, tx: Tx, partition: str) -> str | None:
        """The text that is kept with a partition.

        Raises:
            Fenced: another worker owns the partition now.
        """
        rows = tx.run(f"{_OWN} SET c.group = $group {_OWNER}", id=self.id_of(partition), group=self._group)
        return self._own(partition, rows)

    def id_of(self, partition: str) -> str:
        """The id of a partition's node."""
        return f"{self._group}|{partition}"

    def _own(self, partition: str, rows: list[Row]) -> str | None:
        if not rows or rows[0]["owner"] != self._owner:
            raise Fenced(f"another worker has taken over {partition}", partition)
        kept: str | None = rows[0]["kept"]
        return kept
