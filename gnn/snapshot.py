"""A training snapshot: a history as Parquet files, with a manifest that says what they are.

    transactions.parquet  seq (their order in time), transaction_id, time, amount (minor units), currency, status,
                          channel, account_created, and the entities by the names of :data:`gnn.features.KINDS`
    labels.parquet        seq, fraud, known_at: a row for each thing that was ever said, and when it became known
    nodes.parquet         node (0, 1, …), kind, id, first_seen, last_seen, transactions
    edges.parquet         seq, node, kind, time: a transaction and an entity that it names
    features.parquet      seq, the features at arrival, and those at a pass ``later_ms`` after that
    manifest.json         :class:`gnn.manifest.Manifest`

Times are UTC epoch milliseconds. Cards, e-mails and phones are the tokens that they are everywhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from gnn.batch_features import point_in_time_features
from gnn.features import KINDS, feature_set
from gnn.manifest import FILES, Manifest, describe
from gnn.transfer import refuse_what_is_there
from graph.errors import BadEvent, ConfigurationError, ServiceError
from graph.events import Label, Transaction

#: When a pass over the graph looks at a transaction again.
LATER_MS = 10 * 60_000

_AT_ONCE = 50_000
_TRANSACTIONS = pa.schema(
    [
        ("arrival", pa.int64()),
        ("transaction_id", pa.string()),
        ("time", pa.int64()),
        ("amount", pa.int64()),
        *((name, pa.string()) for name in ("currency", "status", "channel")),
        ("account_created", pa.int64()),
        *((field, pa.string()) for field in KINDS.values()),
    ]
)
_LABELS = pa.schema([("transaction_id", pa.string()), ("fraud", pa.bool_()), ("known_at", pa.int64())])


def write_snapshot(
    transactions: Iterable[Transaction],
    labels: Iterable[Label | BadEvent],
    out: Path,
    *,
    origin: str,
    later_ms: int = LATER_MS,
) -> Manifest:
    """Write a snapshot into a new folder. Of transactions with one id the first counts.

    Labels that are none, and those of cards, rings and transactions that are not there, are left out, and counted
    in the manifest. ``origin`` says where all this is from.

    Raises:
        ConfigurationError: there are no transactions, or the folder has something in it.
        ServiceError: the disk is full, say.
    """
    refuse_what_is_there(out, "a snapshot")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=out.parent) as folder:
            manifest = _written(transactions, labels, Path(folder), origin, later_ms)
            out.mkdir(exist_ok=True)
            for name in (*FILES, "manifest.json"):
                shutil.move(Path(folder) / name, out / name)
            return manifest
    except OSError as error:
        raise ServiceError(f"the snapshot cannot be written to {out}: {error.strerror or error}") from error
    except duckdb.Error as error:  # a full disk, too little memory
        raise ServiceError(f"the snapshot cannot be written to {out}: {error}") from error


def _written(
    transactions: Iterable[Transaction],
    labels: Iterable[Label | BadEvent],
    folder: Path,
    origin: str,
    later_ms: int,
) -> Manifest:
    left_out: Counter[str] = Counter()
    staged, said = folder / "staged.parquet", folder / "said.parquet"
    if not _write_rows(staged, _TRANSACTIONS, _transaction_rows(transactions)):
        raise ConfigurationError("there are no transactions to take a snapshot of")
    _write_rows(said, _LABELS, _label_rows(labels, left_out))
    engine = ibis.duckdb.connect(temp_directory=str(folder / "spill"))
    try:
        ordered = _ordered(engine.read_parquet(staged))
        ordered.to_parquet(folder / "transactions.parquet")
        history = engine.read_parquet(folder / "transactions.parquet")
        spoken = engine.read_parquet(said)
        left_out["unknown_transaction"] = spoken.anti_join(history, "transaction_id").count().to_pyarrow().as_py()
        _known(spoken, history).to_parquet(folder / "labels.parquet")
        told = engine.read_parquet(folder / "labels.parquet")
        present = history.aggregate(**{kind: history[field].count() for kind, field in KINDS.items()}).to_pyarrow()
        kinds = [kind for kind in KINDS if present[kind][0].as_py()]
        nodes, edges = _graph(history, kinds)
        nodes.order_by("node").to_parquet(folder / "nodes.parquet")
        edges.order_by("seq", "node").to_parquet(folder / "edges.parquet")
        features = point_in_time_features(history, told, feature_set(kinds), later_ms)
        features.order_by("seq").to_parquet(folder / "features.parquet")
    finally:
        engine.disconnect()
    for path in (staged, said):
        path.unlink()
    manifest = describe(folder, origin=origin, kinds=kinds, later_ms=later_ms, labels_left_out=left_out)
    (folder / "manifest.json").write_bytes(manifest.encoded())
    return manifest


def _write_rows(path: Path, schema: pa.Schema, rows: Iterator[tuple[object, ...]]) -> int:
    """Write rows in chunks, in constant memory; returns how many."""
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(rows, _AT_ONCE)):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(chunk)
    return count


def _transaction_rows(transactions: Iterable[Transaction]) -> Iterator[tuple[object, ...]]:
    for arrival, t in enumerate(transactions):
        entities = (getattr(t, field) for field in KINDS.values())
        yield (
            *(arrival, t.transaction_id, t.event_time, t.amount, t.currency, t.status, t.channel),
            *(t.account_created, *entities),
        )


def _label_rows(labels: Iterable[Label | BadEvent], left_out: Counter[str]) -> Iterator[tuple[object, ...]]:
    """Rows of what was said of transactions; ``left_out`` counts the rest by reason."""
    for label in labels:
        if isinstance(label, BadEvent):
            left_out[label.reason] += 1
        elif label.subject.label == "Transaction":
            yield label.subject.id, label.verdict == "fraud", label.time
        else:
            left_out[f"of_a_{label.subject.label.lower()}"] += 1


def _ordered(staged: ir.Table) -> ir.Table:
    first = ibis.row_number().over(ibis.window(group_by="transaction_id", order_by="arrival"))
    once = staged.mutate(nth=first).filter(ibis._.nth == 0).drop("nth")
    seq = ibis.row_number().over(ibis.window(order_by=["time", "arrival"]))
    return once.mutate(seq=seq).drop("arrival").relocate("seq").order_by("seq")


def _known(said: ir.Table, history: ir.Table) -> ir.Table:
    """What was said of transactions in the history; the same word again counts from its first time.

    Whatever a label says (a date is its midnight), nobody knows of a transaction before it has happened.
    """
    joined = said.join(history.select("seq", "transaction_id", "time"), "transaction_id")
    return (
        joined.group_by("seq", "fraud")
        .aggregate(known_at=ibis.greatest(joined.known_at, joined.time + 1).min())
        .order_by("seq", "known_at", "fraud")
    )


def _graph(history: ir.Table, kinds: list[str]) -> tuple[ir.Table, ir.Table]:
    """Nodes, numbered, and the edges to them."""
    named = ibis.union(
        *(
            history.filter(history[field].notnull()).select("seq", "time", kind=ibis.literal(kind), id=field)
            for kind, field in KINDS.items()
            if kind in kinds
        )
    )
    nodes = named.group_by("kind", "id").aggregate(
        first_seen=named.time.min(), last_seen=named.time.max(), transactions=named.count()
    )
    nodes = nodes.mutate(node=ibis.row_number().over(ibis.window(order_by=["kind", "id"]))).relocate("node")
    edges = named.join(nodes.select("node", "kind", "id"), ["kind", "id"]).select("seq", "node", "kind", "time")
    return nodes, edges
