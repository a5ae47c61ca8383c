"""The truth about a stream, read from the folder that ``ringwatch simulate`` writes (or another generator).

``transactions.jsonl`` and ``rings.jsonl`` must be there; ``labels.jsonl`` and ``honest.jsonl`` may be. Everything
is joined by transaction id: what was found names cards by keyed hashes that the truth does not know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from graph.errors import BadEvent, ConfigurationError
from streaming.instants import Instants

T = TypeVar("T")

#: A truth may lie in the future: no clock bounds it.
INSTANTS = Instants(None, lambda: 2**62)


class Payment(msgspec.Struct, frozen=True, gc=False):
    """A transaction as the stream spelt it, as far as the evaluation looks; ``amount`` is in major units."""

    transaction_id: str
    event_time: str | int | float
    card: str
    amount: float
    currency: str = "XXX"
    status: str = "approved"
    channel: str | None = None
    merchant: str | None = None
    merchant_category: str | None = None
    merchant_country: str | None = None
    account: str | None = None
    account_created: str | int | float | None = None
    device: str | None = None
    ip: str | None = None
    email: str | None = None
    phone: str | None = None
    shipping_address: str | None = None
    promotion: str | None = None
    credit_limit: float | None = None


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


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A label, and when it became known."""

    verdict: str
    time: str | int | float
    transaction_id: str | None = None


@dataclass(frozen=True)
class Truth:
    """A stream and what is true of it; ``times`` are epoch ms by transaction id, each id once."""

    payments: list[Payment]
    times: dict[str, int]
    rings: list[TrueRing]
    honest: list[HonestGroup] = field(default_factory=list)
    known_at: dict[str, tuple[int, bool]] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> dict[str, Payment]:
        """Payments by transaction id."""
        return {payment.transaction_id: payment for payment in self.payments}

    @cached_property
    def ring_of(self) -> dict[str, str]:
        """Transaction id → ring, for what a ring did, camouflage included."""
        return {
            key: ring.ring_id
            for ring in self.rings
            for key in (*ring.camouflage_transaction_ids, *ring.transaction_ids)
        }

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


def read_truth(folder: Path) -> Truth:
    """Read a truth folder.

    Raises:
        ConfigurationError: a file is missing or is not what it should be; the message names file and line.
    """
    payments: list[Payment] = []
    at: dict[str, int] = {}
    for payment in read_lines(folder / "transactions.jsonl", Payment):
        if payment.transaction_id not in at:  # a redelivery is no second transaction
            payments.append(payment)
            at[payment.transaction_id] = moment(payment.event_time, folder)
    rings = list(read_lines(folder / "rings.jsonl", TrueRing))
    honest_file, labels_file = folder / "honest.jsonl", folder / "labels.jsonl"
    honest = list(read_lines(honest_file, HonestGroup)) if honest_file.exists() else []
    known: dict[str, tuple[int, bool]] = {}
    for label in read_lines(labels_file, Verdict) if labels_file.exists() else ():
        if label.transaction_id is not None:
            told = (moment(label.time, folder), label.verdict == "fraud")
            known[label.transaction_id] = max(told, known.get(label.transaction_id, told))
    return Truth(payments, at, rings, honest, known)


def moment(value: str | float, where: Path) -> int:
    """A time in epoch ms.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        found = INSTANTS.read_event_time(value)
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
    decode = msgspec.json.Decoder(kind).decode
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007 - told if a line is wrong
                if line.strip():
                    yield decode(line)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path}, line {number}: {error}") from error
