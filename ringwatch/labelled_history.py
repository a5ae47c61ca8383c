"""History to learn from, transactions and what was said of them: out of files, or out of the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from graph.driver import Graph
from graph.errors import BadEvent, ConfigurationError
from graph.events import Entity, Label, Transaction
from graph.history import labelled_transactions
from ringwatch.history_rows import history_rows
from streaming.codec import Codec, parse_object
from streaming.labels import COLUMNS, LabelCodec
from streaming.scalars import read_number, read_text
from streaming.words import is_nothing

#: Who says what a column tells.
_SOURCE = "history"


class LabelledHistory:
    """The transactions at an address (:func:`ringwatch.history_rows.history_rows`), and labels for them.

    ``read`` and ``bad`` count its rows so far, and ``refusals`` says in words why rows were bad, and how often.
    """

    def __init__(self, codec: Codec, address: str) -> None:
        self._codec = codec
        self._address = address
        self.read = 0
        self.bad = 0
        self.refusals: Counter[str] = Counter()

    def transactions(self) -> Iterator[Transaction]:
        """Every good row, in the order of the files."""
        for row in history_rows(self._address):
            self.read += 1
            try:
                yield self._codec.decode(row)
            except BadEvent as error:
                self.bad += 1
                self.refusals[str(error)] += 1

    def labels_of_column(self, column: str, fraud: str, known_after: timedelta) -> Iterator[Label]:
        """A label for every row that says something in ``column``: fraud where it says ``fraud``.

        ``true`` and ``1`` are the same, as are ``false`` and ``0``, in any case.

        Raises:
            ConfigurationError: a file with named columns has none of that name, or no row ever says so.
        """
        delay_ms = int(known_after.total_seconds() * 1000)
        accused, wanted = False, _said(fraud)
        for row in history_rows(self._address, [column]):
            try:
                transaction = self._codec.decode(row)
                said = _said(_fields(row).get(column))
            except BadEvent:
                continue
            if said is None:
                continue
            is_fraud = said == wanted
            accused = accused or is_fraud
            yield Label(
                subject=Entity("Transaction", transaction.transaction_id),
                verdict="fraud" if is_fraud else "legitimate",
                source=_SOURCE,
                time=transaction.event_time + delay_ms,
            )
        if not accused:
            raise ConfigurationError(f"no row says {fraud!r} in the column {column!r}")


class GraphHistory:
    """What a graph holds. ``read`` counts its transactions so far; its labels are known once all were read."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._labels: list[Label] = []
        self.read = 0
        self.bad = 0

    def transactions(self) -> Iterator[Transaction]:
        """Every transaction, hour by hour."""
        for transaction, labels in labelled_transactions(self._graph):
            self.read += 1
            self._labels += labels
            yield transaction

    def labels(self) -> Iterator[Label]:
        """What was said of the transactions that were read."""
        yield from self._labels


def labels_at(codec: Codec, address: str) -> Iterator[Label | BadEvent]:
    """The labels at an address, and in the place of a bad row what is wrong with it."""
    decoder = LabelCodec(codec)
    for row in history_rows(address, COLUMNS):
        try:
            yield decoder.decode(row)
        except BadEvent as error:
            yield error


def _said(value: Any) -> str | None:
    """What a column says in one spelling, whatever wrote it; None where that is nothing."""
    text = str(value) if isinstance(value, bool) else read_text("" if value is None else value)
    word = text.strip().lower()
    if is_nothing(word):
        return None
    try:
        return read_text(read_number({"true": "1", "false": "0"}.get(word, word)))
    except BadEvent:
        return word


def _fields(value: Any) -> Mapping[str, Any]:
    return parse_object(value) if isinstance(value, bytes) else value
