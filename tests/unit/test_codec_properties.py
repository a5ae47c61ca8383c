"""Whatever comes in, a transaction or a BadEvent comes out, and no card number ever does."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import BadEvent
from graph.events import Transaction
from streaming.card_numbers import holds_card_number
from streaming.codec import Codec, encode
from streaming.dead_letters import DeadLetter
from streaming.identifiers import normalise_text
from streaming.mapping import FIELDS
from streaming.records import Record
from streaming.tokens import CardTokenizer

NOW = 1_750_000_000_000
VISA = "4242424242424242"
LEAST = {"transaction_id": "t1", "event_time": NOW, "card": VISA, "amount": 12.34}
codec = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), now=lambda: NOW)

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([VISA, "1e999", "cvv"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*FIELDS, "cvv", "colour"])
rows = junk | st.decimals() | st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.binary() | st.dates()

words = st.text(string.ascii_letters + string.digits + " .:-é٤", max_size=20)
events = st.fixed_dictionaries(
    {
        "transaction_id": words.filter(normalise_text),
        "event_time": st.integers(631_152_000_000, NOW)
        | st.datetimes(datetime(1990, 1, 2), datetime(2025, 6, 1), timezones=st.just(UTC)).map(str),  # noqa: DTZ001
        "card": st.sampled_from([VISA, "5555-5555-5555-4444", "tok", 12]) | words.filter(normalise_text),
        "amount": st.decimals(0, 10**12, places=4) | st.integers(0, 10**12) | st.floats(0, 1e12),
    },
    optional={
        "currency": st.sampled_from(["USD", "JPY", "kwd", "CLF", None]),
        "status": st.sampled_from(["approved", "Declined"]),
        "merchant": words,
        "ip": st.ip_addresses().map(str) | words,
        "email": st.emails(),
        "phone": words | st.integers(),
        "latitude": st.floats(-90, 90) | st.integers(-90, 90),
        "account_created": st.datetimes(datetime(1900, 1, 1), datetime(2025, 6, 1)).map(str),  # noqa: DTZ001
        "credit_limit": st.integers(0, 10**9),
        "card_bin": st.integers(100_000, 999_999),
        "shipping_address": st.just(f"card {VISA}") | words,
    },
)


def decode(value: Any) -> Transaction | BadEvent:
    try:
        return codec.decode(value)
    except BadEvent as error:
        return error


@given(st.binary())
def test_any_bytes_are_an_event_or_a_bad_one(data: bytes) -> None:
    assert isinstance(decode(data), Transaction | BadEvent)


@given(st.dictionaries(names, junk))
def test_any_json_is_an_event_or_a_bad_one(fields: dict[str, Any]) -> None:
    event = json.dumps(LEAST | fields).encode("utf-8", "replace")
    read = decode(event)
    assert isinstance(read, Transaction | BadEvent)
    if isinstance(read, BadEvent):
        letter = DeadLetter.of(Record("topic/0", 0, event), read)
        assert VISA.encode() not in letter.encode()
        assert "cvv" not in fields or letter.event is None


@given(st.dictionaries(names, rows))
def test_any_row_is_an_event_or_a_bad_one(fields: dict[str, Any]) -> None:
    read = decode(LEAST | fields)
    assert isinstance(read, Transaction | BadEvent)
    if isinstance(read, BadEvent):
        assert VISA.encode() not in DeadLetter.of(Record("file", 0, LEAST | fields), read).encode()


@given(events)
def test_a_good_event_survives_the_wire_unchanged(fields: dict[str, Any]) -> None:
    read = codec.decode(fields)
    assert codec.decode(encode(read)) == read
    for value in msgspec.structs.astuple(read):
        assert not (isinstance(value, str) and holds_card_number(value))


@given(events)
def test_a_row_and_its_json_are_the_same_event(fields: dict[str, Any]) -> None:
    assert codec.decode(msgspec.json.encode(fields)) == codec.decode(fields)
