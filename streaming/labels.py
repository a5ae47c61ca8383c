"""Labels from the wire: verdicts, with the names of things as the transactions spell them.

Flat JSON (or a row of a file) with ``verdict`` (fraud or legitimate), ``source`` (a word for who says so:
chargeback, analyst), ``time`` (when it became known) and one of ``transaction_id``, ``card`` and ``ring_id``.
Cards become tokens here, as in transactions; other fields are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, cast, get_args

import msgspec

from graph.errors import BadEvent
from graph.events import Entity, Label, Verdict
from streaming.codec import Codec, now_ms, parse_object
from streaming.instants import Instants
from streaming.scalars import read_text, read_word
from streaming.secret_fields import holds_secret, secret_field
from streaming.words import is_nothing

T = TypeVar("T")

#: Columns that every file of labels must have.
COLUMNS = frozenset({"verdict", "source", "time"})

_SUBJECTS = {"transaction_id": "Transaction", "card": "Card", "ring_id": "Ring"}
_NAMES = {kind: name for name, kind in _SUBJECTS.items()}
_VERDICTS = {verdict: verdict for verdict in get_args(Verdict)}
#: Sources name a metric's values, so they are few and short.
_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class LabelCodec:
    """Decodes labels; ``codec`` is the transactions', whose ids and tokens these are."""

    fingerprint = "labels"

    def __init__(self, codec: Codec, now: Callable[[], int] = now_ms) -> None:
        self._codec = codec
        self._instants = Instants(None, now)

    def decode(self, value: bytes | Mapping[str, Any] | BadEvent | None) -> Label:
        """The label in a record's value, whatever the source has made of it.

        Raises:
            BadEvent: it cannot be accepted, and why; ``secret`` if its bytes must not be kept.
        """
        if isinstance(value, BadEvent):
            raise value
        fields = parse_object(value) if value is None or isinstance(value, bytes) else value
        if holds_secret(fields):
            raise secret_field()
        named = [name for name in _SUBJECTS if not _is_missing(fields.get(name))]
        if len(named) != 1:
            what = "names more than one of" if named else "names none of"
            raise BadEvent("bad_subject", f"the label {what} {', '.join(_SUBJECTS)}")
        kind = _SUBJECTS[named[0]]
        return Label(
            subject=Entity(kind, _required(fields, named[0], partial(self._codec.identify, kind))),
            verdict=cast(Verdict, _required(fields, "verdict", partial(read_word, meanings=_VERDICTS))),
            source=_required(fields, "source", _read_source),
            time=_required(fields, "time", self._instants.read_event_time),
        )


def encode(label: Label) -> bytes:
    """The label in our wire format, with a token for a card; decoding it gives an equal one."""
    fields = {"verdict": label.verdict, "source": label.source, "time": label.time}
    return msgspec.json.encode({_NAMES[label.subject.label]: label.subject.id, **fields})


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str | float | Decimal) and is_nothing(read_text(value)))


def _required(fields: Mapping[str, Any], name: str, read: Callable[[Any], T | None]) -> T:
    value = fields.get(name)
    try:
        found = None if value is None or value == "" else read(value)
        if found is None:
            raise BadEvent("missing_field", "is missing")
    except BadEvent as error:
        raise BadEvent(error.reason, f"{name} {error}") from None
    return found


def _read_source(value: Any) -> str | None:
    word = read_text(value).strip().lower()
    if word and not _SOURCE.fullmatch(word):
        raise BadEvent("bad_value", "is not a word of at most 32 letters, digits, dashes and underscores")
    return word or None
