"""From the wire to a :class:`~graph.events.Transaction`, and back.

The wire format is flat JSON, one object per transaction; a row of a CSV or Parquet file has the same names.
Whatever cannot be accepted raises :class:`~graph.errors.BadEvent`, whose message names our field and never
quotes a value. What the fields accept:

- text: strings, and numbers as their shortest decimal (``12.0`` is ``"12"``); a value that holds a card number
  becomes a token;
- times: RFC 3339 (no offset means UTC), epoch milliseconds, or epoch seconds (numbers below 10^11), as a number
  or a string; strings in ``time_format`` instead where one is given;
- amounts: numbers or numeric strings in major units;
- status and channel: in any case, and in the other words of :mod:`streaming.words`;
- ``n/a``, ``unknown`` and the like are no value, nor are a kind of device (``Windows``) or the domain of an e-mail
  address, which many share.

A receiving account makes a transfer, and the merchant of a transfer is its receiving account. A transfer without a
card is made with its account, which stands for one.

This module refuses to read files or topics, and keeps no clear card number.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec

from graph.errors import BadEvent
from graph.events import Transaction
from streaming.card_numbers import holds_card_number, mask
from streaming.identifiers import normalise_device, normalise_ip, normalise_text
from streaming.instants import Instants
from streaming.mapping import FIELDS
from streaming.money import to_major, to_minor
from streaming.scalars import (
    LONGEST_TEXT,
    read_bin,
    read_coordinate,
    read_currency,
    read_number,
    read_text,
    read_word,
)
from streaming.secret_fields import holds_secret, is_secret_name, mentions_secret, secret_field
from streaming.tokens import CardTokenizer
from streaming.words import CHANNELS, STATUSES

LARGEST_EVENT_BYTES = 1 << 20
_REQUIRED = ("transaction_id", "event_time", "card", "amount")
_REMEMBERED = 32_768  # readings of each kind: a stream repeats its cards, merchants and devices
_COUNTED_NAMES = 1000
_IDENTIFIED_AS = {"Address": "shipping_address", "Transaction": "transaction_id", "Ring": "transaction_id"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_parse = msgspec.json.Decoder(float_hook=Decimal).decode
_encode_wire = msgspec.json.Encoder(decimal_format="number").encode
_encode_content = msgspec.msgpack.Encoder(order="deterministic").encode


_Read = Callable[[Any], Any]
_Reader = tuple[_Read, _Read | None]  # how to read a value, and the same from memory (for ints and short strings)


def now_ms() -> int:
    """The wall clock, in UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Codec:
    """Decodes events with one card key, one renaming of fields and one format of times.

    ``mapping`` gives for our field the sender's name for it. ``unknown_fields`` counts, by name, the fields that
    were kept out.
    """

    def __init__(
        self,
        tokenizer: CardTokenizer,
        mapping: Mapping[str, str] | None = None,
        time_format: str | None = None,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self.unknown_fields: Counter[str] = Counter()
        self._tokenizer = tokenizer
        instants = Instants(time_format, now)
        text = _remember(self._read_text)
        readers: dict[str, _Reader] = dict.fromkeys(FIELDS, text) | {
            # Every event has another one of these, so they are not worth remembering.
            "transaction_id": (self._read_text, None),
            "original_transaction_id": (self._read_text, None),
            "event_time": (instants.read_event_time, None),
            "account_created": (instants.read_account_created, None),
            "amount": (read_number, None),
            "credit_limit": (read_number, None),
            "latitude": (partial(read_coordinate, limit_degrees=90), None),
            "longitude": (partial(read_coordinate, limit_degrees=180), None),
            # And these have few values, or cost more than looking them up.
            "currency": _remember(read_currency),
            "status": _remember(partial(read_word, meanings=STATUSES)),
            "channel": _remember(partial(read_word, meanings=CHANNELS)),
            "ip": _remember(partial(self._read_identifier, normalise=normalise_ip)),
            "device": _remember(partial(self._read_identifier, normalise=normalise_device)),
            "card": _remember(partial(_tokenise, tokenise=tokenizer.card)),
            "email": _remember(partial(_tokenise, tokenise=tokenizer.email)),
            "phone": _remember(partial(_tokenise, tokenise=tokenizer.phone)),
            "card_bin": _remember(read_bin),
            "promotion": _remember(self._read_promotion),
        }
        renamed = mapping or {}
        self._reading = (sorted(renamed.items()), time_format)
        self._readers = readers
        self._plan = [(name, renamed.get(name, name), *readers[name]) for name in FIELDS]
        self._known = frozenset(theirs for _, theirs, _, _ in self._plan)
        self._unmet = set(renamed.values())  # names that the mapping speaks of and that no event has had yet
        self._accounts_told: bool | None = None  # not known before the first event

    @property
    def fingerprint(self) -> str:
        """A short hash of what decides how an event is read: the renaming and the format of times."""
        return hashlib.blake2b(repr(self._reading).encode(), digest_size=8).hexdigest()

    def advice(self) -> list[str]:
        """What the events read so far lack, in words for whoever chose the mapping."""
        advice = []
        if self._unmet:
            advice.append(f"no event has what --map names: {', '.join(sorted(self._unmet))}")
        if self._accounts_told is False:
            advice.append("no event tells an account, which most rules need: map a customer, or the card")
        return advice

    def identify(self, label: str, value: Any) -> str:
        """The id under which the graph knows an entity, a transaction or a ring that the wire calls ``value``.

        Raises:
            BadEvent: no node of this label can be called that.
        """
        name = _IDENTIFIED_AS.get(label, label.lower())
        read, _ = self._readers[name]
        entity_id = read(value)
        if entity_id is None:
            raise BadEvent("missing_field", "is empty")
        return entity_id.token if label == "Card" else str(entity_id)

    def decode(self, value: bytes | Mapping[str, Any] | Transaction | BadEvent | None) -> Transaction:
        """The transaction in a record's value, whatever the source has made of it.

        Raises:
            BadEvent: it cannot be accepted, and why; ``secret`` if its bytes must not be kept.
        """
        if isinstance(value, Transaction):
            return value
        if isinstance(value, BadEvent):
            raise value
        fields = parse_object(value) if value is None or isinstance(value, bytes) else value
        if self._unmet:
            self._unmet.difference_update(fields)
        if not self._known.issuperset(fields):
            self._set_unknown_aside(fields)
        try:
            return self._build(fields)
        except BadEvent:
            if holds_secret(fields):
                raise secret_field() from None
            raise

    def _build(self, fields: Mapping[str, Any]) -> Transaction:
        content: dict[str, Any] = {"currency": "XXX", "status": "approved"}
        try:
            for name, theirs, read, recall in self._plan:
                value = fields.get(theirs)
                if value is None:
                    continue
                kind = type(value)
                if recall is not None and (kind is int or (kind is str and len(value) <= LONGEST_TEXT)):
                    value = recall(value)
                else:
                    value = read(value)
                if value is not None:
                    content[name] = value
            if "counterparty" in content or content.get("channel") == "transfer":
                self._complete_transfer(content)
            for name in _REQUIRED:
                if name not in content:
                    raise BadEvent("missing_field", "is missing")
            for name in ("amount", "credit_limit"):
                if name in content:
                    content[name] = to_minor(content[name], content["currency"])
        except BadEvent as error:
            raise BadEvent(error.reason, f"{name} {error}") from None
        self._accounts_told = self._accounts_told or "account" in content
        content["card"], card_bin = content["card"]
        if card_bin:
            content["card_bin"] = card_bin
        digest = hashlib.blake2b(_encode_content(content), digest_size=16).hexdigest()
        return Transaction(digest=digest, **content)

    def _complete_transfer(self, content: dict[str, Any]) -> None:
        content.setdefault("channel", "transfer")
        if "counterparty" not in content and "merchant" in content:
            content["counterparty"] = content.pop("merchant")
        if "card" not in content and "account" in content and content["channel"] == "transfer":
            content["card"] = self._tokenizer.card(f"account:{content['account']}")

    def _set_unknown_aside(self, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name in self._known:
                continue
            if is_secret_name(name) or (isinstance(value, (dict, list)) and holds_secret(value)):
                raise secret_field()
            shown = mask(name[:64]) if len(name) >= 13 else name
            if shown not in self.unknown_fields and len(self.unknown_fields) >= _COUNTED_NAMES:
                shown = "(others)"
            self.unknown_fields[shown] += 1

    def _read_text(self, value: Any) -> str | None:
        text = normalise_text(read_text(value))
        return self._tokenizer.text(text) if text is not None and holds_card_number(text) else text

    def _read_promotion(self, value: Any) -> str | None:
        """Its name, or whether there was one."""
        text = str(value).lower() if isinstance(value, bool) else self._read_text(value)
        return None if text is not None and text.lower() in ("0", "false", "no") else text

    def _read_identifier(self, value: Any, normalise: Callable[[str], str | None]) -> str | None:
        text = self._read_text(value)
        return None if text is None else normalise(text)


def encode(transaction: Transaction) -> bytes:
    """The transaction in our wire format, with tokens for what was hashed; decoding it gives an equal one."""
    fields = {name: value for name, value in msgspec.structs.asdict(transaction).items() if value is not None}
    del fields["digest"]
    for name in ("amount", "credit_limit"):
        if name in fields:
            fields[name] = to_major(fields[name], transaction.currency)
    return _encode_wire(fields)


def parse_object(value: bytes | None) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        BadEvent: the bytes are something else; ``secret`` if they seem to carry one.
    """
    if not value:
        raise BadEvent("not_json", "the event is empty")
    try:
        if len(value) > LARGEST_EVENT_BYTES:
            raise BadEvent("too_large", f"the event is larger than {LARGEST_EVENT_BYTES} bytes")
        fields = _parse(value.removeprefix(_BYTE_ORDER_MARK))
        if not isinstance(fields, dict):
            raise BadEvent("not_an_object", "the event is JSON, but not an object")
        return fields
    except UnicodeDecodeError:
        error = BadEvent("not_utf8", "the event is not valid UTF-8")
    except (msgspec.DecodeError, RecursionError, ArithmeticError, ValueError):
        error = BadEvent("not_json", "the event is not valid JSON")
    except BadEvent as unwanted:
        error = unwanted
    raise secret_field() if mentions_secret(value) else error


def _tokenise(value: Any, tokenise: Callable[[str], Any]) -> Any:
    text = normalise_text(read_text(value))
    return None if text is None else tokenise(text)


def _remember(read: _Read) -> _Reader:
    return read, lru_cache(_REMEMBERED)(read)
