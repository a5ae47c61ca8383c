"""The models that compete on one split with the same labels: trees without and with the graph, networks, and both.

Every contender is first fitted without the latest part of the training rows and judged there; that decides about
epochs, calibration and who is promoted. Then it is fitted on all of them and measured on the test rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.features import ROW_FEATURES, count_feature
from gnn.learning import Learned, ask, learn
from gnn.measures import calibrated, gain
from gnn.models import Model, OneCount, Scores, Trees, feature_columns
from gnn.network_models import Blend, Net, TreesOnEmbeddings
from gnn.recipe import Recipe
from gnn.trees import fit_trees

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: What competes, and what each of them is.
CONTENDERS: Mapping[str, str] = {
    "one count": "the single windowed count that does best on the validation rows, as it is",
    "row": "trees on what a transaction says by itself",
    "aggregates": "trees on these and on what its entities did before",
    "labels": "trees on these and on what of that was known to be fraud",
    "embeddings": "trees on these and on a network's embeddings",
    "network": "the network",
    "blend": "the mean log-odds of the trees on labels and the network",
    "mlp": "ablation: the network's head alone, without a graph",
    "shuffled": "ablation: the network on a graph whose edges are shuffled",
}

#: Those that need no network.
TREES = ("one count", "row", "aggregates", "labels")

#: Those of which one is promoted, the simplest first: nothing of a verdict is a network's, what it knows of the
#: entities is, half of it, all of it.
SERVABLE = ("labels", "embeddings", "blend", "network")

#: Given a seed, a contender's name and how to fit it: the contender before and after validation.
Fitting = Callable[[int, str, Callable[[], tuple[Model, Model]]], tuple[Model, Model]]

_VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Which rows are learned from and which are measured on, both in the order of time."""

    train: Ints
    test: Ints

    @property
    def learned(self) -> Ints:
        """The training rows without those that are validated on."""
        return self.train[: len(self.train) - len(self.validated)]

    @property
    def validated(self) -> Ints:
        """The latest of the training rows."""
        return self.train[len(self.train) - round(_VALIDATION_SHARE * len(self.train)) :]


@dataclass(frozen=True)
class Field:
    """What all contenders are given. ``fraud`` (n) is looked at in training rows only."""

    dataset: Dataset
    fraud: Bools
    split: Split
    recipe: Recipe
    later: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The features that a transaction is judged by."""
        return tuple(self.dataset.features.names_at(later=self.later))


@dataclass(frozen=True)
class Outcome:
    """A contender's models by seed, fitted on all training rows, and its scores (seeds, validated or test).

    ``validated`` are those of models that had not learned from the validated rows.
    """

    models: list[Model]
    validated: Scores
    tested: Scores


def fit_now(_seed: int, _name: str, fit: Callable[[], tuple[Model, Model]]) -> tuple[Model, Model]:
    """Fit a contender, whatever there was before."""
    return fit()


def compete(
    field: Field,
    seeds: Sequence[int],
    told: Callable[[str], None] = lambda _: None,
    fitted: Fitting = fit_now,
    names: Collection[str] = tuple(CONTENDERS),
) -> dict[str, Outcome]:
    """Fit and ask contenders, once for each seed; ``told`` hears which one is at it.

    ``fitted`` fits one, or knows what that led to before.
    """
    found: dict[str, list[tuple[Model, Scores, Scores]]] = {name: [] for name in names}
    for seed in seeds:
        early: dict[str, Model] = {}
        final: dict[str, Model] = {}
        for name, fit, dataset in _contenders(field, seed):
            if name not in names:
                continue
            told(name)
            early[name], final[name] = fitted(seed, name, partial(fit, early, final))
            asked = (early[name], field.split.validated), (final[name], field.split.test)
            validated, tested = (model.score(dataset, rows) for model, rows in asked)
            found[name].append((final[name], validated, tested))
    return {
        name: Outcome(
            [model for model, _, _ in runs],
            np.stack([validated for _, validated, _ in runs]),
            np.stack([tested for _, _, tested in runs]),
        )
        for name, runs in found.items()
    }


def best(field: Field, outcomes: Mapping[str, Outcome]) -> str:
    """The simplest servable contender that none is ahead of beyond the noise, by the validated rows.

    Ahead is the one with the best average precision; the noise is that of :func:`gnn.measures.gain`. So pruned
    trees are chosen in Breiman et al., "Classification and Regression Trees" (1984), 3.4.3, where the noise is one
    standard error. Here it is 95 %, as in :mod:`gnn.challenge`: rings make it larger than it looks.
    """
    actual = field.fraud[field.split.validated]
    scores = {name: outcomes[name].validated.mean(axis=0) for name in SERVABLE if name in outcomes}
    ahead = max(scores, key=lambda name: average_precision_score(actual, scores[name]))
    return next(name for name in scores if name == ahead or gain(actual, scores[name], scores[ahead])[0] <= 0)


def outdone(field: Field, outcomes: Mapping[str, Outcome], promoted: str) -> list[str]:
    """Those that cannot be promoted and are ahead of what is, beyond the noise, by the validated rows."""
    actual = field.fraud[field.split.validated]
    own = outcomes[promoted].validated.mean(axis=0)
    others = {name: outcomes[name].validated.mean(axis=0) for name in outcomes if name not in SERVABLE}
    return [name for name, scores in others.items() if gain(actual, own, scores)[0] > 0]


def probabilities(field: Field, outcome: Outcome) -> tuple[Calibration, Scores]:
    """What an outcome's scores (the mean over seeds) mean by the validated rows, and so those of the test rows."""
    curve = calibrated(outcome.validated.mean(axis=0), field.fraud[field.split.validated])
    return curve, curve(outcome.tested.mean(axis=0))


