"""History in Google's services, read a piece at a time: nothing is written down here, it may hold card numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from gnn.cloud_storage import storage_client, translated
from graph.errors import ConfigurationError
from streaming.sources.columns import read_batch
from streaming.sources.rows import Unreadable

_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 8 << 20


def object_rows(place: str, columns: Collection[str]) -> Iterator[Any]:
    """The rows of the Parquet objects at ``bucket/glob``, in the order of their names; ``*`` stands for ``/`` too.

    In the place of one that cannot be read is what is wrong with it.

    Raises:
        ConfigurationError: there is no such object, one is no Parquet file, or it lacks a column.
        Unavailable: Cloud Storage cannot be reached.
    """
    bucket, _, glob = place.partition("/")
    with translated(f"gs://{place}"):
        listed = storage_client().list_blobs(bucket, prefix=re.split(r"[*?\[]", glob)[0])
        objects = sorted((one for one in listed if fnmatchcase(one.name, glob)), key=lambda found: found.name)
        if not objects:
            raise ConfigurationError(f"there is no object gs://{place}")
        for found in objects:
            with found.open("rb", chunk_size=_BYTES_AT_ONCE) as file:
                yield from _parquet_rows(file, f"gs://{bucket}/{found.name}", columns)


def _parquet_rows(file: Any, name: str, columns: Collection[str]) -> Iterator[Any]:
    try:
        parquet = pq.ParquetFile(file)
        _check_columns(name, columns, parquet.schema_arrow.names)
        for batch in parquet.iter_batches(_ROWS_AT_ONCE):
            for row in read_batch(batch):
                yield row.error if isinstance(row, Unreadable) else row
    except pa.ArrowInvalid as error:
        raise ConfigurationError(f"{name} is not a whole Parquet file: {error}") from error


class Tables(Protocol):
    """As much of BigQuery's client as is asked of it."""

    def get_table(self, table: bigquery.TableReference) -> bigquery.Table:
        """A table's schema."""

    def list_rows(self, table: bigquery.Table) -> Iterable[bigquery.Row]:
        """A table's rows, page by page."""


def table_rows(place: str, columns: Collection[str], tables: Tables | None = None) -> Iterator[dict[str, Any]]:
    """The rows of the table ``project.dataset.table``, as BigQuery lists them: that is no query and costs nothing.

    Raises:
        ConfigurationError: there is no such table, or it lacks a column.
        Unavailable: BigQuery cannot be reached.
    """
    reference = _table(place)
    with translated(f"bigquery://{place}"):
        tables = tables or bigquery.Client(project=reference.project)
        table = tables.get_table(reference)
        _check_columns(place, columns, [field.name for field in table.schema])
        for row in tables.list_rows(table):
            yield dict(row.items())


def _table(place: str) -> bigquery.TableReference:
    try:
        return bigquery.TableReference.from_string(place)
    except ValueError as error:
        raise ConfigurationError(f"bigquery://{place}: bigquery://project.dataset.table is needed") from error


def _check_columns(name: str, expected: Collection[str], names: Collection[str]) -> None:
    if missing := sorted(set(expected) - set(names)):
        raise ConfigurationError(f"{name} has no column {', '.join(map(repr, missing))}")
