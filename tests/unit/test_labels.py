"""Labels: what is read as one, what becomes of several, and when each is handed over beside the transactions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import BadEvent, Fenced
from graph.events import Entity, Label, Transaction, time_of
from graph.labels import CardStanding, Saying, last_word
from streaming.codec import Codec
from streaming.dead_letters import DeadLetter
from streaming.labels import COLUMNS, LabelCodec, encode
from streaming.records import Leaving, Position, Record, Starts
from streaming.replay import read_originals
from streaming.sources.files import FileSource
from streaming.sources.labelled import PREFIX, LabelledSource, LabelPlaces, TimedLabelsSource
from streaming.sources.listed import ListedSource
from streaming.sources.sorting import SortedSource
from streaming.tokens import CardTokenizer

VISA = "4242424242424242"
NOW = 1_750_000_000_000
HOUR = 3_600_000
events = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), now=lambda: NOW)
codec = LabelCodec(events, now=lambda: NOW)
LEAST = {"transaction_id": "t1", "verdict": "fraud", "source": "chargeback", "time": "2025-06-01T12:00:00Z"}


def decode(**fields: Any) -> Label:
    return codec.decode(json.dumps(LEAST | fields).encode())


@pytest.mark.parametrize("value", [json.dumps(LEAST).encode(), LEAST, {**LEAST, "card": "", "verdict": " Fraud "}])
def test_a_label_is_a_subject_a_verdict_a_source_and_a_time(value: Any) -> None:
    assert codec.decode(value) == Label(
        subject=Entity("Transaction", "t1"), verdict="fraud", source="chargeback", time=1_748_779_200_000
    )


def test_a_card_is_the_token_that_transactions_have() -> None:
    paid = events.decode({"transaction_id": "t", "event_time": NOW, "card": VISA, "amount": 1})
    spelt = decode(transaction_id=None, card="4242 4242 4242 4242")
    assert spelt.subject == Entity("Card", paid.card)
    assert decode(transaction_id=None, ring_id="ring-1").subject == Entity("Ring", "ring-1")
    assert decode(transaction_id=VISA).subject.id.startswith("hmac:")


@pytest.mark.parametrize("subject", [{"transaction_id": "t1"}, {"card": VISA}, {"ring_id": "ring-1"}])
def test_what_is_sent_on_is_read_as_the_same_label(subject: dict[str, str]) -> None:
    label = decode(**{"transaction_id": None} | subject)
    sent = encode(label)
    assert VISA.encode() not in sent
    assert codec.decode(sent) == label


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"transaction_id": None}, "bad_subject"),
        ({"card": VISA}, "bad_subject"),
        ({"verdict": "maybe"}, "bad_value"),
        ({"verdict": None}, "missing_field"),
        ({"source": ""}, "missing_field"),
        ({"source": "the bank's letter"}, "bad_value"),
        ({"time": "soon"}, "bad_time"),
        ({"time": None}, "missing_field"),
        ({"time": NOW + 48 * HOUR}, "implausible_time"),
        ({"cvv": "123"}, "secret_field"),
        ({"note": {"pin": "1234"}}, "secret_field"),
    ],
)
def test_what_is_no_label_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadEvent) as refused:
        decode(**fields)
    assert refused.value.reason == reason
    assert refused.value.secret == (reason == "secret_field")


@pytest.mark.parametrize("nothing", [None, "", " ", "n/a", "NULL", float("nan")])
def test_what_says_nothing_is_no_subject(nothing: Any) -> None:
    assert codec.decode({**LEAST, "card": nothing}).subject == Entity("Transaction", LEAST["transaction_id"])


def test_bytes_that_are_no_object_are_refused() -> None:
    for value in (b"", b"[]", b"{", None, BadEvent("broken_row", "broken")):
        with pytest.raises(BadEvent):
            codec.decode(value)


sayings = st.builds(
    lambda source, verdict, time: Saying.of(
        Label(subject=Entity("Card", "c"), verdict=verdict, source=source, time=time)
    ),
    st.sampled_from("ab"),
    st.sampled_from(["fraud", "legitimate"]),
    st.integers(0, 3),
)


@given(st.lists(sayings, min_size=1, max_size=4))
def test_the_order_of_words_does_not_matter(said: list[Saying]) -> None:
    def merged(order: tuple[Saying, ...]) -> Saying:
        first, *others = order
        for other in others:
            first = first.merged(other)
        return first

    assert len({merged(order) for order in itertools.permutations(said)}) == 1
    assert len({last_word(order) for order in itertools.permutations(said)}) == 1
    assert last_word(said).time == max(saying.time for saying in said)


def test_of_two_words_at_the_same_time_fraud_counts() -> None:
    fraud, honest = Saying("b", "fraud", 1, 1), Saying("a", "legitimate", 1, None)
    assert last_word([honest, fraud]) == fraud


def test_a_card_is_cleared_when_nothing_of_it_is_called_fraud_any_more() -> None:
    fraud, cleared = Saying("bank", "fraud", 5, 5), Saying("analyst", "legitimate", 7, None)
    assert CardStanding.of([[fraud]]) == (5, None, 1)
    assert CardStanding.of([[fraud, cleared]]) == (5, 7, 1)
    assert CardStanding.of([[fraud, cleared], [Saying("bank", "fraud", 6, 6)]]) == (5, None, 2)
    assert CardStanding.of([[cleared]]) == (None, None, 0)


def payment(number: int, hour: int, **fields: Any) -> dict[str, Any]:
    fields = {"event_time": NOW - 1000 * HOUR + hour * HOUR, "card": VISA, "amount": 1, **fields}
    return {"transaction_id": f"t{number}", **fields}


def verdict(number: int, hour: int, **fields: Any) -> dict[str, Any]:
    return LEAST | {"transaction_id": f"t{number}", "time": NOW - 1000 * HOUR + hour * HOUR, **fields}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def opened(folder: Path, marks: Mapping[str, int] | None = None) -> TimedLabelsSource:
    transactions, labels = str(folder / "transactions.jsonl"), str(folder / "labels.jsonl")
    source = TimedLabelsSource(FileSource(transactions), SortedSource(labels, codec, COLUMNS), codec, events)
    source.open(lambda names: {name: (marks or {}).get(name, 0) for name in names}, lambda _: None)
    return source


def drained(source: LabelledSource, limit: int = 3) -> list[list[Record]]:
    batches = []
    while not source.exhausted():
        if records := source.read(limit, 1.0):
            batches.append(records)
    return batches


def told(records: list[Record]) -> list[str]:
    return [
        event.subject.id.upper()
        if isinstance(event := record.value, Label)
        else json.loads(event).get("transaction_id", "missing_field")
        if isinstance(event, bytes)
        else event.transaction_id
        if isinstance(event, Transaction)
        else event.reason
        for record in records
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Payments of twelve hours, one each hour and one that is bad; verdicts that are not in order."""
    payments: list[Any] = [payment(n, n) for n in range(12)]
    write(tmp_path / "transactions.jsonl", [*payments[:6], {"card": VISA}, *payments[6:]])
    write(
        tmp_path / "labels.jsonl",
        [verdict(3, 9), verdict(1, 7), {"note": VISA}, verdict(2, 7), verdict(4, 30), verdict(5, 20)],
    )
    return tmp_path


