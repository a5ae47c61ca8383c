"""A snapshot as arrays: what models are trained on, and what was known of it when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnn.features import FeatureSet
from gnn.manifest import Manifest, read_manifest

#: ``known_at`` of what nobody ever says.
NEVER = np.iinfo(np.int64).max

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """The transactions of a snapshot in the order of time; n of them, with k kinds of entities.

    ``times`` (n) are epoch ms, ``arrival`` (n, names) and ``later`` (n, later names) the features at both moments
    (NaN where one does not apply), ``nodes`` (n, k) the numbers of their entities (-1: none). ``fraud_known_at``
    and ``legitimate_known_at`` (n) are when each word was first said, or :data:`NEVER`.
    """

    features: FeatureSet
    later_ms: int
    times: Ints
    arrival: Floats
    later: Floats
    nodes: Ints
    node_count: int
    fraud_known_at: Ints
    legitimate_known_at: Ints

    def __len__(self) -> int:
        return len(self.times)

    def fraud_by(self, moment: int) -> NDArray[np.bool_]:
        """Which transactions are fraud as far as is known at a moment: by the latest word said until then.

        Of two words at the same time the graver counts. A transaction of which nothing is known is not fraud:
        so ask only about transactions that are old enough for a complaint to have come in.
        """
        said = self.fraud_known_at <= moment
        cleared = (self.legitimate_known_at <= moment) & (self.legitimate_known_at > self.fraud_known_at)
        return said & ~cleared


def load_dataset(folder: Path) -> tuple[Dataset, Manifest]:
    """The snapshot in a folder.

    Raises:
        ConfigurationError: there is none, or its files are not what its manifest says.
    """
    manifest = read_manifest(folder)
    features = manifest.features
    times = pq.read_table(folder / "transactions.parquet", columns=["time"])["time"].to_numpy()
    labels = pq.read_table(folder / "labels.parquet")
    edges = pq.read_table(folder / "edges.parquet", columns=["seq", "node", "kind"])
    told = pq.read_table(folder / "features.parquet")
    nodes = np.full((len(times), len(features.kinds)), -1, dtype=np.int64)
    kinds = edges["kind"].to_numpy(zero_copy_only=False)
    for column, kind in enumerate(features.kinds):
        chosen = kinds == kind
        nodes[edges["seq"].to_numpy()[chosen], column] = edges["node"].to_numpy()[chosen]
    dataset = Dataset(
        features=features,
        later_ms=manifest.later_ms,
        times=times,
        arrival=_matrix(told, features.names),
        later=_matrix(told, features.later_names),
        nodes=nodes,
        node_count=manifest.parts["nodes.parquet"].rows,
        fraud_known_at=_first_said(labels, len(times), fraud=True),
        legitimate_known_at=_first_said(labels, len(times), fraud=False),
    )
    return dataset, manifest


def _matrix(table: pa.Table, names: list[str]) -> Floats:
    """Columns side by side as float32, filled one after another: a history may be large."""
    matrix = np.empty((len(table), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = table[name].to_numpy()
    return matrix


def _first_said(labels: pa.Table, count: int, *, fraud: bool) -> Ints:
    chosen = labels["fraud"].to_numpy(zero_copy_only=False) == fraud
    known_at = np.full(count, NEVER, dtype=np.int64)
    np.minimum.at(known_at, labels["seq"].to_numpy()[chosen], labels["known_at"].to_numpy()[chosen])
    return known_at


def own_features(dataset: Dataset, rows: Ints | slice, *, later: bool) -> Floats:
    """What transactions (n) are judged by beside their entities' embeddings (n, names)."""
    arrival = dataset.arrival[rows]
    return np.hstack([arrival, dataset.later[rows]]) if later else arrival
