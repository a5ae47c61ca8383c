"""``--sort``: by event time, ties in their order, in bounded memory, and no card number on disk."""

from __future__ import annotations

import errno
import json
import random
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import BadEvent, ServiceError
from graph.events import Transaction
from streaming.codec import Codec
from streaming.dead_letters import DeadLetter
from streaming.records import Position, Record
from streaming.sources import sorting
from streaming.sources.files import FileSource
from streaming.sources.sorting import SortedSource, Sorter
from streaming.tokens import CardTokenizer

VISA = "4242424242424242"
NOON = 1_750_000_000_000
codec = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), now=lambda: NOON)


def event(number: int, minute: int, **fields: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}",
        "event_time": NOON - 10**9 + minute * 60_000,
        "card": VISA,
        "amount": 1,
    } | fields


def write(path: Path, events: list[Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in events))
    return path


def read_all(source: FileSource, limit: int = 7) -> list[Record]:
    records: list[Record] = []
    while not source.exhausted():
        records += source.read(limit, 0.0)
    return records


def ids(records: list[Record]) -> list[str]:
    return [
        record.value.transaction_id if isinstance(record.value, Transaction) else record.value.reason
        for record in records
    ]


@given(st.lists(st.integers(0, 5) | st.none(), max_size=40), st.integers(1, 50))
def test_sorting_is_stable_and_bad_rows_keep_their_place(minutes: list[int | None], rows_in_memory: int) -> None:
    sorter = Sorter(codec, rows_in_memory)
    rows, last = [], 0
    for number, minute in enumerate(minutes):
        value = BadEvent("broken", str(number)) if minute is None else event(number, minute)
        sorter.add(Record("file", number, value))
        last = last if minute is None else minute + 1
        rows.append((last, number))
    records = list(sorter.records("sorted"))
    assert [record.origin for record in records] == [Position("file", number) for _, number in sorted(rows)]
    assert [record.offset for record in records] == list(range(len(minutes)))


def test_many_runs_are_merged_in_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "_RUNS_AT_ONCE", 3)
    numbers = list(range(500))
    random.Random(7).shuffle(numbers)
    sorter = Sorter(codec, 4)
    for number in numbers:
        sorter.add(Record("file", number, event(number, number)))
    assert ids(list(sorter.records("sorted"))) == [f"t{number}" for number in range(500)]
    assert all(len(level) < 3 for level in sorter._levels)


def test_each_file_is_sorted_for_itself(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [event(0, 9), event(1, 3), event(2, 3)])
    write(tmp_path / "b.jsonl", [event(3, 2), event(4, 1)])
    source = SortedSource(str(tmp_path / "*"), codec, rows_in_memory=2)
    source.open(lambda _: {}, lambda _: None)
    assert ids(read_all(source)) == ["t1", "t2", "t0", "t4", "t3"]


def test_reading_goes_on_in_the_sorted_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [event(number, 97 * number % 100) for number in range(100)])
    whole = read_all(SortedSource(str(path), codec))
    source = SortedSource(str(path), codec, rows_in_memory=10)
    (partition,) = source.assigned()
    source.open(lambda _: {partition: 40}, lambda _: None)
    assert source.read_range({partition: (40, 60)}) == whole[40:60]
    assert read_all(source) == whole[60:]


def test_a_sorted_file_is_another_partition_for_each_way_of_reading(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.jsonl", [event(0, 0)]))
    other = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), {"event_time": "signup"})
    names = [
        *FileSource(path).assigned(),
        *SortedSource(path, codec).assigned(),
        *SortedSource(path, other).assigned(),
    ]
    assert len(set(names)) == 3


def test_the_origin_is_where_the_file_has_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [event(0, 9), "no event", event(1, 3)])
    good, _, bad = read_all(SortedSource(str(path), codec))
    assert good.origin is not None
    again = FileSource.at(good.origin.partition)
    again.seek(dict([good.origin]))
    assert codec.decode(again.read(1, 0.0)[0].value) == good.value
    letter = DeadLetter.of(bad, bad.value)
    assert letter.position == bad.origin == Position(good.origin.partition, 1)
    assert letter.event == '"no event"'


def test_sorting_gives_way_when_there_is_other_work(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [event(number, 0) for number in range(5000)])
    source = SortedSource(str(path), codec)
    assert source.read(10, 0.0) == []
    assert not source.exhausted()
    assert len(read_all(source, 1000)) == 5000


def test_no_card_number_and_no_secret_is_ever_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[BinaryIO] = []
    make = tempfile.TemporaryFile

    def watched(*args: Any, **options: Any) -> Any:
        files.append(make(*args, **options))
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    bad = [event(1, 1, amount=-1), event(2, 1, cvv="987654"), {"card": "4242 4242 4242 4242"}]
    events = [event(0, 5, merchant=f"shop {VISA}"), *bad] * 5
    records = read_all(SortedSource(str(write(tmp_path / "a.jsonl", events)), codec, rows_in_memory=3))
    assert len(records) == 20
    assert len(files) == 6
    for file in files:
        file.seek(0)
        data = file.read()
        assert b"hmac:" in data or b"****" in data
        assert b"4242 4242" not in data
        assert VISA.encode() not in data
        assert b"987654" not in data


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    path = write(tmp_path / "a.jsonl", [event(number, 0) for number in range(10)])
    with pytest.raises(ServiceError, match="No space left on device"):
        read_all(SortedSource(str(path), codec, rows_in_memory=3))
