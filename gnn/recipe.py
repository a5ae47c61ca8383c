"""How a network is trained and how large it is: what is known of one before there is one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    ``pass_ms`` is how often the graph is passed over: entities are seen as they were at the last pass before a
    transaction, in training as in service. ``honest_per_fraud`` thins the majority, anew in each epoch.
    """

    fan_out: tuple[int, int] = (16, 4)
    hidden: int = 64
    embedding: int = 16
    epochs: int = 10
    patience: int = 3
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    honest_per_fraud: int = 10
    pass_ms: int = 60_000


@dataclass(frozen=True)
class Shape:
    """Sizes of a network: ``inputs`` features of a transaction at arrival, ``extra`` ones for its judge only."""

    kinds: tuple[str, ...]
    inputs: int
    extra: int = 0
    hidden: int = 64
    embedding: int = 16
