"""The rows of a history, wherever it is: files, Parquet on Cloud Storage, or a table of BigQuery."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from graph.errors import ConfigurationError
from streaming.sources.files import FileSource

_BUCKET, _TABLE = "gs://", "bigquery://"


def history_rows(address: str, columns: Collection[str] = ()) -> Iterator[Any]:
    """What a codec decodes, row by row, from a file or glob, ``gs://bucket/glob`` or ``bigquery://project.dataset.table``.

    ``columns`` are names that every source with named columns must have.

    Raises:
        ConfigurationError: there is nothing, a column is missing, or what Google's services need is not installed.
        Unavailable: a service cannot be reached.
    """
    if not address.startswith((_BUCKET, _TABLE)):
        return _file_rows(FileSource(address, columns))
    try:
        from ringwatch.google_history import object_rows, table_rows
    except ImportError as error:
        raise ConfigurationError(f"{address} needs what `pip install 'ringwatch[gcp]'` brings: {error}") from error
    if address.startswith(_BUCKET):
        return object_rows(address.removeprefix(_BUCKET), columns)
    return table_rows(address.removeprefix(_TABLE), columns)


def _file_rows(source: FileSource) -> Iterator[Any]:
    for partition in source.assigned():
        for record in source.scan(partition):
            yield record.value
