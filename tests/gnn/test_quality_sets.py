"""The public sets are those that their bars were measured on: as many payments in both parts, as much fraud.

The sets are not part of the repository; without them beside the project these tests are skipped.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from graph.schema import HOUR_MS
from ringwatch.quality.sets import SETS

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the public sets are not beside the project"),
]


def labelled(name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """When each payment of a set was, in order, and whether it was fraud (n)."""
    if name == "handbook":  # decoding its 1.7 million payments takes minutes
        history = pq.read_table(DATA / SETS[name].file, columns=["TX_DATETIME", "TX_FRAUD"])
        times = history["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64)
        fraud = history["TX_FRAUD"].to_numpy() == 1
    else:
        transactions, labels = SETS[name].read(DATA)
        accused = {label.subject.id for label in labels if label.verdict == "fraud"}
        times = np.array([t.event_time for t in transactions])
        fraud = np.array([t.transaction_id in accused for t in transactions])
    order = np.argsort(times, kind="stable")
    return times[order], fraud[order]


@pytest.mark.parametrize(
    ("name", "to_learn_from", "to_measure_on", "share_of_fraud"),
    [
        ("ringjan", 1_030, 970, 0.582),
        ("remix", 21_132, 9_057, 0.097),
        ("handbook", 871_956, 527_165, 0.0089),
    ],
)
def test_a_set_is_split_where_its_bar_was_measured(
    name: str, to_learn_from: int, to_measure_on: int, share_of_fraud: float
) -> None:
    times, fraud = labelled(name)
    train, test = SETS[name].split(times)
    assert (len(train), len(test)) == (to_learn_from, to_measure_on)
    assert times[train[-1]] <= times[test[0]]
    assert fraud[test].mean() == pytest.approx(share_of_fraud, rel=0.01)


def test_rings_are_moved_as_they_were_for_their_bar() -> None:
    """The simplest score, earlier payments on the device within an hour, is worth what it was worth there."""
    transactions, labels = SETS["remix"].read(DATA)
    accused = {label.subject.id for label in labels if label.verdict == "fraud"}
    seen: defaultdict[str | None, list[int]] = defaultdict(list)
    counts = []
    for t in transactions:
        earlier = seen[t.device]
        counts.append(sum(t.event_time - time <= HOUR_MS for time in earlier))
        earlier.append(t.event_time)
    _, test = SETS["remix"].split(np.array([t.event_time for t in transactions]))
    fraud = np.array([t.transaction_id in accused for t in transactions])[test]
    assert fraud.sum() == 881
    assert average_precision_score(fraud, np.array(counts)[test]) == pytest.approx(0.391, abs=0.0005)