_Fitted = dict[str, Model]
_Fit = Callable[[_Fitted, _Fitted], tuple[Model, Model]]


def _contenders(field: Field, seed: int) -> Iterator[tuple[str, _Fit, Dataset]]:
    """Name, how to fit it before and after validation (given what was fitted so far), and on which graph."""
    dataset = field.dataset
    labelled = set(dataset.features.label_names)
    yield "one count", lambda *_: (_one_count(field),) * 2, dataset
    tiers = {
        "row": tuple(ROW_FEATURES),
        "aggregates": tuple(name for name in field.names if name not in labelled),
        "labels": field.names,
    }
    for name, names in tiers.items():
        yield name, partial(_fit_trees, field, names, seed), dataset
    yield "embeddings", partial(_fit_on_embeddings, field, seed), dataset
    for name, graph in _graphs(dataset, seed).items():
        yield name, partial(_fit_network, replace(field, dataset=graph), seed), graph
    yield "blend", _blend, dataset


def _one_count(field: Field) -> OneCount:
    features = field.dataset.features
    prefix = "later_" if field.later else ""
    counts = [
        OneCount(prefix + count_feature(kind, measure, window), field.later)
        for kind in features.kinds
        for measure, window in features.counts(kind)
        if measure == "transactions"
    ]
    rows = field.split.validated
    return max(
        counts, key=lambda count: average_precision_score(field.fraud[rows], count.score(field.dataset, rows))
    )


def _fit_trees(field: Field, names: tuple[str, ...], seed: int, *_: _Fitted) -> tuple[Trees, Trees]:
    def fitted(rows: Ints) -> Trees:
        told = feature_columns(field.dataset, rows, names, later=field.later)
        return Trees(fit_trees(told, field.fraud[rows], names, seed), names, field.later)

    return fitted(field.split.learned), fitted(field.split.train)


def _fit_network(field: Field, seed: int, *_: _Fitted) -> tuple[Net, Net]:
    split, fraud = field.split, field.fraud
    early = learn(
        field.dataset, fraud, split.learned, field.recipe, seed, validate=split.validated, later=field.later
    )
    settled = replace(field.recipe, epochs=early.epochs)
    return Net(early), Net(learn(field.dataset, fraud, split.train, settled, seed, later=field.later))


def _fit_on_embeddings(field: Field, seed: int, *_: _Fitted) -> tuple[TreesOnEmbeddings, TreesOnEmbeddings]:
    """Trees on rows that their network has not learned from: it knows its own training rows by heart."""

    def fitted(rows: Ints) -> TreesOnEmbeddings:
        half = len(rows) // 2
        learned = _learned_on(field, rows[:half], seed)
        told = feature_columns(field.dataset, rows[half:], field.names, later=field.later)
        features = np.hstack([told, ask(field.dataset, learned, rows[half:])[1]])
        names = (*field.names, *(f"embedding_{one}" for one in range(features.shape[1] - told.shape[1])))
        booster = fit_trees(features, field.fraud[rows[half:]], names, seed)
        return TreesOnEmbeddings(Trees(booster, field.names, field.later), learned)

    return fitted(field.split.learned), fitted(field.split.train)


def _learned_on(field: Field, rows: Ints, seed: int) -> Learned:
    part = Split(rows, rows[:0])
    return learn(
        field.dataset, field.fraud, part.learned, field.recipe, seed, validate=part.validated, later=field.later
    )


def _graphs(dataset: Dataset, seed: int) -> dict[str, Dataset]:
    """The dataset with its own graph, with none, and with one whose edges are shuffled within each kind."""
    shuffled = np.random.default_rng(seed).permuted(dataset.nodes, axis=0)
    return {
        "network": dataset,
        "mlp": replace(dataset, nodes=np.full_like(dataset.nodes, -1)),
        "shuffled": replace(dataset, nodes=shuffled),
    }


def _blend(early: _Fitted, final: _Fitted) -> tuple[Blend, Blend]:
    first, second = (_blended(fitted["labels"], fitted["network"]) for fitted in (early, final))
    return first, second


def _blended(trees: Model, net: Model) -> Blend:
    assert isinstance(trees, Trees)
    assert isinstance(net, Net)
    return Blend(trees, net)
