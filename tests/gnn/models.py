"""Small models of trees, as `ringwatch train` would write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn.calibration import Calibration
from gnn.dataset import Dataset, own_features
from gnn.drift import Baseline
from gnn.models import Trees, feature_columns
from gnn.network_storage import save
from gnn.registry import open_registry
from gnn.storage import Scorer
from gnn.training import MOMENTS
from gnn.trees import fit_trees
from tests.gnn.histories import DAY_MS, bursts, dataset_of


def write_model(folder: Path, seed: int = 3) -> Path:
    """One that knows rings when it sees them, fitted to bursts."""
    dataset = dataset_of(bursts(seed, 2000), folder / "snapshot")
    return write_trees(dataset, dataset.fraud_by(int(dataset.times[-1]) + DAY_MS), folder / "model", seed)


def write_trees(dataset: Dataset, fraud: NDArray[np.bool_], model: Path, seed: int) -> Path:
    """Trees at both moments, fitted to all rows without features of labels, with a card."""
    features, rows = dataset.features, np.arange(len(dataset))
    for moment, later in MOMENTS.items():
        known = features.names_at(later=later)
        names = tuple(name for name in known if name not in features.label_names)
        booster = fit_trees(feature_columns(dataset, rows, names, later=later), fraud, names, seed)
        scorer = Scorer("labels", [Trees(booster, names, later)], Calibration(1, 0))
        save(scorer, model / moment, features, dataset.later_ms)
        own = own_features(dataset, rows, later=later)
        Baseline.of(scorer.score(dataset, rows), own, known).write(model / moment)
    card = {"snapshot_digest": "d", "complaint_days": 7, "learned_until": int(dataset.times[-1]), "moments": {}}
    (model / "card.json").write_text(json.dumps(card))
    return model


def promote(model: Path, registry: Path) -> str:
    """Register a model and have it used; returns its version's name."""
    models = open_registry(str(registry))
    name = models.register(model).name
    models.promote(name, reason="for a test", by="a test", at=1_700_000_000_000)
    return name
