"""The same features, whether worked out for a whole history or as the stream goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.dataset import Dataset
from gnn.features import KINDS, FeatureSet, feature_set, in_words
from gnn.live_features import LiveFeatures
from graph.events import Transaction
from tests.gnn.histories import DAY_MS, dataset_of, random_history

Floats = NDArray[np.float64]


def live(transactions: list[Transaction], dataset: Dataset) -> tuple[Floats, Floats]:
    """What the stream would see: labels first, then transactions in their order, then passes."""
    moments = [(t.event_time, 1, row) for row, t in enumerate(transactions)]
    moments += [(t.event_time + dataset.later_ms, 2, row) for row, t in enumerate(transactions)]
    told = np.flatnonzero(dataset.fraud_known_at < np.iinfo(np.int64).max)
    moments += [(int(dataset.fraud_known_at[row]), 0, int(row)) for row in told]
    state = LiveFeatures(dataset.features)
    arrival = np.empty((len(transactions), len(dataset.features.names)))
    later = np.empty((len(transactions), len(dataset.features.later_names)))
    for time, what, row in sorted(moments):
        if what == 0:
            state.observe_fraud(transactions[row], time)
        elif what == 1:
            arrival[row] = state.at_arrival(transactions[row])
            state.observe(transactions[row])
        else:
            later[row] = state.later(transactions[row], time)
    return arrival, later


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batch_and_stream_agree_row_by_row(seed: int, tmp_path: Path) -> None:
    history = random_history(seed, 700)
    dataset = dataset_of(history, tmp_path / "snapshot")
    arrival, later = live(history[0], dataset)
    np.testing.assert_array_equal(dataset.arrival, arrival.astype(np.float32))
    np.testing.assert_array_equal(dataset.later, later.astype(np.float32))


def test_every_feature_takes_more_than_one_value(tmp_path: Path) -> None:
    dataset = dataset_of(random_history(4, 700), tmp_path / "snapshot")
    for names, values in (
        (dataset.features.names, dataset.arrival),
        (dataset.features.later_names, dataset.later),
    ):
        constant = [n for n, column in zip(names, values.T, strict=True) if len(np.unique(column)) < 2]
        assert not constant


def test_what_is_silent_for_more_than_a_year_is_forgotten_and_takes_no_memory() -> None:
    state = LiveFeatures(feature_set(["card", "device"]))
    first = payment("t1", 0)
    state.observe(first)
    again = payment("t2", 400 * DAY_MS)
    told = dict(zip(state.features.names, state.at_arrival(again), strict=True))
    assert told["card_transactions_360d"] == 0
    assert np.isnan(told["card_idle_s"])
    assert told["card_device_met"] == 0
    other = payment("t3", 800 * DAY_MS, card="c2", device="d2")
    state.observe(other)
    assert state.entities == 2


def test_a_window_is_whole_buckets(tmp_path: Path) -> None:
    hour = 3_600_000
    transactions = [payment("t1", 0), payment("t2", hour), payment("t3", 2 * hour + 300_000)]
    dataset = dataset_of((transactions, []), tmp_path / "snapshot")
    column = dataset.features.names.index("device_transactions_1h")
    assert dataset.arrival[:, column].tolist() == [0, 1, 0]


def test_features_of_labels_are_named_apart() -> None:
    features = FeatureSet(("card", "merchant"))
    assert {name for name in features.names if "fraud" in name} == set(features.label_names) & set(features.names)


def payment(transaction_id: str, time: int, card: str = "c1", device: str = "d1") -> Transaction:
    return Transaction(
        transaction_id=transaction_id,
        event_time=1_699_999_200_000 + time,  # a whole hour
        card=card,
        amount=100,
        digest="",
        currency="EUR",
        device=device,
    )


def test_every_feature_has_words() -> None:
    features = feature_set(list(KINDS))
    said = [in_words(name, 3.0) for name in (*features.names, *features.later_names)]
    assert len(set(said)) == len(said)
    assert in_words("later_device_new_card_1h", 4.0) == "new cards at its device within 1h until the pass: 4"
    assert in_words("card_new_address_1d", 1.0) == "new addresses at its card within 1d: 1"
    assert in_words("device_fraud_30d", 2.0) == "known frauds at its device within 30d: 2"
    assert in_words("card_device_met", 0.0) == "its card and its device were never seen together"
