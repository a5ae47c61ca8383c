"""The wire format: what is accepted, as what, and what is refused and why."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from graph.errors import BadEvent, ConfigurationError
from graph.events import Transaction
from streaming.codec import LARGEST_EVENT_BYTES, Codec, encode
from streaming.mapping import parse_mapping
from streaming.tokens import CardTokenizer

VISA = "4242424242424242"
NOW = 1_750_000_000_000
HOUR = 3_600_000
tokenizer = CardTokenizer(b"a key of sixteen bytes, or more")
LEAST = {"transaction_id": "t1", "event_time": "2025-06-15T12:00:00Z", "card": VISA, "amount": 12.34}
FULL = LEAST | {
    "currency": "EUR",
    "status": "declined",
    "merchant": "m1",
    "merchant_category": "5411",
    "merchant_country": "DE",
    "account": "a1",
    "device": "d1",
    "ip": "::ffff:192.0.2.1",
    "email": "Ada@Example.com",
    "phone": "+1 415 555 2671",
    "shipping_address": "1 Main St",
    "billing_address": "2 Main St",
    "channel": "ecommerce",
    "latitude": 52.5,
    "longitude": -13.4,
    "account_created": "2020-01-01",
    "credit_limit": 5000,
    "promotion": "SUMMER",
    "counterparty": "a2",
    "network": "AS64500",
    "original_transaction_id": "t0",
}


def codec(**options: Any) -> Codec:
    return Codec(tokenizer, now=lambda: NOW, **options)


def decode(**fields: Any) -> Transaction:
    return codec().decode(json.dumps(LEAST | fields).encode())


def refusal(value: Any) -> BadEvent:
    with pytest.raises(BadEvent) as refused:
        codec().decode(value)
    return refused.value


def test_the_least_event_is_completed_with_defaults() -> None:
    token = tokenizer.card(VISA).token
    read = decode()
    assert (read.transaction_id, read.event_time, read.card) == ("t1", 1_749_988_800_000, token)
    assert (read.amount, read.currency, read.status, read.card_bin) == (1234, "XXX", "approved", "424242")
    assert read.merchant is None


def test_a_full_event_is_read_and_normalised() -> None:
    read = codec().decode(json.dumps(FULL).encode())
    assert read.ip == "192.0.2.1"
    assert read.email == tokenizer.email("ada@example.com")
    assert read.phone == tokenizer.phone("+14155552671")
    assert (read.credit_limit, read.channel, read.latitude) == (500_000, "ecommerce", 52.5)
    assert read.account_created == 1_577_836_800_000
    assert None not in [getattr(read, name) for name in Transaction.__struct_fields__]


def test_what_no_event_tells_is_said_with_what_to_do_about_it() -> None:
    reader = codec(mapping={"device": "dveice", "account": "customer"})
    assert reader.advice() == ["no event has what --map names: customer, dveice"]
    reader.decode(LEAST | {"dveice": "d1"})
    assert [line.partition(":")[0] for line in reader.advice()] == [
        "no event has what --map names",
        "no event tells an account, which most rules need",
    ]
    reader.decode(LEAST | {"customer": "a1"})
    assert reader.advice() == []


def test_the_wire_format_and_back_is_the_same_transaction() -> None:
    for fields in (LEAST, FULL, LEAST | {"amount": "0.1", "currency": "JPY"}):
        read = codec().decode(json.dumps(fields).encode())
        assert codec().decode(encode(read)) == read
        assert VISA.encode() not in encode(read)


def test_the_digest_depends_on_content_alone() -> None:
    plain = decode()
    assert decode(status="approved", currency="XXX", device=None, merchant="").digest == plain.digest
    assert codec().decode(dict(reversed(LEAST.items()))).digest == plain.digest
    assert decode(unheard_of=1).digest == plain.digest
    others = [decode(amount=12.35), decode(merchant="m"), decode(device="m"), decode(status="declined")]
    assert len({plain.digest, *(other.digest for other in others)}) == 5


@pytest.mark.parametrize("card", [4242424242424242, 4242424242424242.0, "4242-4242-4242-4242", VISA + ".0"])
def test_a_card_may_be_spelled_in_many_ways(card: Any) -> None:
    assert decode(card=card).card == decode().card


@pytest.mark.parametrize("card", ["tok_1a2b", "424242******4242", "hmac:abcdef", 58])
def test_a_card_may_be_something_else_than_a_pan(card: Any) -> None:
    read = decode(card=card, card_bin="42424200")
    assert read.card.startswith("hmac:")
    assert read.card_bin == "424242"
    assert decode(card=card).card_bin is None


@pytest.mark.parametrize("bin_field", [42424, "abcdef", "4242 42"])
def test_a_bin_has_six_digits(bin_field: Any) -> None:
    assert refusal(LEAST | {"card_bin": bin_field}).reason == "bad_value"


def test_of_a_bin_that_is_a_whole_card_number_six_digits_are_kept() -> None:
    assert decode(card="tok", card_bin=VISA).card_bin == "424242"


@pytest.mark.parametrize(
    "field",
    ["transaction_id", "merchant", "device", "account", "shipping_address", "ip", "network", "promotion"],
)
def test_a_card_number_elsewhere_becomes_a_token(field: str) -> None:
    read = decode(**{field: f"ref {VISA}"})
    assert getattr(read, field) == tokenizer.text(f"ref {VISA}")
    assert VISA.encode() not in encode(read)


def test_cypher_in_a_name_is_a_name() -> None:
    name = "x'}) DETACH DELETE n //"
    assert decode(merchant=name).merchant == name


def test_numbers_may_be_ids() -> None:
    read = decode(transaction_id=7, device=12.0, ip=732758368.8, account=12345678901234567890)
    assert (read.transaction_id, read.device, read.ip) == ("7", "12", "732758368.8")
    assert read.account == "12345678901234567890"


@pytest.mark.parametrize("wrong", [True, [], ["a"], {}, {"a": 1}])
@pytest.mark.parametrize(
    "field", ["transaction_id", "event_time", "card", "amount", "device", "status", "latitude"]
)
def test_wrong_types_are_refused(field: str, wrong: Any) -> None:
    error = refusal(json.dumps(LEAST | {field: wrong}).encode())
    assert error.reason == "wrong_type"
    assert str(error).startswith(field)


@pytest.mark.parametrize("nothing", [None, "", "  "])
@pytest.mark.parametrize("field", ["transaction_id", "event_time", "card", "amount"])
def test_required_fields_are_required(field: str, nothing: Any) -> None:
    without = {name: value for name, value in LEAST.items() if name != field}
    for fields in (without, LEAST | {field: nothing}):
        error = refusal(json.dumps(fields).encode())
        assert (error.reason, str(error)) == ("missing_field", f"{field} is missing")


def test_an_account_stands_for_the_card_of_a_transfer() -> None:
    bare = {name: value for name, value in LEAST.items() if name != "card"}
    paid = codec().decode(bare | {"account": "a", "counterparty": "b"})
    assert paid.card == codec().decode(bare | {"account": "a", "channel": "transfer", "merchant": "c"}).card
    assert paid.card not in (
        codec().decode(bare | {"account": "b", "counterparty": "a"}).card,
        decode(card="a").card,
    )
    assert codec().decode(encode(paid)) == paid
    for fields in (
        {"counterparty": "b"},
        {"account": "a"},
        {"account": "a", "counterparty": "b", "channel": "atm"},
    ):
        assert str(refusal(json.dumps(bare | fields).encode())) == "card is missing"


def test_other_fields_may_be_null_empty_or_a_gap() -> None:
    for nothing in (None, "", " ", math.nan):
        read = codec().decode(LEAST | {"device": nothing, "latitude": nothing, "account_created": nothing})
        assert read == decode()


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        (12, "USD", 1200),
        ("12.30", "usd", 1230),
        (" 1e2 ", "EUR", 10000),
        (1234, "JPY", 1234),
        (1.234, "KWD", 1234),
        (0.1, "CLF", 1000),
        (57.15999984741211, "USD", 5716),
        (999_999_999_999.99, "USD", 99_999_999_999_999),
        (0, None, 0),
        (0.005, "USD", 0),
        (0.015, "USD", 2),
    ],
)
def test_amounts_are_exact_in_the_minor_unit(amount: Any, currency: str | None, minor: int) -> None:
    assert decode(amount=amount, currency=currency).amount == minor


@pytest.mark.parametrize(
    "amount", [-0.01, -5, "-1", 10**12 + 1, 1e300, "1e400", 10**30, Decimal("Infinity"), math.inf, math.nan]
)
def test_impossible_amounts_are_refused(amount: Any) -> None:
    assert refusal(LEAST | {"amount": amount}).reason == "bad_amount"


@pytest.mark.parametrize("amount", ["12,30", "$5", "Infinity", "1_000", "0x10", "abc", "１２", "1e9999"])
def test_strings_that_are_no_numbers_are_refused(amount: str) -> None:
    assert refusal(LEAST | {"amount": amount}).reason == "wrong_type"


def test_huge_numbers_in_json_are_refused_and_not_computed() -> None:
    for number in ("1e999999999", "1e-999999999", "9" * 5000, "0." + "3" * 100_000):
        event = json.dumps(LEAST | {"latitude": 0}).replace("12.34", number).encode()
        try:
            assert codec().decode(event).amount in (0, 33)
        except BadEvent as error:
            assert error.reason in ("bad_amount", "not_json")  # noqa: PT017 - either end is right
    assert refusal(b'{"card": NaN}').reason == "not_json"


@pytest.mark.parametrize("currency", ["EURO", "E1R", "12", 978, "€€€"])
def test_a_currency_has_three_letters(currency: Any) -> None:
    assert refusal(LEAST | {"currency": currency}).reason == "bad_currency"


@pytest.mark.parametrize(
    "spelling",
    [
        "2025-06-15T12:00:00Z",
        "2025-06-15t12:00:00.000z",
        "2025-06-15 14:00:00+02:00",
        "2025-06-15T12:00:00",
        1_749_988_800_000,
        1_749_988_800,
        1_749_988_800.0,
        "1749988800000",
        "1749988800.0",
        Decimal(1_749_988_800),
        datetime(2025, 6, 15, 12, tzinfo=UTC),
        datetime(2025, 6, 15, 12),  # noqa: DTZ001 - as Parquet has it
        datetime(2025, 6, 15, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_may_be_spelled_in_many_ways(spelling: Any) -> None:
    assert codec().decode(LEAST | {"event_time": spelling}).event_time == 1_749_988_800_000


@pytest.mark.parametrize("spelling", ["yesterday", "15/06/2025", "2025-13-01", "2025-06-15T25:00:00Z", "12:00"])
def test_other_times_are_refused(spelling: str) -> None:
    assert refusal(LEAST | {"event_time": spelling}).reason == "bad_time"


@pytest.mark.parametrize(
    "moment",
    [
        "1989-12-31T23:59:59.999Z",
        "0001-01-01T00:00:00+14:00",
        0,
        -1,
        "9999-12-31T23:59:59-14:00",
        10**15,
        10**300,
        "9" * 20,
    ],
)
def test_times_in_the_far_past_and_future_are_refused(moment: Any) -> None:
    assert refusal(LEAST | {"event_time": moment}).reason == "implausible_time"


def test_the_plausible_times_end_a_day_from_now() -> None:
    assert decode(event_time=NOW + 24 * HOUR).event_time == NOW + 24 * HOUR
    assert refusal(LEAST | {"event_time": NOW + 24 * HOUR + 1}).reason == "implausible_time"
    assert decode(event_time="1990-01-01T00:00:00Z").event_time == 631_152_000_000


def test_an_account_may_be_older_than_card_payments_but_not_younger_than_today() -> None:
    assert decode(account_created="1932-05-01").account_created == 631_152_000_000
    assert refusal(LEAST | {"account_created": NOW + 48 * HOUR}).reason == "implausible_time"


@pytest.mark.parametrize(
    ("time_format", "number"),
    [
        ("seconds since 2025-06-14", 129_600),
        ("seconds since 2025-06-14", "129600"),
        ("hours since 2025-06-15", Decimal(12)),
        ("hours since 2025-06-15", 12.0),
        ("days since 2025-06-14T14:00:00+02:00", 1),
        ("milliseconds since 2025-06-15 12:00", 0),
        ("minutes since 2025-06-15T12:01:00Z", -1),
        ("hours since 2025-06-15", "2025-06-15T12:00:00Z"),
    ],
)
def test_times_may_be_counted_from_a_day(time_format: str, number: Any) -> None:
    counting = codec(time_format=time_format)
    assert counting.decode(LEAST | {"event_time": number}).event_time == 1_749_988_800_000
    with pytest.raises(BadEvent, match="is too far away"):
        counting.decode(LEAST | {"event_time": 10**20})
    with pytest.raises(BadEvent, match="is more than a day from now"):
        counting.decode(LEAST | {"event_time": 10**15})


def test_the_day_that_times_are_counted_from_must_be_one() -> None:
    for wrong in ("hours since noon", "days since 2025-13-01"):
        with pytest.raises(ConfigurationError, match="names no date: try 2025-01-01"):
            codec(time_format=wrong)


def test_a_time_format_is_for_strings() -> None:
    american = codec(time_format="%m/%d/%Y %H:%M")
    read = american.decode(LEAST | {"event_time": "6/15/2025 12:00", "account_created": "1/1/2020 0:00"})
    assert (read.event_time, read.account_created) == (1_749_988_800_000, 1_577_836_800_000)
    with pytest.raises(BadEvent, match="event_time has not the expected format"):
        american.decode(LEAST)
    assert american.decode(LEAST | {"event_time": 1_749_988_800_000}).event_time == 1_749_988_800_000
    assert codec(time_format="%Y%m%d %z").decode(LEAST | {"event_time": "20250615 +0200"}).event_time == (
        1_749_988_800_000 - 14 * HOUR
    )


@pytest.mark.parametrize("time_format", ["%Q", "%", "%Y %Y"])
def test_a_time_format_that_cannot_be_is_refused(time_format: str) -> None:
    with pytest.raises(ConfigurationError, match="time format"):
        codec(time_format=time_format)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "lost"),
        ("channel", "pigeon"),
        ("latitude", 90.1),
        ("longitude", "-180.5"),
        ("merchant", "a\0b"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: Any) -> None:
    error = refusal(LEAST | {field: value})
    assert error.reason == "bad_value"
    assert str(value) not in str(error)


def test_words_may_be_in_any_case() -> None:
    read = decode(status="DECLINED", channel=" Pos ")
    assert (read.status, read.channel) == ("declined", "pos")


@pytest.mark.parametrize(
    ("field", "value", "meaning"),
    [
        ("status", "Success", "approved"),
        ("status", "failed", "declined"),
        ("status", "REFUND", "refunded"),
        ("status", "cancelled", "reversed"),
        ("channel", "online", "ecommerce"),
        ("channel", "In-Store", "pos"),
        ("channel", "card present", "pos"),
        ("channel", "cash_withdrawal", "atm"),
        ("channel", "p2p", "transfer"),
        ("promotion", True, "true"),
        ("promotion", "WELCOME", "WELCOME"),
    ],
)
def test_other_words_for_the_same_are_understood(field: str, value: Any, meaning: str) -> None:
    assert getattr(decode(**{field: value}), field) == meaning


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "unknown"),
        ("device", "Windows"),
        ("merchant", " N/A "),
        ("ip", "0.0.0.0"),
        ("ip", "::"),
        ("email", "none"),
        ("email", "gmail.com"),
        ("phone", "null"),
        ("channel", "unknown"),
        ("latitude", "n/a"),
        ("account_created", "unknown"),
        ("credit_limit", "-"),
        ("promotion", False),
        ("promotion", 0),
        ("promotion", "no"),
    ],
)
def test_what_says_that_nothing_is_known_is_no_value(field: str, value: Any) -> None:
    assert getattr(decode(**{field: value}), field) is None
    assert decode(**{field: value}).digest == decode().digest


@pytest.mark.parametrize(("field", "value"), [("card", "unknown"), ("amount", "NaN")])
def test_what_has_to_be_known_is_missing_then(field: str, value: str) -> None:
    assert refusal(LEAST | {field: value}).reason == "missing_field"


def test_a_receiving_account_makes_a_transfer() -> None:
    assert decode(account="a", counterparty="b").receiver == "b"
    assert decode(account="a", counterparty="b", channel="ecommerce").receiver is None
    told = decode(account="a", merchant="b", channel="transfer")
    assert (told.receiver, told.merchant) == ("b", None)
    assert decode(account="a", merchant="m", counterparty="b").merchant == "m"


def test_long_texts_are_refused() -> None:
    assert decode(device="d" * 512).device == "d" * 512
    assert refusal(LEAST | {"device": "d" * 513}).reason == "too_long"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"", "not_json"),
        (None, "not_json"),
        (b"card=4242", "not_json"),
        (b'{"transaction_id": "t1"', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a": "\\ud800"}', "not_json"),
        (b'"text"', "not_an_object"),
        (b"[{}]", "not_an_object"),
        (b"17", "not_an_object"),
        (b'{"merchant": "caf\xe9"}', "not_utf8"),
        (b'{"merchant": "' + b"x" * LARGEST_EVENT_BYTES + b'"}', "too_large"),
        (b'{"merchant": "' + b"x" * 10_000_000 + b'"}', "too_large"),
    ],
)
def test_what_is_no_json_object_is_refused(event: bytes | None, reason: str) -> None:
    error = refusal(event)
    assert (error.reason, error.secret) == (reason, False)


def test_a_byte_order_mark_is_no_part_of_the_event() -> None:
    assert codec().decode(b"\xef\xbb\xbf" + json.dumps(LEAST).encode()) == decode()


@pytest.mark.parametrize(
    "secret",
    ["cvv", "CVV2", "card_cvc", "pin", "PIN_block", "pinBlock", "track", "Track2", "track_1_data", "pay.cvv"],
)
def test_secrets_are_refused_wherever_they_stand(secret: str) -> None:
    nested = {"payment": [{"details": {secret: None}}]}
    for fields in ({secret: "123"}, {secret: None}, nested, {"card": {secret: 1}}, {"device": [{secret: 1}]}):
        for value in (LEAST | fields, json.dumps(LEAST | fields).encode()):
            error = refusal(value)
            assert (error.reason, error.secret) == ("secret_field", True)
            assert "123" not in str(error)


@pytest.mark.parametrize(
    "event",
    [
        b'{"cvv": "123"',
        b'{"card": "4242", "CVV2" : 123}}',
        b'[{"pin": 1}]',
        b'"{\\"cvv\\": 1}"',
        rb'{"\u0063vv": 123',
        b"cvv=123&card=4242",
        b"<Track2>;4242",
        '{"cvv": "123"'.encode("utf-16-le"),
        b'{"cvv": "\xff"}',
        b'{"cvv": "123", "x": "' + b"x" * 10_000_000 + b'"}',
    ],
)
def test_secrets_are_refused_even_where_the_event_cannot_be_read(event: bytes) -> None:
    assert refusal(event).secret


@pytest.mark.parametrize("name", ["cvv_result", "pin_verified", "soundtrack", "tracking", "spin", "opinion"])
def test_what_only_sounds_like_a_secret_is_unknown(name: str) -> None:
    assert decode(**{name: "x"}) == decode()


def test_unknown_fields_are_kept_out_and_counted_without_values() -> None:
    reader = codec()
    for extra in ({"colour": "red"}, {"colour": "blue", VISA: {"a": [1]}}):
        assert reader.decode(LEAST | extra) == decode()
    assert reader.unknown_fields == {"colour": 2, "****": 1}


def test_a_sender_cannot_make_us_remember_every_name() -> None:
    reader = codec()
    for number in range(1500):
        reader.decode(LEAST | {f"field {number}": 1})
    assert len(reader.unknown_fields) <= 1001
    assert reader.unknown_fields.total() == 1500


def test_a_mapping_renames_and_one_of_theirs_may_feed_several_of_ours() -> None:
    renamed = codec(mapping={"card": "user_id", "account": "user_id", "transaction_id": "id"})
    read = renamed.decode({"id": 1, "user_id": 7, "event_time": NOW, "amount": "1", "card": VISA, "device": "d"})
    assert (read.transaction_id, read.account, read.card) == ("1", "7", tokenizer.card("7").token)
    assert read.device == "d"
    assert renamed.unknown_fields == {"card": 1}


def test_what_the_source_has_decoded_or_refused_passes_through() -> None:
    read = decode()
    assert codec().decode(read) is read
    assert refusal(BadEvent("broken_row", "as it was")).reason == "broken_row"


def test_the_fingerprint_tells_ways_of_reading_apart() -> None:
    same = codec(mapping={"card": "c", "ip": "i"}).fingerprint
    assert codec(mapping={"ip": "i", "card": "c"}).fingerprint == same
    assert len({same, codec().fingerprint, codec(time_format="%Y").fingerprint}) == 3


def test_mappings_are_parsed() -> None:
    assert parse_mapping(["card=user_id, account=user_id", "ip = ip address"]) == {
        "card": "user_id",
        "account": "user_id",
        "ip": "ip address",
    }


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("card", "ours=theirs"),
        ("card=", "ours=theirs"),
        ("colour=c", "no field 'colour'"),
        ("digest=d", "no field 'digest'"),
        ("card=a,card=b", "both 'a' and 'b'"),
        ("card=cvv", "never read"),
    ],
)
def test_mappings_that_make_no_sense_are_refused(item: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_mapping([item])
