"""A heterogeneous graph network over transactions and entities, with messages from the past only.

Entities get their embeddings from the transactions that they were part of before a moment; a light head then
judges a transaction by its own features and the embeddings of the entities that it names. Embeddings are worked
out once per pass over the graph, the head at every arrival: the division of labour of BRIGHT (Lu et al., CIKM
2022, arXiv:2205.13084). Attention is GATv2's (Brody et al., ICLR 2022, arXiv:2105.14491), time is encoded by
cosines of learned frequencies as in TGAT (Xu et al., ICLR 2020, arXiv:2002.07962).

The network never sees a clock, an id or a label that was not known: :mod:`gnn.neighbourhoods` draws what it sees.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnn.recipe import Shape

with warnings.catch_warnings():
    # PyG's own, until it has moved on: nothing that whoever trains could do anything about.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from torch_geometric.nn import GATv2Conv, SAGEConv

#: What is known of a transaction that is over: whether it was called fraud, whether legitimate.
KNOWN = 2

_TIME_DIM = 16


@dataclass(frozen=True)
class TreeTensors:
    """Neighbourhoods as tensors, level by level.

    ``told`` (t, inputs + known) are features of transactions; ``near`` and ``far`` (m) say which of them is meant,
    and have log ages (m). The rest is as in :class:`gnn.neighbourhoods.Neighbourhoods`.
    """

    told: Tensor
    root_kinds: Tensor
    near: Tensor
    near_age: Tensor
    near_below: Tensor
    entity_kinds: Tensor
    named: Tensor
    named_below: Tensor
    far: Tensor
    far_age: Tensor
    far_below: Tensor


class TimeEncoding(nn.Module):
    """cos(w log(1 + age) + b): (m) log ages to (m, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.phase = nn.Linear(1, dim)

    def forward(self, log_age: Tensor) -> Tensor:
        """(m) to (m, dim)."""
        return torch.cos(self.phase(log_age.unsqueeze(-1)))


class History(nn.Module):
    """Entities from the transactions that hang on them: one attention for each kind of entity."""

    def __init__(self, kinds: tuple[str, ...], hidden: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.blank = nn.Parameter(torch.zeros(len(kinds), hidden))
        self.attend = nn.ModuleDict(
            {
                kind: GATv2Conv(hidden, hidden, heads=2, concat=False, edge_dim=_TIME_DIM, add_self_loops=False)
                for kind in kinds
            }
        )
        self.count = nn.Linear(1, hidden)

    def forward(
        self, transactions: Tensor, drawn: Tensor, time: Tensor, below: Tensor, entity_kinds: Tensor
    ) -> Tensor:
        """(t, hidden) transactions, (m) which of them is ``below`` (m) which entity, (m, dim) times, (e) kinds.

        Returns (e, hidden) entities.
        """
        blank = self.blank[entity_kinds]
        ones = torch.ones(len(below), device=below.device)
        number = torch.zeros(len(entity_kinds), device=below.device).index_add(0, below, ones)
        found = blank + self.count(torch.log1p(number).unsqueeze(-1))
        for index, kind in enumerate(self.kinds):
            rows, place = _members(entity_kinds, index)
            ours = entity_kinds[below] == index
            used, which = torch.unique(drawn[ours], return_inverse=True)
            edges = torch.stack([which, place[below[ours]]])
            told = self.attend[kind]((transactions[used], blank[rows]), edges, time[ours])
            found = found.index_add(0, rows, told)
        return torch.relu(found)


class Encoder(nn.Module):
    """Embeddings of entities at a moment, from the trees around them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.kinds = shape.kinds
        self.read = nn.Sequential(nn.Linear(shape.inputs + KNOWN, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.age = TimeEncoding(_TIME_DIM)
        self.far_history = History(shape.kinds, hidden)
        self.of_entities = nn.ModuleDict({kind: SAGEConv((hidden, hidden), hidden) for kind in shape.kinds})
        self.near_history = History(shape.kinds, hidden)
        self.embed = nn.Linear(hidden, shape.embedding)

    def forward(self, trees: TreeTensors) -> Tensor:
        """Trees of r roots to (r, embedding)."""
        told = self.read(trees.told)
        near = told[trees.near]
        if len(trees.entity_kinds):
            entities = self.far_history(
                told, trees.far, self.age(trees.far_age), trees.far_below, trees.entity_kinds
            )
            near = near + self._from_entities(near, entities, trees)
        each = torch.arange(len(near), device=near.device)
        roots = self.near_history(
            torch.relu(near), each, self.age(trees.near_age), trees.near_below, trees.root_kinds
        )
        embedded: Tensor = self.embed(roots)
        return embedded

    def _from_entities(self, near: Tensor, entities: Tensor, trees: TreeTensors) -> Tensor:
        told = torch.zeros_like(near)
        for index, kind in enumerate(self.kinds):
            rows, place = _members(trees.entity_kinds, index)
            ours = trees.entity_kinds[trees.named] == index
            edges = torch.stack([place[trees.named[ours]], trees.named_below[ours]])
            told = told + self.of_entities[kind]((entities[rows], near), edges)
        return told


def _members(entity_kinds: Tensor, kind: int) -> tuple[Tensor, Tensor]:
    """Which of (e) entities are of a kind, and for each of all (e) its place among these, if it is one."""
    rows = torch.nonzero(entity_kinds == kind).squeeze(-1)
    place = torch.zeros_like(entity_kinds)
    place[rows] = torch.arange(len(rows), device=rows.device)
    return rows, place


class Head(nn.Module):
    """Judges a transaction by its features and its entities' embeddings; small enough for every arrival."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.inputs + shape.extra + len(shape.kinds) * (shape.embedding + 1)
        self.judge = nn.Sequential(
            nn.Linear(width, shape.hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(shape.hidden, shape.hidden),
            nn.ReLU(), nn.Linear(shape.hidden, 1),
        )  # fmt: skip

    def forward(self, features: Tensor, embeddings: Tensor, named: Tensor) -> Tensor:
        """(n, inputs + extra), (n, kinds, embedding) and (n, kinds) flags to (n) log-odds."""
        judged: Tensor = self.judge(torch.cat([features, embeddings.flatten(1), named], dim=1))
        return judged.squeeze(-1)


class Network(nn.Module):
    """The encoder and the head, trained as one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.head = Head(shape)

    def forward(self, features: Tensor, named: Tensor, trees: TreeTensors) -> tuple[Tensor, Tensor]:
        """Log-odds (n) and the embeddings (n, kinds, embedding) that they rest on.

        ``named`` (n, kinds) flags which entities there are; the roots of ``trees`` are those, row by row.
        """
        embeddings = features.new_zeros(*named.shape, self.shape.embedding)
        embeddings[named > 0] = self.encoder(trees)
        return self.head(features, embeddings, named), embeddings


@torch.no_grad()
def strangers(network: Network) -> Tensor:
    """How entities without a past are embedded, by kind (kinds, embedding)."""
    shape = network.shape
    none, nothing = torch.zeros(0, dtype=torch.long), torch.zeros(0)
    told = torch.zeros(0, shape.inputs + KNOWN)
    kinds = torch.arange(len(shape.kinds))
    embedded: Tensor = network.encoder(
        TreeTensors(told, kinds, none, nothing, none, none, none, none, none, nothing, none)
    )
    return embedded
