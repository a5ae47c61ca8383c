"""Files as a source: every kind, every way of being broken, and where to go on reading."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph.errors import BadEvent, ConfigurationError, Fenced, ServiceError
from streaming.records import Record
from streaming.sources.files import FileSource
from streaming.sources.rows import check_columns

VISA = "4242424242424242"


def read_all(source: FileSource, limit: int = 1000) -> list[Record]:
    records: list[Record] = []
    while not source.exhausted():
        records += source.read(limit, 0.0)
    return records


def values(path: Path) -> list[Any]:
    """What a file holds, with a refusal as its reason."""
    found = [record.value for record in read_all(FileSource(str(path)))]
    return [value.reason if isinstance(value, BadEvent) else value for value in found]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSONL", "a.jsonl.gz"])
def test_json_lines_are_handed_over_as_they_are(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"a": 1}\r\n\n  \nnot json\n{"b": "\xff"}')
    records = read_all(FileSource(str(path)))
    assert [record.value for record in records] == [b'{"a": 1}', b"not json", b'{"b": "\xff"}']
    assert [record.offset for record in records] == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_csv_with_a_byte_order_mark_empty_cells_and_line_breaks_in_quotes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'\xef\xbb\xbfid, card ,note\r\n1,,"a\r\nb, ""c"""\r\n\r\n2,x,')
    assert values(path) == [{"id": "1", "card": "", "note": 'a\r\nb, "c"'}, {"id": "2", "card": "x", "note": ""}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_csv_may_be_parted_by_something_else(tmp_path: Path, delimiter: str) -> None:
    rows = [["id", "a,b", "c"], ["1", "2,5", f"x{delimiter}y"]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf\n" + text.encode())
    assert values(path) == [{"id": "1", "a,b": "2,5", "c": f"x{delimiter}y"}]
    check_columns(path, ["a,b", "c"])


def test_bad_rows_of_a_csv_do_not_spoil_the_others(tmp_path: Path) -> None:
    rows = [b"id,card", b"1,a", b"2", b"3,b,c", b"4,caf\xe9", b'5,"x"y', b"6,b", b'7,"never closed']
    found = values(write(tmp_path / "a.csv", b"\n".join(rows)))
    good = {"id": "1", "card": "a"}, {"id": "6", "card": "b"}
    assert found == [good[0], "broken_row", "broken_row", "not_utf8", "broken_row", good[1], "broken_row"]


def test_a_broken_row_keeps_its_text_unless_a_column_is_a_secret(tmp_path: Path) -> None:
    for name, kept in (("note", b"1,4242"), ("CVV", None)):
        path = write(tmp_path / "a.csv", f"id,card,{name}\n1,4242\n".encode())
        (record,) = read_all(FileSource(str(path)))
        assert record.raw == kept
        assert record.value.secret == (kept is None)


def test_a_header_that_cannot_be_read_ends_the_file(tmp_path: Path) -> None:
    assert values(write(tmp_path / "a.csv", b'id,"card"x\n1,4242\n')) == ["broken_row"]
    assert values(write(tmp_path / "b.csv", b"")) == []
    assert values(write(tmp_path / "c.csv", b"id,card\n")) == []
    assert values(write(tmp_path / "e.csv", b"\r\n\nid\n1\n")) == [{"id": "1"}]
    assert values(write(tmp_path / "d.csv", b"id,stra\xdfe\n1,2\n")) == [{"id": "1", "stra\ufffde": "2"}]


def test_a_quote_that_is_never_closed_loses_a_bounded_part(tmp_path: Path) -> None:
    row = b"1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    found = values(write(tmp_path / "a.csv", b'id,card\n0,"' + row * 10_000))
    assert found[0] == "broken_row"
    assert found.count({"id": "1", "card": "a" * 30}) > 10_000 - 2 * csv.field_size_limit() // len(row)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv"])
def test_a_line_of_many_megabytes_is_skipped_in_bounded_memory(tmp_path: Path, name: str) -> None:
    line, first = (b'{"a": 1}\n', b"") if "json" in name else (b"1\n", b"id\n")
    path = write(tmp_path / name, first + line + b'{"a": "' + b"x" * 50_000_000 + b'"}\n' + line)
    tracemalloc.start()
    try:
        found = values(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[1] == "too_large"
    assert found[0] == found[2]
    assert peak_bytes < 10_000_000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
def test_a_truncated_gzip_gives_its_good_rows_and_one_bad_one(tmp_path: Path, name: str) -> None:
    lines = ["id"] + [str(number * 7919) for number in range(50_000)]
    path = write(tmp_path / name, "\n".join(lines).encode())
    path.write_bytes(path.read_bytes()[:-2000])
    found = values(path)
    first = {"id": "0"} if "csv" in name else b"id"
    assert found[0] == first
    assert found[-1] == "truncated_input"
    assert len(found) > 10_000
    assert all(not isinstance(value, str) for value in found[:-1])


@pytest.mark.parametrize(("damaged", "good"), [(10, 0), (-8, 1000)])  # the first block's type, and the checksum
def test_a_damaged_gzip_ends_with_one_bad_row_and_the_next_file_follows(
    tmp_path: Path, damaged: int, good: int
) -> None:
    path = write(tmp_path / "a.jsonl.gz", b'{"a": 1}\n' * 1000)
    data = bytearray(path.read_bytes())
    data[damaged] ^= 0xFF
    path.write_bytes(bytes(data))
    write(tmp_path / "b.jsonl", b'{"b": 1}\n')
    found = [record.value for record in read_all(FileSource(str(tmp_path / "*")))]
    assert found[:-2] == [b'{"a": 1}'] * good
    assert isinstance(found[-2], BadEvent)
    assert found[-2].reason == "corrupt_input"
    assert found[-1] == b'{"b": 1}'


def test_parquet_rows_come_with_python_values(tmp_path: Path) -> None:
    columns = {
        "id": pa.array([1, 2]),
        "time": pa.array([1_522_540_831_000_000_001, None], pa.timestamp("ns")),
        "zoned": pa.array([datetime(2018, 4, 1, tzinfo=UTC), None], pa.timestamp("ms", "Europe/Berlin")),
        "day": pa.array([date(2018, 4, 1), None]),
        "amount": pa.array([Decimal("1.10"), None]),
        "kind": pa.array(["a", None]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    first, second = values(tmp_path / "a.parquet")
    assert first == {
        "id": 1,
        "time": datetime(2018, 4, 1, 0, 0, 31),  # noqa: DTZ001 - Parquet's time without a zone
        "zoned": datetime(2018, 4, 1, tzinfo=UTC),
        "day": datetime(2018, 4, 1),  # noqa: DTZ001
        "amount": Decimal("1.10"),
        "kind": "a",
    }
    assert second == {"id": 2} | dict.fromkeys(list(columns)[1:])


def test_times_of_any_zone_and_dates_of_any_year_spoil_at_most_their_rows(tmp_path: Path) -> None:
    day = datetime(2025, 1, 2, tzinfo=UTC)
    zoned = pa.array([day, day], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Mars/Phobos"))
    table = pa.table({"at": zoned, "born": pa.array([20_090, 10**9], pa.date32())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [{"at": day, "born": datetime(2025, 1, 2)}, "bad_value"]  # noqa: DTZ001


def test_a_parquet_value_that_python_cannot_hold_spoils_its_own_row(tmp_path: Path) -> None:
    times = pa.array([1_522_540_831, 10**15], pa.timestamp("s"))
    pq.write_table(pa.table({"time": times.cast(pa.int64())}), tmp_path / "plain.parquet")
    table = pa.table({"time": pa.array([1_522_540_831_000, 10**17], pa.timestamp("ms"))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet")[1] == "bad_value"
    assert isinstance(values(tmp_path / "a.parquet")[0], dict)


def test_parquet_may_be_gzipped_and_is_read_from_any_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": list(range(10_000))}), tmp_path / "a.parquet", row_group_size=3000)
    packed = write(tmp_path / "b.parquet.gz", (tmp_path / "a.parquet").read_bytes())
    for path in (tmp_path / "a.parquet", packed):
        source = FileSource(str(path))
        source.seek({source.assigned()[0]: 7001})
        records = read_all(source)
        assert [record.offset for record in records] == list(range(7001, 10_000))
        assert records[0].value == {"id": 7001}


def test_what_is_no_parquet_is_a_configuration_error(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", b"PAR1 and nothing else")
    write(tmp_path / "b.parquet.gz", b"neither").write_bytes(b"nor gzip")
    for name in ("a.parquet", "b.parquet.gz"):
        with pytest.raises(ConfigurationError, match="not a whole Parquet file"):
            FileSource(str(tmp_path / name))


def test_damage_inside_a_parquet_file_ends_it_with_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"id": [str(number) for number in range(10_000)]})
    pq.write_table(table, path, row_group_size=5000, compression="gzip", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(bytes(data))
    found = values(path)
    assert found[0] == {"id": "0"}
    assert found[-1] == "corrupt_input"


def test_a_glob_is_read_in_the_order_of_names_and_no_batch_spans_two_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.jsonl"):
        write(tmp_path / name, (json.dumps({"file": name}) + "\n").encode() * 3)
    source = FileSource(str(tmp_path / "*.jsonl"))
    batches = []
    while not source.exhausted():
        batches.append(source.read(2, 0.0))
    assert [len(batch) for batch in batches] == [2, 1, 2, 1, 2, 1, 0]
    assert [batch[0].partition for batch in batches if batch][::2] == source.assigned()
    assert "a.jsonl" in source.assigned()[0]
    assert source.lag() == {}


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.gz", "a.parquet.bz2", "a"])
def test_files_of_other_kinds_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, b"")
    with pytest.raises(ConfigurationError, match="expected"):
        FileSource(str(tmp_path / name))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for missing in (tmp_path / "a.jsonl", tmp_path / "*.csv", tmp_path):
        with pytest.raises(ConfigurationError, match="there is no file"):
            FileSource(str(missing))


def test_a_name_that_looks_like_a_glob_is_a_name_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a[1].jsonl", b"1\n")
    assert values(path) == [b"1"]


def test_columns_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", f"user,{VISA}\n1,2\n".encode())
    pq.write_table(pa.table({"user": [1]}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        FileSource(str(tmp_path / name), ["user"])
        with pytest.raises(ConfigurationError, match=r"'colour'.*has user") as refusal:
            FileSource(str(tmp_path / name), ["user", "colour"])
        assert VISA not in str(refusal.value)
    write(tmp_path / "a.jsonl", b"{}\n")
    FileSource(str(tmp_path / "a.jsonl"), ["colour"])


def test_reading_goes_on_where_it_was_left(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, b"id\n" + b"".join(b"%d\n" % number for number in range(10)))
    whole = read_all(FileSource(str(tmp_path / "*.csv")))
    first, second = FileSource(str(tmp_path / "*.csv")).assigned()
    for starts in ({first: 4}, {first: 10, second: 7}, {first: 10, second: 10}, {second: 3}, {"other": 5}):
        source = FileSource(str(tmp_path / "*.csv"))
        source.open(lambda _, starts=starts: starts, lambda _: None)  # type: ignore[misc]
        wanted = [record for record in whole if record.offset >= starts.get(record.partition, 0)]
        assert read_all(source, 3) == wanted


@pytest.fixture
def ten(tmp_path: Path) -> FileSource:
    return FileSource(str(write(tmp_path / "a.jsonl", b"".join(b"%d\n" % number for number in range(10)))))


def test_seeking_goes_forwards_and_backwards(ten: FileSource) -> None:
    (partition,) = ten.assigned()
    seen = []
    for offset in (3, 3, 4, 8, 0, 9, 10, 2):
        ten.seek({partition: offset})
        seen += [record.value for record in ten.read(1, 0.0)] or [None]
    assert seen == [b"3", b"3", b"4", b"8", b"0", b"9", None, b"2"]


def test_a_range_is_read_exactly_and_reading_goes_on_behind_it(ten: FileSource) -> None:
    (partition,) = ten.assigned()
    ten.open(lambda partitions: dict.fromkeys(partitions, 2), lambda _: None)
    assert [record.value for record in ten.read_range({partition: (2, 5)})] == [b"2", b"3", b"4"]
    assert [record.value for record in read_all(ten)] == [b"5", b"6", b"7", b"8", b"9"]


def test_a_range_of_a_later_file_leaves_the_earlier_ones_where_they_are(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / name, b"0\n1\n2\n")
    source = FileSource(str(tmp_path / "*"))
    first, second = source.assigned()
    source.open(lambda _: {first: 3}, lambda _: None)
    assert [record.offset for record in source.read_range({second: (0, 2)})] == [0, 1]
    assert [(record.partition, record.offset) for record in read_all(source)] == [(second, 2)]


@pytest.mark.parametrize(
    "change", [lambda data: data + b"x\n", lambda data: data[:-2], lambda data: b"y" + data[1:]]
)
def test_another_content_is_another_partition(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = write(tmp_path / "a.jsonl", b"0\n1\n2\n")
    (before,) = FileSource(str(path)).assigned()
    assert FileSource(str(path)).assigned() == [before]
    path.write_bytes(change(path.read_bytes()))
    assert FileSource(str(path)).assigned() != [before]
    with pytest.raises(ServiceError, match="has changed"):
        FileSource.at(before)


def test_a_partition_is_found_again_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a|b.jsonl", b"0\n1\n2\n")
    (partition,) = FileSource(str(path)).assigned()
    again = FileSource.at(partition)
    again.seek({partition: 1})
    assert again.read(1, 0.0)[0].value == b"1"
    path.unlink()
    with pytest.raises(ServiceError, match="cannot be read again"):
        FileSource.at(partition)


def test_another_reader_of_the_same_file_is_a_mistake(ten: FileSource) -> None:
    (partition,) = ten.assigned()
    with pytest.raises(Fenced):
        ten.rejoin(Fenced("taken over", partition))


def test_files_begin_again_when_what_is_read_beside_them_was_lost(ten: FileSource) -> None:
    ten.open(lambda names: dict.fromkeys(names, 3), lambda _: None)
    assert [record.offset for record in ten.read(4, 0)] == [3, 4, 5, 6]
    ten.rejoin(Fenced("taken over", "topic/0"))
    assert [record.offset for record in ten.read(10, 0)] == [3, 4, 5, 6, 7, 8, 9]


def test_reading_streams(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", b"id,text\n" + b"1,%s\n" % (b"x" * 500) * 100_000)
    source = FileSource(str(path))
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(source.scan(source.assigned()[0]), None)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
