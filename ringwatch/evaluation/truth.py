"""The truth about a stream, read from the folder that ``ringwatch simulate`` writes (or another generator).

``transactions.jsonl`` and ``rings.jsonl`` must be there; ``labels.jsonl`` and ``honest.jsonl`` may be.
Transactions and labels are read as ``run`` reads them, with the same renaming of fields. What was found is joined
with them by transaction id.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from graph.errors import BadEvent, ConfigurationError
from graph.events import Label, Transaction
from ringwatch.labelled_history import LabelledHistory, labels_at
from streaming.codec import Codec
from streaming.instants import Instants

T = TypeVar("T")

#: What was found may lie in the future: no clock bounds it.
_INSTANTS = Instants(None, lambda: 2**62)


class TrueRing(msgspec.Struct, frozen=True, kw_only=True):
    """A ring as the truth tells it; ``camouflage`` is its honest-looking purchases for each fraudulent one."""

    ring_id: str
    typology: str = "unknown"
    transaction_ids: list[str]
    camouflage_transaction_ids: list[str] = []
    camouflage: float | None = None

    def camouflage_share(self) -> float:
        """How many honest-looking purchases stand beside each fraudulent one."""
        if self.camouflage is not None:
            return self.camouflage
        return len(self.camouflage_transaction_ids) / max(1, len(self.transaction_ids))


class HonestGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Honest transactions that look like a ring's, and of what kind they are."""

    group_id: str
    kind: str
    transaction_ids: list[str]


@dataclass(frozen=True)
class Truth:
    """A stream, each transaction once, and what is true of it.

    ``told_of``: transaction id → when something was said of it (epoch ms), and whether that it is fraud.
    ``left_out`` counts the rows that are no transactions or labels, ``absent`` the transactions that rings and
    honest groups name and the stream has not. One that several rings name is the last one's.
    """

    payments: list[Transaction]
    rings: list[TrueRing]
    honest: list[HonestGroup] = field(default_factory=list)
    told_of: Mapping[str, list[tuple[int, bool]]] = field(default_factory=dict)
    left_out: int = 0
    absent: int = 0

    @cached_property
    def by_id(self) -> dict[str, Transaction]:
        """Transactions by id."""
        return {payment.transaction_id: payment for payment in self.payments}

    @cached_property
    def times(self) -> dict[str, int]:
        """Transaction id → event time in epoch ms."""
        return {payment.transaction_id: payment.event_time for payment in self.payments}

    @cached_property
    def ring_of(self) -> dict[str, str]:
        """Transaction id → ring, for what a ring did, camouflage included."""
        return {
            key: ring.ring_id
            for ring in self.rings
            for key in (*ring.camouflage_transaction_ids, *ring.transaction_ids)
        }

    @property
    def shared(self) -> int:
        """How many transactions several rings name."""
        named = Counter(
            key for ring in self.rings for key in {*ring.transaction_ids, *ring.camouflage_transaction_ids}
        )
        return sum(rings > 1 for rings in named.values())

    @cached_property
    def fraud(self) -> set[str]:
        """The ids of fraudulent transactions."""
        return {key for ring in self.rings for key in ring.transaction_ids}

    @cached_property
    def honest_kind(self) -> dict[str, list[HonestGroup]]:
        """Look-alike groups by kind."""
        kinds: defaultdict[str, list[HonestGroup]] = defaultdict(list)
        for group in self.honest:
            kinds[group.kind].append(group)
        return dict(sorted(kinds.items()))

    def cards(self, transaction_ids: Iterator[str] | list[str] | set[str]) -> set[str]:
        """The cards that made these transactions."""
        return {payment.card for key in transaction_ids if (payment := self.by_id.get(key)) is not None}


def read_truth(folder: Path, codec: Codec) -> Truth:
    """Read a truth folder, its transactions and labels with the codec of whoever ran the stream.

    Raises:
        ConfigurationError: a file is missing or is not what it should be; the message names file and line.
    """
    history = LabelledHistory(codec, str(folder / "transactions.jsonl"))
    payments: dict[str, Transaction] = {}
    for transaction in history.transactions():
        payments.setdefault(transaction.transaction_id, transaction)  # a redelivery is no second transaction
    bad, labels_file = history.bad, folder / "labels.jsonl"
    told_of: defaultdict[str, list[tuple[int, bool]]] = defaultdict(list)
    for label in labels_at(codec, str(labels_file)) if labels_file.exists() else ():
        if not isinstance(label, Label):
            bad += 1
        elif label.subject.label == "Transaction":
            told_of[label.subject.id].append((label.time, label.verdict == "fraud"))
    honest_file = folder / "honest.jsonl"
    rings = list(_named(folder / "rings.jsonl", TrueRing, codec))
    honest = list(_named(honest_file, HonestGroup, codec)) if honest_file.exists() else []
    named = {key for ring in rings for key in ring.transaction_ids}
    named |= {key for group in honest for key in group.transaction_ids}
    return Truth(list(payments.values()), rings, honest, told_of, bad, len(named - payments.keys()))


def moment(value: str | float, where: Path) -> int:
    """A time in epoch ms.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        found = _INSTANTS.read_event_time(value)
    except BadEvent as error:
        raise ConfigurationError(f"{where}: a time {error}") from error
    if found is None:
        raise ConfigurationError(f"{where}: a time is empty")
    return found


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """The objects of a JSON Lines file.

    Raises:
        ConfigurationError: it cannot be read, or a line is no such object.
    """
    return _lines(path, msgspec.json.Decoder(kind).decode)


def _named(path: Path, kind: type[T], codec: Codec) -> Iterator[T]:
    """Objects that name transactions, by the ids that the codec gives these."""

    def decode(line: bytes) -> T:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        for name in fields.keys() & {"transaction_ids", "camouflage_transaction_ids"}:
            fields[name] = [codec.identify("Transaction", one) for one in msgspec.convert(fields[name], list[Any])]
        for name in fields.keys() & {"ring_id", "group_id"}:
            fields[name] = str(fields[name])
        return msgspec.convert(fields, kind)

    return _lines(path, decode)


def _lines(path: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007 - told if a line is wrong
                if line.strip():
                    yield decode(line)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, BadEvent) as error:
        raise ConfigurationError(f"{path}, line {number}: {error}") from error
