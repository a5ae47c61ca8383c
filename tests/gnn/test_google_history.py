"""History on Cloud Storage, by its emulator; in BigQuery, by its client's own types: nobody was asked."""

from __future__ import annotations

import io
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from typer.testing import CliRunner

from gnn.manifest import read_manifest
from graph.errors import ConfigurationError
from ringwatch.cli import app
from ringwatch.google_history import table_rows
from ringwatch.history_rows import history_rows

PLACE = "my-project.payments.history"
SCHEMA = [bigquery.SchemaField("id", "STRING"), bigquery.SchemaField("amount", "INTEGER")]


def put(bucket: str, name: str, table: pa.Table) -> None:
    content = io.BytesIO()
    pq.write_table(table, content)
    storage.Blob.from_uri(f"{bucket}/{name}", storage.Client()).upload_from_string(content.getvalue())


def payments(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": [str(number) for number in numbers],
            "event_time": pa.array(
                [1_700_000_000_000_000_000 + number for number in numbers], pa.timestamp("ns", "UTC")
            ),
            "card": [f"card-{number % 3}" for number in numbers],
            "amount": [number + 1 for number in numbers],
            "is_fraud": [number % 2 for number in numbers],
        }
    )


def test_a_snapshot_of_parquet_in_a_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "a key of sixteen bytes or more")
    put(bucket, "2.parquet", payments(10, 20))
    put(bucket, "1.parquet", payments(0, 10))
    put(bucket, "other.txt", payments(100, 1))
    asked = ["snapshot", "--source", f"{bucket}/*.parquet", "--out", str(tmp_path / "s"), "--fraud", "is_fraud=1"]
    told = CliRunner().invoke(app, [*asked, "--map", "transaction_id=id"])
    assert told.exit_code == 0, told.output
    manifest = read_manifest(tmp_path / "s")
    assert (manifest.transactions, manifest.frauds) == (30, 15)
    assert pq.read_table(tmp_path / "s" / "transactions.parquet")["amount"].to_pylist()[:2] == [100, 200]


def test_rows_of_a_bucket_are_what_rows_of_a_file_are(bucket: str, tmp_path: Path) -> None:
    table = payments(0, 3).append_column("day", pa.array([date(2025, 1, 2), None, date(1, 1, 1)]))
    put(bucket, "day.parquet", table)
    pq.write_table(table, tmp_path / "day.parquet")
    found = list(history_rows(f"{bucket}/day.parquet"))
    assert found == list(history_rows(str(tmp_path / "day.parquet")))
    assert found[0]["day"] == datetime(2025, 1, 2)  # noqa: DTZ001 - as the file has it


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("none*", (), "there is no object"),
        ("a.parquet", ("class",), "no column 'class'"),
        ("b.parquet", (), "whole"),
    ],
)
def test_what_is_wrong_in_a_bucket_is_said(bucket: str, name: str, columns: tuple[str, ...], message: str) -> None:
    put(bucket, "a.parquet", payments(0, 1))
    storage.Blob.from_uri(f"{bucket}/b.parquet", storage.Client()).upload_from_string(b"PAR1, or so")
    with pytest.raises(ConfigurationError, match=message):
        list(history_rows(f"{bucket}/{name}", columns))


class Listing:
    """Two rows of the library's types, and which paths its client would have asked for."""

    def __init__(self) -> None:
        self._client = bigquery.Client(project="my-project", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        self.asked: list[str] = []

    def get_table(self, table: bigquery.TableReference) -> bigquery.Table:
        self.asked.append(table.path)
        return bigquery.Table(table, schema=SCHEMA)

    def list_rows(self, table: bigquery.Table) -> list[bigquery.Row]:
        self.asked.append(self._client.list_rows(table).path)
        return [bigquery.Row(("a", 1), {"id": 0, "amount": 1}), bigquery.Row(("b", None), {"id": 0, "amount": 1})]


def test_a_table_is_listed_and_not_queried() -> None:
    tables = Listing()
    assert list(table_rows(PLACE, ["id"], tables)) == [{"id": "a", "amount": 1}, {"id": "b", "amount": None}]
    path = "/projects/my-project/datasets/payments/tables/history"
    assert tables.asked == [path, f"{path}/data"]


def test_what_is_wrong_with_a_table_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no column 'class'"):
        list(table_rows(PLACE, ["class"], Listing()))
    with pytest.raises(ConfigurationError, match=r"bigquery://project\.dataset\.table is needed"):
        list(history_rows("bigquery://history"))
