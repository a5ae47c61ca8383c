"""The features' expressions beside DuckDB: local Spark gives the same numbers, and BigQuery has words for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from ibis.config import Config
from pyspark.sql import SparkSession

from gnn.batch_features import point_in_time_features
from gnn.features import feature_set
from gnn.snapshot import LATER_MS
from tests.gnn.histories import dataset_of, random_history

KINDS = ("card", "device")


class SparkOptions(Config):  # type: ignore[misc]
    """What Ibis' own Spark connection registers; that one needs pandas, which this house does without."""

    treat_nan_as_null: bool = False


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "snapshot"
    dataset_of(random_history(5, 400), folder)
    return folder


@pytest.fixture
def spark(tmp_path: Path) -> Iterator[SparkSession]:
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.codegen.wholeStage": "false",  # compiling a query that is run once takes longer than running it
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
    }
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it tells of its end when nobody listens any more
    yield session
    session.stop()


def on_duckdb(folder: Path) -> ibis.Table:
    """The features of a snapshot's transactions and labels."""
    engine = ibis.duckdb.connect()
    transactions, labels = (
        engine.read_parquet(folder / f"{name}.parquet", table_name=name) for name in ("transactions", "labels")
    )
    return point_in_time_features(transactions, labels, feature_set(KINDS), LATER_MS).order_by("seq")


@pytest.mark.spark
def test_spark_and_duckdb_give_the_same_features(
    snapshot: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    for name in ("transactions", "labels"):
        spark.read.parquet(str(snapshot / f"{name}.parquet")).createOrReplaceTempView(name)
    features = on_duckdb(snapshot)
    expected = features.to_pyarrow()
    rows = spark.sql(ibis.to_sql(features.unbind(), dialect="pyspark")).collect()
    found = pa.Table.from_pylist([row.asDict() for row in rows], schema=expected.schema)
    assert found.num_rows == 400
    for name in expected.column_names:
        ours, theirs = (table[name].to_numpy().astype(np.float32) for table in (found, expected))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_bigquery_has_the_same_expressions(snapshot: Path) -> None:
    features = on_duckdb(snapshot)
    query = sqlglot.parse_one(ibis.to_sql(features.unbind(), dialect="bigquery"), dialect="bigquery")
    assert isinstance(query, sqlglot.exp.Query)
    assert query.named_selects == list(features.columns)
