"""``ringwatch train``: all contenders on a snapshot, the best of them as a model with its card.

What was labelled when is taken as it was. The latest part of the snapshot is measured on; what is learned from
ends so long before that complaints had time to come in, with the labels that were known when the measured part
began. A transaction of which nobody had complained by then is taken for honest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnn.card import Card, MomentCard, write_card
from gnn.checkpoints import Checkpoints
from gnn.contenders import (
    CONTENDERS,
    TREES,
    Field,
    Outcome,
    Split,
    best,
    compete,
    fit_now,
    outdone,
    probabilities,
)
from gnn.dataset import NEVER, Dataset, load_dataset, own_features
from gnn.drift import Baseline
from gnn.measures import is_kept_steep, measure, reliability
from gnn.network_storage import save
from gnn.recipe import Recipe
from gnn.storage import Scorer
from gnn.store import Store
from gnn.transfer import refuse_what_is_there
from graph.errors import ConfigurationError, ServiceError

#: The moments at which a transaction is scored, and the folders of their models.
MOMENTS = {"arrival": False, "later": True}

#: With fewer, what is measured is chance.
FEWEST_FRAUDS = 10

DAY_MS = 86_400_000

_TEST_SHARE = 0.2

#: Where less of the fraud was known in time, much of what is learned from as honest is not.
_LEAST_KNOWN = 0.5


def train(
    snapshot: Path,
    out: Path,
    *,
    complaint_days: int,
    seeds: Sequence[int],
    recipe: Recipe | None = None,
    trees_only: bool = False,
    checkpoints: Store | None = None,
    told: Callable[[str], None] = lambda _: None,
    warned: Callable[[str], None] = lambda _: None,
) -> Card:
    """Train on a snapshot and write the best contenders into a new folder, with their card; returns the card.

    A run that was cut off goes on from its ``checkpoints``, and ends with the same model. ``told`` hears what is
    being done, ``warned`` that complaints take longer than is assumed, that something does better than what is
    promoted, and that scores are no good probabilities.

    Raises:
        ConfigurationError: the snapshot is none or damaged, the folder has something in it, or there is too little
            known fraud to learn from or to measure on.
        ServiceError: the disk is full, say, or checkpoints cannot be reached.
    """
    refuse_what_is_there(out, "a model")
    dataset, manifest = load_dataset(snapshot)
    names = TREES if trees_only else tuple(CONTENDERS)
    split, fraud = labelled_split(dataset, complaint_days)
    waits = complaint_waits(dataset, split.train)
    known_in_time = float((waits <= complaint_days).mean())
    if known_in_time < _LEAST_KNOWN:
        warned(
            f"of {len(waits):,} frauds to learn from {known_in_time:.0%} were known within {complaint_days} days, "
            f"half of all after {np.median(waits):.0f}: try more --complaint-days"
        )
    recipe = recipe or Recipe()
    kept = checkpoints and Checkpoints(checkpoints, dataset, manifest.digest, recipe, complaint_days)
    cards = {}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".model-", dir=out.parent) as folder:
            for moment, later in MOMENTS.items():
                field = Field(dataset, fraud, split, recipe, later)
                fitted = partial(kept.fitted, moment) if kept else fit_now
                said = partial(_say, told, moment)
                outcomes = compete(field, seeds, said, fitted, names)
                scorer, cards[moment], baseline = _promoted(field, outcomes)
                if ahead := outdone(field, outcomes, scorer.contender):
                    warned(
                        f"{moment}: {' and '.join(ahead)} did better than {scorer.contender}, which is promoted"
                    )
                if is_kept_steep(scorer.calibration):
                    warned(
                        f"{moment}: the fraud among the validation rows hardly follows the scores, as when most "
                        "of it is one attack: their order is to be relied on, not that they are probabilities"
                    )
                save(scorer, Path(folder) / moment, dataset.features, dataset.later_ms)
                baseline.write(Path(folder) / moment)
            card = Card(
                snapshot=manifest,
                snapshot_digest=manifest.digest,
                complaint_days=complaint_days,
                learned_until=int(dataset.times[split.train[-1]]),
                measured_from=int(dataset.times[split.test[0]]),
                known_in_time=known_in_time,
                moments=cards,
            )
            write_card(card, Path(folder))
            out.mkdir(exist_ok=True)
            for path in Path(folder).iterdir():
                shutil.move(path, out / path.name)
    except OSError as error:
        raise ServiceError(f"the model cannot be written to {out}: {error.strerror or error}") from error
    return card


def _say(told: Callable[[str], None], moment: str, name: str) -> None:
    told(f"{moment}: {name}")


def complaint_waits(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Days until those of these transactions that were ever called fraud were called so for the first time."""
    accused = rows[dataset.fraud_known_at[rows] != NEVER]
    waits: NDArray[np.float64] = (dataset.fraud_known_at[accused] - dataset.times[accused]) / DAY_MS
    return waits


def labelled_split(dataset: Dataset, complaint_days: int) -> tuple[Split, NDArray[np.bool_]]:
    """Which rows are learned from and measured on, and what each is labelled (n).

    Raises:
        ConfigurationError: either part has hardly any fraud.
    """
    wait_ms = complaint_days * DAY_MS
    end = int(dataset.times[-1])
    mature = int(np.searchsorted(dataset.times, end - wait_ms, side="right"))
    begin = int((1 - _TEST_SHARE) * mature)
    if not 0 < begin < mature:
        raise ConfigurationError(f"the snapshot is shorter than the {complaint_days} days that complaints take")
    known = int(dataset.times[begin])
    train = np.arange(min(begin, int(np.searchsorted(dataset.times, known - wait_ms, side="right"))))
    test = np.arange(begin, mature)
    fraud = np.where(np.arange(len(dataset)) < begin, dataset.fraud_by(known), dataset.fraud_by(end))
    split = Split(train, test)
    parts = {"to learn from": split.learned, "to validate on": split.validated, "to measure on": split.test}
    for purpose, rows in parts.items():
        frauds = int(fraud[rows].sum())
        if min(frauds, len(rows) - frauds) < FEWEST_FRAUDS:
            raise ConfigurationError(
                f"of {len(rows):,} transactions {purpose} {frauds} are known to be fraud; "
                f"{FEWEST_FRAUDS} are needed, and as many that are not"
            )
    return split, fraud


def _promoted(field: Field, outcomes: dict[str, Outcome]) -> tuple[Scorer, MomentCard, Baseline]:
    tested = field.fraud[field.split.test]
    told = {name: probabilities(field, outcome) for name, outcome in outcomes.items()}
    name = best(field, outcomes)
    calibration, scores = told[name]
    card = MomentCard(
        promoted=name,
        calibration=calibration,
        contenders={contender: measure(tested, one) for contender, (_, one) in told.items()},
        reliability=reliability(tested, scores),
    )
    baseline = Baseline.of(scores, own_features(field.dataset, field.split.test, later=field.later), field.names)
    return Scorer(name, outcomes[name].models, calibration), card, baseline
