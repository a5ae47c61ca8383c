"""What a snapshot is: where it is from, what it holds, and how to tell that its files are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gnn.features import FeatureSet
from gnn.store import sha256_of
from graph.errors import ConfigurationError

VERSION = 2

#: The files of a snapshot, beside its manifest.
FILES = tuple(f"{name}.parquet" for name in ("transactions", "labels", "nodes", "edges", "features"))


class Part(msgspec.Struct, frozen=True):
    """One file: its rows, and hashes (SHA-256) of its columns' names and types, and of its bytes."""

    rows: int
    schema: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is in a snapshot. ``first`` and ``last`` are the times of its transactions (UTC epoch ms).

    ``frauds`` counts the transactions that were ever called fraud; ``labels_left_out``, by reason, the labels that
    could not be used.
    """

    version: int
    origin: str
    kinds: tuple[str, ...]
    later_ms: int
    first: int
    last: int
    transactions: int
    frauds: int
    parts: dict[str, Part]
    labels_left_out: dict[str, int] = {}

    @property
    def features(self) -> FeatureSet:
        """What each transaction is described by."""
        return FeatureSet(self.kinds)

    @property
    def digest(self) -> str:
        """The same for the same content only."""
        return hashlib.sha256(self.encoded()).hexdigest()

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def describe(
    folder: Path, *, origin: str, kinds: list[str], later_ms: int, labels_left_out: Mapping[str, int]
) -> Manifest:
    """The manifest of the files in a folder."""
    times = pq.read_table(folder / "transactions.parquet", columns=["time"])["time"]
    labels = pq.read_table(folder / "labels.parquet", columns=["seq", "fraud"])
    span = pc.min_max(times).as_py()
    return Manifest(
        version=VERSION,
        origin=origin,
        kinds=tuple(kinds),
        later_ms=later_ms,
        first=span["min"],
        last=span["max"],
        transactions=len(times),
        frauds=pc.count_distinct(labels.filter(labels["fraud"])["seq"]).as_py(),
        parts={name: _part(folder / name) for name in FILES},
        labels_left_out={why: count for why, count in sorted(labels_left_out.items()) if count},
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a snapshot whose files are as they were written.

    Raises:
        ConfigurationError: there is none, it is another version's, or a file is not what it says.
    """
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigurationError(f"{folder} is no snapshot: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{folder / 'manifest.json'} is no manifest: {error}") from error
    if manifest.version != VERSION:
        raise ConfigurationError(
            f"{folder} is a snapshot of version {manifest.version}, this Ringwatch reads {VERSION}"
        )
    for name, part in manifest.parts.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != part.sha256:
            raise ConfigurationError(f"{path} is not the file that the manifest names: take the snapshot again")
    return manifest


def _part(path: Path) -> Part:
    file = pq.ParquetFile(path)
    schema = "\n".join(f"{field.name} {field.type}" for field in file.schema_arrow)
    return Part(file.metadata.num_rows, hashlib.sha256(schema.encode()).hexdigest(), sha256_of(path))