def test_a_label_is_handed_over_when_the_stream_has_reached_its_time(folder: Path) -> None:
    records = [record for batch in drained(opened(folder)) for record in batch]
    # (An event time counts when five events bear it out, or it follows one that does.)
    assert told(records) == [
        *("t0", "t1", "t2", "t3", "t4", "t5", "missing_field", "t6"),
        *("T1", "bad_subject", "T2", "t7", "t8", "T3", "t9", "t10", "t11", "T5", "T4"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_batches_are_bounded_and_lose_nothing(folder: Path, limit: int) -> None:
    batches = drained(opened(folder), limit)
    assert max(map(len, batches)) <= limit
    whole = [record for batch in drained(opened(folder)) for record in batch]
    found = [record for batch in batches for record in batch]
    assert told(found) == told(whole)
    assert [(r.partition, r.offset) for r in found] == [(r.partition, r.offset) for r in whole]


def test_reading_goes_on_where_it_stopped_and_reads_a_batch_again(folder: Path) -> None:
    everything = drained(opened(folder), 4)
    first = [record for batch in everything[:3] for record in batch]
    marks = {record.partition: record.offset + 1 for record in first}
    source = opened(folder, marks)
    assert len(marks) == 2
    ranges: dict[str, tuple[int, int]] = {}
    for record in everything[3]:
        start, _ = ranges.get(record.partition, (record.offset, 0))
        ranges[record.partition] = (start, record.offset + 1)
    again = source.read_range(ranges)
    assert sorted(told(again)) == sorted(told(everything[3]))
    rest = [record for batch in drained(source, 4) for record in batch]
    assert sorted(told(rest)) == sorted(told([record for batch in everything[4:] for record in batch]))


def test_partitions_of_labels_have_names_of_their_own(folder: Path) -> None:
    source = opened(folder)
    transactions, labels = source.assigned()
    assert labels.startswith(PREFIX)
    assert not transactions.startswith(PREFIX)
    for partition in (transactions, labels):
        with pytest.raises(Fenced):
            source.rejoin(Fenced("another worker", partition))
    source.commit({transactions: 1, labels: 1})
    assert source.lag() == {}
    source.close()


class Topic(ListedSource):
    """Records that are given out again."""

    def open(self, starts: Starts, leaving: Leaving) -> None:
        self.given = starts, leaving
        super().open(starts, leaving)

    def rejoin(self, error: Fenced) -> None:  # noqa: ARG002 - whatever it was
        super().open(*self.given)


@pytest.mark.parametrize("read", range(1, 8))
def test_when_a_topic_is_lost_labels_of_a_file_are_read_again_with_it(folder: Path, read: int) -> None:
    transactions = FileSource(str(folder / "transactions.jsonl")).read(100, 0)
    labels = SortedSource(str(folder / "labels.jsonl"), codec, COLUMNS)
    source = TimedLabelsSource(Topic(transactions, "topic/0"), labels, codec, events)
    source.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
    for _ in range(read):
        source.read(3, 1.0)
    source.rejoin(Fenced("another worker", "topic/0"))
    again = [record for batch in drained(source) for record in batch]
    once = [record for batch in drained(opened(folder)) for record in batch]
    assert sorted(told(again)) == sorted(told(once))  # labels may come earlier: event time has been reached


def test_a_bad_label_is_found_again_where_it_stands(folder: Path) -> None:
    records = [record for batch in drained(opened(folder)) for record in batch]
    (bad,) = [record for record in records if told([record]) == ["bad_subject"]]
    letter = DeadLetter.of(bad, bad.value)
    assert letter.partition.startswith(PREFIX)
    assert letter.offset == 2
    assert VISA not in str(letter)
    write(folder / "mended.jsonl", [])

    def places(partition: str) -> LabelPlaces:
        return LabelPlaces(FileSource.at(partition.removeprefix(PREFIX)), codec)

    ((_, original),) = read_originals([letter], places)
    assert original is not None
    assert Position(original.partition, original.offset) == letter.position
    assert told([original]) == ["bad_subject"]


def test_labels_of_a_topic_come_first_as_they_are(folder: Path) -> None:
    late = Record("labels/0", 0, json.dumps(verdict(1, 500)).encode())
    transactions = FileSource(str(folder / "transactions.jsonl"))
    source = LabelledSource(transactions, ListedSource([late], "labels/0"), codec)
    source.open(lambda names: dict.fromkeys(names, 0), lambda _: None)
    records = source.read(3, 0)
    assert [record.partition for record in records][:1] == [PREFIX + "labels/0"]
    assert isinstance(records[0].value, Label)
    assert time_of(records[0].value) == NOW - 500 * HOUR
    assert len(records) == 3
