"""Snapshots: what is in them, and that a damaged one is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gnn.dataset import load_dataset
from gnn.manifest import FILES, read_manifest
from gnn.snapshot import write_snapshot
from graph.errors import ConfigurationError
from ringwatch.cli import app
from tests.gnn.histories import label, random_history


def test_rows_are_in_the_order_of_time_and_each_id_counts_once(tmp_path: Path) -> None:
    transactions, labels = random_history(1, 100)
    repeated = msgspec.structs.replace(transactions[0], amount=999_999)
    manifest = write_snapshot([*reversed(transactions), repeated], labels, tmp_path / "s", origin="test")
    table = pq.read_table(tmp_path / "s" / "transactions.parquet").to_pydict()
    assert manifest.transactions == len(transactions)
    assert table["time"] == sorted(table["time"])
    assert table["seq"] == list(range(len(transactions)))
    assert 999_999 not in table["amount"]


def test_edges_and_nodes_are_the_entities_of_the_transactions(tmp_path: Path) -> None:
    transactions, labels = random_history(2, 100)
    write_snapshot(transactions, labels, tmp_path / "s", origin="test")
    nodes = {row["node"]: row for row in pq.read_table(tmp_path / "s" / "nodes.parquet").to_pylist()}
    edges = pq.read_table(tmp_path / "s" / "edges.parquet").to_pylist()
    found = {(edge["seq"], nodes[edge["node"]]["kind"], nodes[edge["node"]]["id"]) for edge in edges}
    expected = {
        (row, kind, getattr(t, kind))
        for row, t in enumerate(transactions)
        for kind in ("card", "device", "ip", "merchant")
        if getattr(t, kind) is not None
    }
    assert found == expected
    assert sum(node["transactions"] for node in nodes.values()) == len(edges)


def test_what_was_known_when(tmp_path: Path) -> None:
    transactions, _ = random_history(3, 3)
    ids = [t.transaction_id for t in transactions]
    end = transactions[-1].event_time
    labels = [
        label(ids[0], True, end + 100),
        label(ids[0], False, end + 200),
        label(ids[1], False, end + 50),
        label("other", True, 1),
    ]
    write_snapshot(transactions, labels, tmp_path / "s", origin="test")
    dataset, manifest = load_dataset(tmp_path / "s")
    assert manifest.frauds == 1
    assert dataset.fraud_by(end + 99).tolist() == [False, False, False]
    assert dataset.fraud_by(end + 100).tolist() == [True, False, False]
    assert dataset.fraud_by(end + 200).tolist() == [False, False, False]


def test_labels_that_are_left_out_are_counted_by_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "a key of sixteen bytes or more")
    paid = [
        {"transaction_id": f"t{n}", "event_time": "2025-01-01T00:00:00Z", "card": f"c{n}", "amount": 1}
        for n in range(3)
    ]
    said = {"verdict": "fraud", "source": "chargeback", "time": "2025-01-09T00:00:00Z"}
    told = [
        *({"transaction_id": known} for known in ("t0", "t0", "t7", "t8")),
        {"transaction_id": "t1", "time": "soon"},
        {"card": "c1"},
        {"ring_id": "ring-1"},
    ]
    for name, rows in (("paid", paid), ("said", [said | one for one in told])):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source, labels, out = (str(tmp_path / name) for name in ("paid.jsonl", "said.jsonl", "s"))
    done = CliRunner().invoke(app, ["snapshot", "--source", source, "--labels", labels, "--out", out])
    assert done.exit_code == 0, done.output
    assert "3 transactions (card), 1 called fraud, 0 bad rows left out" in done.output
    assert "5 labels left out: bad_time 1, of_a_card 1, of_a_ring 1, unknown_transaction 2" in done.output
    assert read_manifest(tmp_path / "s").labels_left_out["unknown_transaction"] == 2
    done = CliRunner().invoke(app, ["snapshot", "--source", source, "--out", str(tmp_path / "unlabelled")])
    assert "labels left out" not in done.output


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    write_snapshot(*random_history(1, 50), tmp_path / "s", origin="test")
    assert set(read_manifest(tmp_path / "s").parts) == set(FILES)
    changed = tmp_path / "s" / "labels.parquet"
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigurationError, match=r"labels\.parquet is not the file"):
        load_dataset(tmp_path / "s")


def test_a_snapshot_is_never_overwritten_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no transactions"):
        write_snapshot([], [], tmp_path / "s", origin="test")
    assert list(tmp_path.iterdir()) == []
    write_snapshot(*random_history(1, 50), tmp_path / "s", origin="test")
    with pytest.raises(ConfigurationError, match="not empty"):
        write_snapshot(*random_history(1, 50), tmp_path / "s", origin="test")


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is no folder for a snapshot"):
        write_snapshot(*random_history(1, 50), tmp_path / "file", origin="test")


def test_a_name_with_an_apostrophe_is_a_name(tmp_path: Path) -> None:
    assert write_snapshot(*random_history(1, 50), tmp_path / "it's" / "s", origin="test").transactions == 50


def test_nobody_knows_of_a_transaction_before_it_has_happened(tmp_path: Path) -> None:
    transactions, _ = random_history(1, 50)
    told = [label(one.transaction_id, True, one.event_time - ms) for ms, one in enumerate(transactions)]
    write_snapshot(transactions, told, tmp_path / "s", origin="test")
    dataset, _ = load_dataset(tmp_path / "s")
    assert (dataset.fraud_known_at == dataset.times + 1).all()


def test_the_command_reads_files_with_a_column_that_says_fraud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "a key of sixteen bytes or more")
    rows = [f"{n},2025-01-0{1 + n % 9}T00:00:00Z,card-{n % 3},{n + 1}.50,d{n % 2},{n % 2}" for n in range(20)]
    source = tmp_path / "history.csv"
    source.write_text("\n".join(["id,when,customer,sum,machine,class", *rows, "broken"]) + "\n")
    arguments = [
        "--source",
        str(source),
        "--out",
        str(tmp_path / "s"),
        "--fraud",
        "class=1",
        "--known-after-days",
        "3",
    ]
    mapping = ("transaction_id=id", "event_time=when", "card=customer", "amount=sum", "device=machine")
    told = CliRunner().invoke(app, ["snapshot", *arguments, "--known-after-days", "3", *mapping])
    assert told.exit_code == 0, told.output
    assert "20 transactions (card, device), 10 called fraud, 1 bad rows left out" in told.output
    dataset, _ = load_dataset(tmp_path / "s")
    assert dataset.fraud_by(int(dataset.times[-1]) + 3 * 86_400_000).sum() == 10
    assert (dataset.fraud_known_at[dataset.fraud_known_at < np.iinfo(np.int64).max] % 86_400_000 == 0).all()
    text = (tmp_path / "s" / "transactions.parquet").read_bytes()
    assert b"card-1" not in text
    assert json.loads((tmp_path / "s" / "manifest.json").read_text())["transactions"] == 20


@pytest.mark.parametrize("fraud", ["class=1", "class=true", "class=TRUE", "class=1.0"])
@pytest.mark.parametrize(
    "spelled", [("true", "false"), ("1.0", "0.0"), ("1", "0"), ('"True"', '"False"'), ('"1.0"', '"n/a"')]
)
def test_fraud_is_known_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: tuple[str, str], fraud: str
) -> None:
    told = snapshot_of(tmp_path, monkeypatch, [(number, spelled[number % 2], "d") for number in range(8)], fraud)
    assert "8 transactions (card, device), 4 called fraud" in told
    labels = pq.read_table(tmp_path / "s" / "labels.parquet").num_rows
    assert labels == (4 if "n/a" in spelled[1] else 8)


def test_what_is_not_said_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(number, said, "d") for number, said in enumerate(["null", '""', '"NaN"', '" "', "[1]", "2", "1"])]
    assert "7 transactions (card, device), 1 called fraud" in snapshot_of(tmp_path, monkeypatch, rows, "class=1")
    assert pq.read_table(tmp_path / "s" / "labels.parquet").num_rows == 2


def test_a_misspelt_name_in_the_map_is_told_and_why_rows_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*((number, "1", "d") for number in range(3)), ("null", "1", "d")]
    told = snapshot_of(tmp_path, monkeypatch, rows, "class=1", "device=dveice")
    assert "3 transactions (card)" in told
    assert "no event has what --map names: dveice" in told
    assert "left out 1 times: amount is missing" in told


def snapshot_of(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: Iterable[tuple[object, str, str]],
    fraud: str,
    *mapping: str,
) -> str:
    """What the command says to JSON rows of an amount, a verdict and a device."""
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "a key of sixteen bytes or more")
    lines = [
        f'{{"transaction_id": "{number}", "event_time": "2025-01-01T00:00:00Z", "card": "c{number}", '
        f'"amount": {amount}, "class": {verdict}, "device": "{device}"}}\n'
        for number, (amount, verdict, device) in enumerate(rows)
    ]
    source = folder / "history.jsonl"
    source.write_text("".join(lines))
    arguments = ["--source", str(source), "--out", str(folder / "s"), "--fraud", fraud]
    told = CliRunner().invoke(app, ["snapshot", *arguments, *(["--map", *mapping] if mapping else [])])
    assert told.exit_code == 0, told.output
    return told.output
