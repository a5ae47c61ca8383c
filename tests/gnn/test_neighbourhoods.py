"""The trees around entities beside slow and obvious ones, in which nothing is shared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gnn.dataset import Dataset
from gnn.inputs import GraphInputs
from gnn.neighbourhoods import Ints, draw
from gnn.network import Encoder, TreeTensors
from gnn.recipe import Shape
from gnn.sampler import NeighbourSampler
from tests.gnn.histories import dataset_of, random_history

FAN_OUT = (3, 2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(random_history(4, 200), tmp_path_factory.mktemp("neighbourhoods") / "snapshot")


@pytest.fixture(scope="module")
def roots(dataset: Dataset) -> tuple[Ints, Ints, Ints]:
    """Nodes, kinds and moments: the entities of some transactions, each when it was made and at the end."""
    rows, kinds = np.nonzero(dataset.nodes[50:80] >= 0)
    nodes, times = dataset.nodes[50 + rows, kinds], dataset.times[50 + rows]
    return np.tile(nodes, 2), np.tile(kinds, 2), np.concatenate([times, np.full(len(times), dataset.times[-1])])


def latest(dataset: Dataset, node: int, moment: int, most: int) -> list[int]:
    """What an entity had done before a moment, the latest first."""
    return [row for row in range(len(dataset)) if node in dataset.nodes[row] and dataset.times[row] < moment][
        ::-1
    ][:most]


Branch = tuple[int, int, list[int]]


def tree(dataset: Dataset, node: int, moment: int) -> list[tuple[int, list[Branch]]]:
    """A root's transactions, and of each its other entities with what these had done."""
    found = []
    for row in latest(dataset, node, moment, FAN_OUT[0]):
        others = [(kind, int(other)) for kind, other in enumerate(dataset.nodes[row]) if other not in (-1, node)]
        found.append((row, [(kind, other, latest(dataset, other, moment, FAN_OUT[1])) for kind, other in others]))
    return found


def test_trees_are_what_a_slow_version_draws(dataset: Dataset, roots: tuple[Ints, Ints, Ints]) -> None:
    nodes, kinds, moments = roots
    drawn = draw(
        dataset, NeighbourSampler(dataset.nodes, dataset.times, dataset.node_count), nodes, kinds, moments, FAN_OUT
    )

    def branches(place: int) -> Iterator[tuple[int, list[int]]]:
        for entity in drawn.named[drawn.named_below == place]:
            yield int(drawn.entity_kinds[entity]), drawn.far.transactions[drawn.far.below == entity].tolist()

    for root, (node, moment) in enumerate(zip(nodes, moments, strict=True)):
        places = np.flatnonzero(drawn.near.below == root).tolist()
        found = [(drawn.near.transactions[place], list(branches(place))) for place in places]
        expected = tree(dataset, node, moment)
        assert found == [(row, [(kind, rows) for kind, _, rows in others]) for row, others in expected]
    for part, at in ((drawn.near, moments[drawn.near.below]), (drawn.far, drawn.entity_moments[drawn.far.below])):
        assert (part.age_ms == at - dataset.times[part.transactions]).all()
        assert (part.age_ms > 0).all()


def test_an_entity_is_looked_at_once_for_each_moment(dataset: Dataset, roots: tuple[Ints, Ints, Ints]) -> None:
    nodes, kinds, moments = roots
    drawn = draw(
        dataset, NeighbourSampler(dataset.nodes, dataset.times, dataset.node_count), nodes, kinds, moments, FAN_OUT
    )
    named = {
        (other, moment)
        for node, moment in zip(nodes, moments, strict=True)
        for _, others in tree(dataset, node, moment)
        for _, other, _ in others
    }
    assert len(drawn.entity_kinds) == len(named) < len(drawn.named)


def test_a_transaction_is_told_once_for_each_state_of_what_was_known(
    dataset: Dataset, roots: tuple[Ints, Ints, Ints]
) -> None:
    scaled = np.arange(len(dataset), dtype=np.float32)[:, None]  # its number is all that it tells
    inputs = GraphInputs(dataset, scaled, scaled, FAN_OUT, torch.device("cpu"))
    trees = inputs.trees(*roots)
    told = [tuple(one) for one in trees.told.tolist()]
    assert len(set(told)) == len(told)
    nodes, _, moments = roots
    expected = [
        (row, dataset.fraud_known_at[row] <= moment, dataset.legitimate_known_at[row] <= moment)
        for node, moment in zip(nodes, moments, strict=True)
        for row, _ in tree(dataset, node, moment)
    ]
    assert [told[place] for place in trees.near.tolist()] == expected
    assert len({row for row, _, _ in told}) < len(told)  # of some it became known in between


def test_what_is_shared_is_said_to_each_as_if_it_had_its_own(
    dataset: Dataset, roots: tuple[Ints, Ints, Ints]
) -> None:
    torch.manual_seed(0)
    inputs = GraphInputs(dataset, dataset.arrival[:, :3].copy(), dataset.arrival, FAN_OUT, torch.device("cpu"))
    encoder = Encoder(Shape(dataset.features.kinds, inputs=3, hidden=16, embedding=4))
    trees = inputs.trees(*roots)
    hanging = [torch.nonzero(trees.far_below == entity).squeeze(-1) for entity in trees.named]
    far = torch.cat(hanging)
    own = TreeTensors(
        told=trees.told[torch.cat([trees.near, trees.far[far]])],
        root_kinds=trees.root_kinds,
        near=torch.arange(len(trees.near)),
        near_age=trees.near_age,
        near_below=trees.near_below,
        entity_kinds=trees.entity_kinds[trees.named],
        named=torch.arange(len(trees.named)),
        named_below=trees.named_below,
        far=len(trees.near) + torch.arange(len(far)),
        far_age=trees.far_age[far],
        far_below=torch.arange(len(trees.named)).repeat_interleave(torch.tensor([len(one) for one in hanging])),
    )
    torch.testing.assert_close(encoder(trees), encoder(own))
