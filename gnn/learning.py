"""Training a network on a dataset, and asking it: mini-batches of transactions, each with its entities' trees."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from gnn.dataset import Dataset, own_features
from gnn.inputs import GraphInputs
from gnn.network import Network
from gnn.recipe import Recipe, Shape
from gnn.scaling import Scaling

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_LARGEST_BATCH, _SMALLEST_BATCH, _BATCHES = 512, 64, 40
_VALIDATED_HONEST_PER_FRAUD = 50
_AT_LEAST_HONEST = 10_000


@dataclass(frozen=True)
class Learned:
    """A trained network, what its inputs are scaled by, and after how many epochs it was at its best."""

    network: Network
    recipe: Recipe
    scaling: Scaling
    own_scaling: Scaling
    later: bool
    epochs: int


def learn(
    dataset: Dataset,
    fraud: Bools,
    train: Ints,
    recipe: Recipe,
    seed: int,
    *,
    validate: Ints | None = None,
    later: bool = False,
    devices: int | None = None,
) -> Learned:
    """Train on rows ``train``; only ``fraud`` (n) of these, and of ``validate``, is looked at.

    With rows to ``validate`` on, the epoch with the best average precision there is kept; without them, or without
    fraud among them, all epochs of the recipe are gone through. On several ``devices`` (all GPUs, if there are
    several) each learns from a part of every batch, in a process of its own, and from what the others' parts say.
    """
    count = devices or max(1, torch.cuda.device_count())
    fabric = Fabric(
        accelerator="auto",
        devices=count,
        # A part of a batch need not have every kind of entity: some parameters have no gradient then.
        strategy=DDPStrategy(start_method="spawn", find_unused_parameters=True) if count > 1 else "auto",
    )
    own = own_features(dataset, slice(None), later=later)
    shape = Shape(
        dataset.features.kinds,
        inputs=dataset.arrival.shape[1],
        extra=own.shape[1] - dataset.arrival.shape[1],
        hidden=recipe.hidden,
        embedding=recipe.embedding,
    )
    scaling, own_scaling = Scaling.of(dataset.arrival[train]), Scaling.of(own[train])
    lesson = _Lesson(dataset, fraud, train, validate, recipe, seed, later, shape, scaling, own_scaling)
    learned = lesson.begun()
    # Bound, and not handed over: what is handed over, the launcher searches for modules.
    state, epochs = fabric.launch(partial(_fit, lesson=lesson))
    learned.network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    fabric.to_device(learned.network)
    return replace(learned, epochs=epochs)


@dataclass(frozen=True)
class _Lesson:
    """What every device is told: a network begins where its seed says, in each process anew."""

    dataset: Dataset
    fraud: Bools
    train: Ints
    validate: Ints | None
    recipe: Recipe
    seed: int
    later: bool
    shape: Shape
    scaling: Scaling
    own_scaling: Scaling

    def begun(self) -> Learned:
        Fabric.seed_everything(self.seed, verbose=False)
        network = Network(self.shape)
        return Learned(network, self.recipe, self.scaling, self.own_scaling, self.later, self.recipe.epochs)


def _fit(fabric: Fabric, *, lesson: _Lesson) -> tuple[dict[str, Floats], int]:
    """Train on this device, beside the others: the best state, as arrays that outlive a process, and its epoch."""
    learned, recipe, fraud, later = lesson.begun(), lesson.recipe, lesson.fraud, lesson.later
    bare, rng = learned.network, np.random.default_rng(lesson.seed)
    network, optimizer = fabric.setup(
        bare, torch.optim.AdamW(bare.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    )
    inputs = _inputs(lesson.dataset, learned, fabric.device)
    loss_of = torch.nn.BCEWithLogitsLoss()
    best_score, best_state, best_epoch = -1.0, bare.state_dict(), recipe.epochs
    sample = None
    if lesson.validate is not None and fraud[lesson.validate].any():
        sample = _thinned(fraud, lesson.validate, _VALIDATED_HONEST_PER_FRAUD, np.random.default_rng(0))
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for batch in _batches(fraud, lesson.train, recipe, rng):
            rows = _own_part(batch, fabric)
            odds, _ = network(*inputs.of(rows, inputs.moments(rows, recipe, later=later)))
            loss = loss_of(odds, torch.from_numpy(fraud[rows].astype(np.float32)).to(fabric.device))
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
        if sample is None:
            continue
        said = float(average_precision_score(fraud[sample], _asked(learned, inputs, sample)[0]))
        score = fabric.broadcast(said)  # one says how good it is, so that all stop at the same epoch
        if score > best_score:
            best_score, best_state, best_epoch = score, copy.deepcopy(bare.state_dict()), epoch
        if epoch - best_epoch >= recipe.patience:
            break
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()  # what still listens would end a process by SIGABRT now and then
    kept = best_state if sample is not None else bare.state_dict()
    return {name: value.cpu().numpy() for name, value in kept.items()}, best_epoch


def _own_part(batch: Ints, fabric: Fabric) -> Ints:
    """A device's equal part of a batch; of too few rows for all of them each has the first."""
    parts = fabric.world_size
    even = batch[: len(batch) // parts * parts] if len(batch) >= parts else np.repeat(batch[:1], parts)
    return even[fabric.global_rank :: parts]


def ask(dataset: Dataset, learned: Learned, rows: Ints) -> tuple[NDArray[np.float64], Floats]:
    """Log-odds (n) of transactions, and their entities' embeddings (n, kinds * embedding)."""
    return _asked(learned, _inputs(dataset, learned, _device(learned)), rows)


@torch.no_grad()
def embed(dataset: Dataset, learned: Learned, nodes: Ints, kinds: Ints, moment: int) -> Floats:
    """Embeddings of entities (r) of kinds (r) as they are at a moment, epoch ms (r, embedding)."""
    learned.network.eval()
    inputs = _inputs(dataset, learned, _device(learned))
    moments = np.full(len(nodes), moment)
    parts = [slice(start, start + _LARGEST_BATCH) for start in range(0, len(nodes), _LARGEST_BATCH)]
    embedded = [learned.network.encoder(inputs.trees(nodes[one], kinds[one], moments[one])) for one in parts]
    found: Floats = torch.cat(embedded).cpu().numpy()
    return found


@torch.no_grad()
def judge(dataset: Dataset, learned: Learned, row: int, own: Floats) -> NDArray[np.float64]:
    """What the head would say of a transaction were its own features others (v, names): log-odds (v).

    Its entities' embeddings stay as they are.
    """
    device = _device(learned)
    _, embedded = ask(dataset, learned, np.array([row]))
    named = torch.from_numpy((dataset.nodes[row] >= 0).astype(np.float32)).to(device)
    seen = torch.from_numpy(embedded.reshape(1, len(named), -1)).to(device)
    told = torch.from_numpy(learned.own_scaling(own)).to(device)
    odds = learned.network.head(told, seen.expand(len(own), -1, -1), named.expand(len(own), -1))
    found: NDArray[np.float64] = odds.cpu().numpy().astype(np.float64)
    return found


def _device(learned: Learned) -> torch.device:
    return next(learned.network.parameters()).device


def _inputs(dataset: Dataset, learned: Learned, device: torch.device) -> GraphInputs:
    own = learned.own_scaling(own_features(dataset, slice(None), later=learned.later))
    return GraphInputs(dataset, learned.scaling(dataset.arrival), own, learned.recipe.fan_out, device)


@torch.no_grad()
def _asked(learned: Learned, inputs: GraphInputs, rows: Ints) -> tuple[NDArray[np.float64], Floats]:
    learned.network.eval()
    odds, embeddings = [], []
    for start in range(0, len(rows), 2 * _LARGEST_BATCH):
        part = rows[start : start + 2 * _LARGEST_BATCH]
        when = inputs.moments(part, learned.recipe, later=learned.later)
        told, embedded = learned.network(*inputs.of(part, when))
        odds.append(told.cpu().numpy())
        embeddings.append(embedded.flatten(1).cpu().numpy())
    return np.concatenate(odds).astype(np.float64), np.concatenate(embeddings)


def _batches(fraud: Bools, train: Ints, recipe: Recipe, rng: np.random.Generator) -> Iterator[Ints]:
    """One epoch's rows in random order; small data in small batches, so that there are enough of them."""
    chosen = rng.permutation(_thinned(fraud, train, recipe.honest_per_fraud, rng))
    size = min(max(len(chosen) // _BATCHES, _SMALLEST_BATCH), _LARGEST_BATCH)
    for start in range(0, len(chosen), size):
        yield chosen[start : start + size]


def _thinned(fraud: Bools, rows: Ints, honest_per_fraud: int, rng: np.random.Generator) -> Ints:
    """All fraud among rows, and so many honest ones for each, or some thousand where that is more."""
    accused, honest = rows[fraud[rows]], rows[~fraud[rows]]
    wanted = max(honest_per_fraud * len(accused), _AT_LEAST_HONEST)
    if len(honest) > wanted:
        honest = rng.choice(honest, wanted, replace=False)
    return np.concatenate([accused, honest])
