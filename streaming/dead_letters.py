"""Bad events, set aside with their reason while the stream goes on.

A letter keeps the event's bytes for a person to look at: masked, cut, and not at all where it carried a secret.
It is therefore never the event itself: a replay reads that again from where it came, by position. Writing the same
position again, as a restarted worker does, changes nothing.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from graph.errors import BadEvent, ConfigurationError, ServiceError
from graph.events import Label, Transaction
from streaming.addresses import is_kafka, parse_kafka
from streaming.card_numbers import mask
from streaming.codec import encode, now_ms
from streaming.line_file import LineFile
from streaming.records import Position, Record
from streaming.secret_fields import mentions_secret

LONGEST_EVENT_BYTES = 8192
PENDING_LETTERS = 1000  # written before anybody flushes, so that a flood of bad events fits in memory
_REMEMBERED = 100_000  # positions; far more than two batches, which is all that is ever written again


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One bad event: where it stands, why it was refused, when (epoch ms), and what it looked like, masked."""

    partition: str
    offset: int
    reason: str
    message: str
    time: int
    event: str | None = None

    @classmethod
    def of(cls, record: Record, error: BadEvent, now: Callable[[], int] = now_ms) -> DeadLetter:
        """The letter for a record that was refused."""
        partition, offset = record.origin or Position(record.partition, record.offset)
        kept = kept_bytes(record, error)
        return cls(
            partition=partition,
            offset=offset,
            reason=error.reason,
            message=mask(str(error)),
            time=now(),
            event=None if kept is None else kept.decode("utf-8", "backslashreplace"),
        )

    def encode(self) -> bytes:
        """The letter as one JSON object."""
        return msgspec.json.encode(self)

    @property
    def position(self) -> Position:
        """Where the event can be read again."""
        return Position(self.partition, self.offset)


def kept_bytes(record: Record, error: BadEvent) -> bytes | None:
    """What may be kept of a refused event: its bytes masked and cut; None where a secret may be in them."""
    raw = _bytes_of(record)
    if raw is None or error.secret or mentions_secret(raw):
        return None
    return mask(raw)[:LONGEST_EVENT_BYTES]


def _bytes_of(record: Record) -> bytes | None:
    match record.value:
        case BadEvent() | None:
            return record.raw
        case bytes() as value:
            return value
        case Transaction() as transaction:
            return encode(transaction)
        case Label() as label:
            return msgspec.json.encode(label)
        case row:
            return json.dumps(row, default=_shown, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _shown(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class DeadLetterSink(Protocol):
    """Where letters go; what was written before a flush that succeeded is kept for good."""

    def write(self, letter: DeadLetter) -> None:
        """Take a letter; one whose position has just been written is dropped."""

    def flush(self) -> None:
        """Make sure of what was written.

        Raises:
            Unavailable: not now; nothing is forgotten, flush again.
        """

    def close(self) -> None:
        """Flush, and release files and connections."""


def open_sink(address: str, client: Mapping[str, str] | None = None) -> DeadLetterSink:
    """The sink for a file's path, ``-`` (standard output) or ``kafka://…``, with the Kafka client's properties."""
    if address == "-":
        return StdoutSink()
    if is_kafka(address):
        from streaming.dead_letter_topic import TopicSink  # only then is a Kafka client needed

        return TopicSink(parse_kafka(address), client or {})
    return FileSink(Path(address))


def list_letters(address: str, client: Mapping[str, str] | None = None) -> Iterator[DeadLetter]:
    """The letters in a file or a topic, each position once, in the order in which they were written there."""
    if is_kafka(address):
        from streaming.dead_letter_topic import read_letters  # only then is a Kafka client needed

        letters = read_letters(parse_kafka(address), client or {})
    elif address == "-":
        raise ConfigurationError("what went to standard output cannot be listed: name a file or a topic")
    else:
        letters = _read_file(Path(address))
    seen: set[Position] = set()
    for letter in letters:
        if letter.position not in seen:
            seen.add(letter.position)
            yield letter


class DeadLetterLimit:
    """Stops the stream when a sender's bad deploy makes most events bad, before all are dead-lettered.

    It trips when more than ``share`` of at least ``window`` events in a row were bad, counted by batches.
    """

    def __init__(self, share: float, window: int) -> None:
        self._share = share
        self._window = window
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self._events = 0
        self._bad: Counter[str] = Counter()

    def observe(self, events: int, reasons: Iterable[str]) -> None:
        """Count a batch of ``events``, of which some were bad for these reasons.

        Raises:
            ServiceError: too many of the latest events were bad; it names the most frequent reasons.
        """
        bad = Counter(reasons)
        self._batches.append((events, bad))
        self._events += events
        self._bad += bad
        while self._events - self._batches[0][0] >= self._window:
            old_events, old_bad = self._batches.popleft()
            self._events -= old_events
            self._bad -= old_bad
        count = self._bad.total()
        if self._events >= self._window and count > self._share * self._events:
            reasons_found = "; ".join(f"{number} times {reason}" for reason, number in self._bad.most_common(3))
            raise ServiceError(
                f"stopped, since {count} of the last {self._events} events were bad: {reasons_found}; "
                "mend the sender or the mapping, or raise dead_letters.limit_share"
            )


class StdoutSink:
    """Letters as lines on standard output."""

    def write(self, letter: DeadLetter) -> None:
        """Print it."""
        sys.stdout.write(letter.encode().decode() + "\n")

    def flush(self) -> None:
        """Push the lines out."""
        sys.stdout.flush()

    def close(self) -> None:
        """Push the lines out."""
        self.flush()


class FileSink:
    """Letters as lines of a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path, "dead letters", 0o600)
        self._written: dict[Position, None] = {}
        self._pending: dict[Position, bytes] = {}
        for line in self._file.lines():
            if (letter := parse_letter(line)) is not None:
                self._remember(letter.position)

    def write(self, letter: DeadLetter) -> None:
        """Take a letter."""
        if letter.position not in self._written:
            self._pending[letter.position] = letter.encode() + b"\n"
        if len(self._pending) >= PENDING_LETTERS:
            self.flush()

    def flush(self) -> None:
        """Append what is pending."""
        if not self._pending:
            return
        self._file.append(b"".join(self._pending.values()))
        for position in self._pending:
            self._remember(position)
        self._pending = {}

    def _remember(self, position: Position) -> None:
        self._written[position] = None
        if len(self._written) > _REMEMBERED:
            del self._written[next(iter(self._written))]

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._file.close()


def parse_letter(line: bytes) -> DeadLetter | None:
    """The letter in a line or a message; None if it is something else."""
    try:
        return msgspec.json.decode(line, type=DeadLetter)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _read_file(path: Path) -> Iterator[DeadLetter]:
    try:
        with path.open("rb") as file:
            yield from filter(None, map(parse_letter, file))
    except OSError as error:
        raise ConfigurationError(f"dead letters cannot be read from {path}: {error.strerror}") from error
