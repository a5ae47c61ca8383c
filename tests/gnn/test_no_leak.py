"""Nothing that happens or becomes known after a moment reaches what is said of it: scores stay the same bits."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from gnn.dataset import Dataset, own_features
from gnn.learning import Learned, ask
from gnn.network import Network
from gnn.recipe import Recipe, Shape
from gnn.scaling import Scaling
from graph.events import Label, Transaction
from tests.gnn.histories import DAY_MS, START, bursts, dataset_of, label

CUT = START + 40 * DAY_MS
History = tuple[list[Transaction], list[Label]]


def with_another_future(history: History) -> History:
    """All that comes after the cut is other than it was: entities, amounts, labels, and how much of it."""
    chance = random.Random(7)
    past = [t for t in history[0] if t.event_time < CUT]
    ids = [t.transaction_id for t in past]
    after = [
        msgspec.structs.replace(
            chance.choice(past),
            transaction_id=f"other-{number}",
            event_time=CUT + chance.randrange(20 * DAY_MS),
            amount=chance.randrange(1_000_000),
        )
        for number in range(500)
    ]
    known = [one for one in history[1] if one.time < CUT]
    told = [label(chance.choice(ids), True, CUT + chance.randrange(DAY_MS)) for _ in range(300)]
    return past + after, known + told


def untrained(dataset: Dataset, *, later: bool) -> Learned:
    """A network with random weights: whatever it is shown changes what it says."""
    torch.manual_seed(0)
    own = own_features(dataset, slice(None), later=later)
    extra = own.shape[1] - dataset.arrival.shape[1]
    shape = Shape(dataset.features.kinds, inputs=dataset.arrival.shape[1], extra=extra, hidden=16, embedding=4)
    return Learned(Network(shape), Recipe(), Scaling.of(dataset.arrival), Scaling.of(own), later, 0)


@pytest.fixture(scope="module")
def as_it_was(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(bursts(1), tmp_path_factory.mktemp("one") / "snapshot")


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(with_another_future(bursts(1)), tmp_path_factory.mktemp("other") / "snapshot")


@pytest.mark.parametrize("later", [False, True])
def test_another_future_changes_no_bit_of_a_score(as_it_was: Dataset, otherwise: Dataset, later: bool) -> None:
    wait_ms = as_it_was.later_ms if later else 0
    rows = np.flatnonzero(as_it_was.times + wait_ms < CUT)
    learned = untrained(as_it_was, later=later)
    for features in ("arrival", "later") if later else ("arrival",):
        np.testing.assert_array_equal(getattr(as_it_was, features)[rows], getattr(otherwise, features)[rows])
    for one, other in zip(ask(as_it_was, learned, rows), ask(otherwise, learned, rows), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_before_does_change_them(as_it_was: Dataset) -> None:
    rows = np.flatnonzero(as_it_was.times > CUT)
    learned = untrained(as_it_was, later=False)
    accused = replace(as_it_was, fraud_known_at=np.minimum(as_it_was.fraud_known_at, as_it_was.times))
    assert (ask(as_it_was, learned, rows)[1] != ask(accused, learned, rows)[1]).any()


def test_the_last_pass_is_all_that_arrival_sees_of_the_graph(as_it_was: Dataset) -> None:
    """What came after the last whole minute is in the features of the moment, not in the embeddings."""
    learned = untrained(as_it_was, later=False)
    row = int(np.flatnonzero(np.diff(as_it_was.times) > 120_000)[100])
    blank = replace(as_it_was, nodes=np.where(np.arange(len(as_it_was))[:, None] == row, -1, as_it_was.nodes))
    rows = np.arange(row)
    np.testing.assert_array_equal(ask(as_it_was, learned, rows)[1], ask(blank, learned, rows)[1])
