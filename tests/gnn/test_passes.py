"""Passes over a growing graph score payments as they would be scored in a snapshot."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.learning import learn
from gnn.live_graph import LiveGraph
from gnn.models import Trees, feature_columns
from gnn.network_models import Blend, Net
from gnn.passes import Passes
from gnn.recipe import Recipe
from gnn.sayings import Told
from gnn.storage import Scorer
from gnn.trees import fit_trees
from tests.gnn.histories import DAY_MS, bursts, dataset_of, label

_HISTORY = bursts(8, 800)
_LATER_MS = 10 * 60_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(_HISTORY, tmp_path_factory.mktemp("passes") / "snapshot")


@pytest.fixture(scope="module")
def scorer(dataset: Dataset) -> Scorer:
    fraud, rows = dataset.fraud_by(int(dataset.times[-1]) + DAY_MS), np.arange(len(dataset))
    names = (*dataset.features.names, *dataset.features.later_names)
    trees = Trees(fit_trees(feature_columns(dataset, rows, names, later=True), fraud, names, 0), names, later=True)
    recipe = Recipe(epochs=1, hidden=12, embedding=5, fan_out=(16, 4))
    net = Net(learn(dataset, fraud, rows, recipe, 0, later=True))
    return Scorer("blend", [Blend(trees, net)], Calibration(1, 0))


def _told() -> list[Told]:
    transactions, labels = _HISTORY
    said = {one.subject.id: [one] for one in labels}
    ordered = sorted(transactions, key=lambda t: t.event_time)
    return [(transaction, said.get(transaction.transaction_id, ())) for transaction in ordered]


def _new(scorer: Scorer, dataset: Dataset) -> Passes:
    return Passes(LiveGraph(dataset.features), scorer, _LATER_MS)


@pytest.mark.parametrize(("at_once", "alike"), [(7, 1.0), (400, 0.9)])
def test_a_payment_ends_with_the_score_that_a_snapshot_gives_it(
    dataset: Dataset, scorer: Scorer, at_once: int, alike: float
) -> None:
    """Exactly, unless so much is looked at in one pass that busy entities have moved on meanwhile."""
    told = _told()
    passes = _new(scorer, dataset)
    final: dict[str, float] = {}
    for start in range(0, len(told), at_once):
        passed = passes.look(told[start : start + at_once])
        final |= {one.transaction.transaction_id: one.risk for one in passed.payments if one.risk is not None}
    settled = [row for row, (t, _) in enumerate(told) if t.event_time + _LATER_MS < passes.graph.now]
    assert len(settled) > len(told) - 20
    scores = np.array([final[told[row][0].transaction_id] for row in settled])
    away = np.abs(scores - scorer.score(dataset, np.array(settled)))
    assert (away < (1e-5 if alike == 1 else 0.03)).mean() >= alike


def test_a_pass_scores_what_has_changed_and_nothing_else(dataset: Dataset, scorer: Scorer) -> None:
    told = _told()
    passes = _new(scorer, dataset)
    passes.remember(told[:-300])
    passed = passes.look(told[-300:])
    assert {one.transaction.transaction_id for one in passed.payments} == {
        t.transaction_id for t, _ in told[-300:]
    }
    assert passes.look([]).payments == []
    again = passes.look(told[-20:]).payments  # as after a failure
    assert {one.transaction for one in again} == {transaction for transaction, _ in told[-20:]}


def test_what_follows_raises_a_ring_s_first_payment(dataset: Dataset, scorer: Scorer) -> None:
    ring = [one for one in _told() if one[0].transaction_id.startswith("r3-")]
    passes = _new(scorer, dataset)
    passes.remember(one for one in _told() if one[0].event_time < ring[0][0].event_time)
    (first,) = passes.look(ring[:1]).payments
    alone = first.risk or 0.0
    looked = passes.look(ring[1:]).payments
    assert first in looked
    assert (first.risk or 0.0) > alone + 0.1
    device = passes.risk(("device", ring[0][0].device or ""))
    assert device == pytest.approx(sum(one.risk or 0.0 for one in looked) / len(looked))


def test_a_word_on_a_payment_has_the_young_ones_of_its_entities_scored_again(
    dataset: Dataset, scorer: Scorer
) -> None:
    told = _told()
    passes = _new(scorer, dataset)
    last = told[-1][0]
    passes.look(told)
    said = label(last.transaction_id, True, last.event_time + 1000)
    assert [one.transaction for one in passes.look([], [(last, [said])]).payments] == [last]


def test_who_was_silent_for_longer_than_counts_reach_is_forgotten(dataset: Dataset) -> None:
    graph = LiveGraph(dataset.features)
    first, second = (one for one, _ in _told()[:2])
    graph.take(first)
    graph.tell(first, [label(first.transaction_id, True, first.event_time + DAY_MS)])
    years_later = [replace(second, event_time=first.event_time + days * DAY_MS) for days in (300, 500, 800)]
    for again, entities in zip(years_later, (first, second, second), strict=True):
        graph.take(replace(again, transaction_id=str(again.event_time)))
        named = {*graph.entities(entities), *graph.entities(second)}
        assert graph.known == len(named)
    assert graph.held(first.transaction_id) is None


def test_what_was_written_while_history_was_read_is_scored_all_the_same(dataset: Dataset, scorer: Scorer) -> None:
    told = _told()
    passes = _new(scorer, dataset)
    passes.remember(told)
    late = [t for t, _ in told if t.event_time + _LATER_MS >= told[-1][0].event_time]
    assert late
    waiting = [(transaction, ()) for transaction in late]
    looked = [one.transaction for one in passes.look(waiting).payments]
    assert sorted(one.transaction_id for one in looked) == sorted(one.transaction_id for one in late)
    assert len(passes.look(waiting).payments) == len(late)  # once each, however often they are told
