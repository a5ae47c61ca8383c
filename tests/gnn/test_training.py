"""Training on a small history with rings that can be learned: the model, its card, and what it is held against."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

import ringwatch
from gnn.card import Card, write_card
from gnn.contenders import CONTENDERS, SERVABLE, Field, Outcome, best, outdone
from gnn.dataset import Dataset, load_dataset
from gnn.learning import ask, learn
from gnn.measures import calibrated, gain, is_kept_steep, measure, reliability
from gnn.recipe import Recipe
from gnn.snapshot import write_snapshot
from gnn.storage import load
from gnn.training import MOMENTS, labelled_split, train
from graph.errors import ConfigurationError
from ringwatch.cli import app
from tests.gnn.histories import DAY_MS, START, bursts, dataset_of, label

RECIPE = Recipe(epochs=2, hidden=16, embedding=4, fan_out=(6, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("training")
    write_snapshot(*bursts(3, 2400), folder / "snapshot", origin="test")
    return folder


@pytest.fixture(scope="module")
def card(folder: Path) -> Card:
    return train(folder / "snapshot", folder / "model", complaint_days=2, seeds=[0, 1], recipe=RECIPE)


def test_the_graph_tells_what_a_payment_by_itself_does_not(card: Card) -> None:
    for moment in MOMENTS:
        told = card.moments[moment]
        assert set(told.contenders) == set(CONTENDERS)
        assert told.promoted in SERVABLE
        by_itself, best = told.contenders["row"], told.contenders[told.promoted]
        assert best.average_precision > by_itself.average_precision + 0.2
    # The first payment of a ring looks like anybody's when it arrives, and no longer when the others have come.
    at_arrival, later = (card.moments[moment].contenders["labels"].average_precision for moment in MOMENTS)
    assert later > at_arrival


def test_what_is_measured_on_is_not_learned_from(folder: Path) -> None:
    """Where times are dates, many payments are of the moment at which the measured part begins."""
    dataset, _ = load_dataset(folder / "snapshot")
    by_day = dataclasses.replace(dataset, times=dataset.times // DAY_MS * DAY_MS)
    split, _ = labelled_split(by_day, 0)
    assert split.train[-1] < split.test[0]


def test_one_kind_alone_is_too_little_to_learn_from(folder: Path) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    accused = dataclasses.replace(dataset, fraud_known_at=dataset.times + 1)
    with pytest.raises(ConfigurationError, match="10 are needed, and as many that are not"):
        labelled_split(accused, 2)


def test_a_network_learns_what_its_entities_did(card: Card) -> None:
    told = card.moments["later"].contenders
    assert told["network"].average_precision > told["row"].average_precision + 0.2


@pytest.mark.parametrize(
    ("seen", "promoted"),
    [
        ({"labels": 0.50, "embeddings": 0.52, "blend": 0.54, "network": 0.56}, "labels"),
        ({"labels": 0.2, "embeddings": 0.50, "blend": 0.53, "network": 0.56}, "embeddings"),
        ({"labels": 0.2, "embeddings": 0.2, "blend": 0.50, "network": 0.56}, "blend"),
        ({"labels": 0.2, "embeddings": 0.2, "blend": 0.2, "network": 0.9}, "network"),
        ({"labels": 0.9, "embeddings": 0.2, "blend": 0.2, "network": 0.2}, "labels"),
        ({"labels": 0.2, "mlp": 0.9}, "labels"),
    ],
)
def test_the_simplest_is_promoted_unless_another_is_ahead_beyond_the_noise(
    folder: Path, seen: dict[str, float], promoted: str
) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    field = Field(dataset, fraud, split, RECIPE, later=False)
    rng = np.random.default_rng(0)
    noise, luck = rng.uniform(size=(2, len(split.validated)))

    def outcome(share: float) -> Outcome:
        """Scores that see so large a share of the frauds, and are chance otherwise."""
        scores = np.where(fraud[split.validated] & (luck < share), 1.0, 0.9 * noise)[None]
        return Outcome([], scores, scores)

    assert best(field, {name: outcome(share) for name, share in reversed(seen.items())}) == promoted


def test_what_does_better_than_what_is_promoted_and_cannot_be_is_named(folder: Path) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    field = Field(dataset, fraud, split, RECIPE, later=False)
    actual = fraud[split.validated]
    noise = np.random.default_rng(0).uniform(size=len(actual))
    outcomes = {
        name: Outcome([], (share * actual + noise)[None], noise[None])
        for name, share in {"one count": 0.9, "row": 0.3, "labels": 0.3, "network": 0.9}.items()
    }
    assert outdone(field, outcomes, "labels") == ["one count"]
    assert outdone(field, outcomes, "network") == []


def test_a_gain_is_nothing_beside_oneself_and_beyond_the_noise_where_it_is_large() -> None:
    rng = np.random.default_rng(0)
    fraud = rng.uniform(size=1000) < 0.1
    blind, seeing = rng.uniform(size=1000), np.where(fraud, 0.8, 0.2) + rng.uniform(0, 0.5, 1000)
    assert gain(fraud, blind, blind) == (0, 0)
    low, high = gain(fraud, blind, seeing)
    assert 0.5 < low < high < 1
    assert gain(fraud, seeing, blind) == pytest.approx((-high, -low))


def test_two_devices_learn_what_one_does(folder: Path) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    odds: list[NDArray[np.float64]] = []
    for devices in (1, 2):
        learned = learn(dataset, fraud, split.learned, RECIPE, 0, validate=split.validated, devices=devices)
        odds.append(ask(dataset, learned, split.test)[0])
    # Not the same to the bit: what is dropped out while learning differs.
    assert np.asarray(np.corrcoef(odds))[0, 1] > 0.98
    alone, together = (average_precision_score(fraud[split.test], one) for one in odds)
    assert abs(alone - together) < 0.05


@pytest.mark.filterwarnings("error:No positive class")
def test_without_fraud_to_judge_epochs_by_all_of_them_are_gone_through(folder: Path) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    honest = split.validated[~fraud[split.validated]]
    assert learn(dataset, fraud, split.learned, RECIPE, 0, validate=honest).epochs == RECIPE.epochs


def test_what_is_stored_says_the_same(folder: Path, card: Card) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    for moment, told in card.moments.items():
        scores = load(folder / "model" / moment).score(dataset, split.test)
        again = measure(fraud[split.test], scores)
        assert again == told.contenders[told.promoted]


def test_the_card_is_there_for_people_and_programs(folder: Path, card: Card) -> None:
    text = (folder / "model" / "card.md").read_text()
    for name in CONTENDERS:
        assert f"| {name} |" in text
    assert text.count("The curve that makes probabilities of the promoted one's scores has slope") == len(MOMENTS)
    told = json.loads((folder / "model" / "card.json").read_text())
    assert told["snapshot_digest"] == card.snapshot_digest
    for moment in MOMENTS:
        assert (folder / "model" / f"reliability-{moment}.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_of_the_model_that_is_shipped_is_what_would_be_written_now(tmp_path: Path) -> None:
    shipped = Path(ringwatch.__file__).parent / "demo_model"
    write_card(msgspec.json.decode((shipped / "card.json").read_bytes(), type=Card), tmp_path)
    for name in ("card.json", "card.md"):
        assert (tmp_path / name).read_text() == (shipped / name).read_text()


def test_a_damaged_model_is_refused(folder: Path, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no model"):
        load(tmp_path)
    (tmp_path / "part.json").write_text((folder / "model" / "arrival" / "part.json").read_text())
    with pytest.raises(ConfigurationError, match="holds no model"):
        load(tmp_path)


def test_a_model_is_never_overwritten(folder: Path, card: Card) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        train(folder / "snapshot", folder / "model", complaint_days=2, seeds=[0], recipe=RECIPE)


def test_labels_count_only_once_they_are_known(folder: Path) -> None:
    dataset, _ = load_dataset(folder / "snapshot")
    split, fraud = labelled_split(dataset, 2)
    begin = int(dataset.times[split.test[0]])
    assert dataset.times[split.train[-1]] <= begin - 2 * DAY_MS
    assert (dataset.fraud_known_at[split.train][fraud[split.train]] <= begin).all()
    assert dataset.times[split.test[-1]] <= dataset.times[-1] - 2 * DAY_MS


def test_it_is_said_where_complaints_take_longer_than_is_assumed(tmp_path: Path) -> None:
    transactions, labels = bursts(3, 1600)
    # Every third fraud is known after a day, the others only after nine.
    late = [
        one if place % 3 == 0 else replace(one, time=one.time + 8 * DAY_MS) for place, one in enumerate(labels)
    ]
    write_snapshot(transactions, late, tmp_path / "snapshot", origin="test")

    def trained(complaint_days: int) -> tuple[str, Card, str]:
        out = tmp_path / f"model-{complaint_days}"
        command = ["train", "--snapshot", str(tmp_path / "snapshot"), "--out", str(out), "--seeds", "1"]
        done = CliRunner().invoke(
            app, [*command, "--trees-only", "--complaint-days", str(complaint_days)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        card = msgspec.json.decode((out / "card.json").read_bytes(), type=Card)
        return done.stderr, card, (out / "card.md").read_text()

    said, card, text = trained(2)
    [warning] = [line for line in said.splitlines() if "complaint-days" in line]
    assert "arrival: the fraud among the validation rows hardly follows the scores" in said
    assert "33% were known within 2 days, half of all after 9" in warning
    assert card.known_in_time == pytest.approx(1 / 3, abs=0.02)
    assert "33% were known within 2 days" in text
    assert "slope 0.50, its limit" in text
    said, card, text = trained(9)
    assert "warning" not in said
    assert card.known_in_time == 1
    assert "100% were known within 9 days" in text


def test_too_little_fraud_is_said(tmp_path: Path) -> None:
    transactions, _ = bursts(1, 200)
    dataset = dataset_of((transactions, [label("h1", True, START + 61 * DAY_MS)]), tmp_path / "s")
    with pytest.raises(ConfigurationError, match="known to be fraud; 10 are needed"):
        labelled_split(dataset, 2)


def test_calibration_makes_probabilities_of_scores_and_keeps_their_order() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.01, 0.6, 20_000)
    fraud = rng.uniform(size=len(truth)) < truth
    odds = np.log(truth / (1 - truth))
    inflated = 1 / (1 + np.exp(-(0.5 * odds + 2)))
    curve = calibrated(inflated, fraud)
    assert not is_kept_steep(curve)
    told = curve(inflated)
    assert np.abs(told - truth).mean() < 0.02
    assert (np.argsort(told) == np.argsort(inflated)).all()
    for one in reliability(fraud, told):
        assert abs(one.foretold - one.came_true) < 0.08


def test_one_attack_that_scores_are_blind_to_does_not_make_them_all_the_same() -> None:
    rng = np.random.default_rng(0)
    scores = 1 / (1 + np.exp(-rng.normal(-7, 2, 20_000)))
    fraud = rng.uniform(size=len(scores)) < scores
    attack = np.full(3 * fraud.sum(), 1 / (1 + np.exp(8)))
    curve = calibrated(np.concatenate([scores, attack]), np.concatenate([fraud, np.full(len(attack), True)]))
    assert is_kept_steep(curve)
    told = curve(scores)
    assert told[fraud].mean() > 3 * told[~fraud].mean()


def test_measures_are_what_they_are_called() -> None:
    fraud = np.array([True, True] + [False] * 98)
    scores = np.linspace(1, 0, 100)
    told = measure(fraud, scores)
    assert told.average_precision == pytest.approx(1)
    assert [(at.recall, at.precision) for at in told.budgets] == [(0.5, 1.0), (1.0, 0.4)]
    upside_down = measure(fraud, scores[::-1].copy())
    assert upside_down.roc_auc == pytest.approx(0)


def test_a_dataset_is_as_long_as_its_history(folder: Path) -> None:
    dataset: Dataset = load_dataset(folder / "snapshot")[0]
    assert len(dataset) == len(dataset.arrival) == len(dataset.nodes)
