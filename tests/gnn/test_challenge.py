"""Champion against challenger: what wins, what does not, and what the command keeps of either."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from gnn.calibration import Calibration
from gnn.card import Card, MomentCard
from gnn.challenge import Comparison, Difference, compare, difference
from gnn.dataset import Dataset, load_dataset
from gnn.features import ROW_FEATURES
from gnn.manifest import Manifest
from gnn.measures import measure
from gnn.models import Trees, feature_columns
from gnn.network_storage import save
from gnn.registry import open_registry
from gnn.snapshot import write_snapshot
from gnn.storage import Scorer
from gnn.training import MOMENTS, labelled_split
from gnn.trees import fit_trees
from graph.errors import ConfigurationError
from ringwatch.cli import app
from tests.gnn.histories import bursts

COMPLAINT_DAYS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot, and two models that learned from it: one that sees what entities did, and one that does not."""
    folder: Path = tmp_path_factory.mktemp("challenge")
    write_snapshot(*bursts(5, 2400), folder / "snapshot", origin="test")
    dataset, manifest = load_dataset(folder / "snapshot")
    features = dataset.features
    fit(dataset, manifest, folder / "strong", tuple(features.names))
    fit(dataset, manifest, folder / "weak", tuple(ROW_FEATURES))
    return folder


def fit(dataset: Dataset, manifest: Manifest, out: Path, names: tuple[str, ...]) -> None:
    split, fraud = labelled_split(dataset, COMPLAINT_DAYS)
    cards = {}
    for moment, later in MOMENTS.items():
        booster = fit_trees(
            feature_columns(dataset, split.train, names, later=later), fraud[split.train], names, 0
        )
        scorer = Scorer("labels", [Trees(booster, names, later)], Calibration(1.0, 0.0))
        save(scorer, out / moment, dataset.features, dataset.later_ms)
        measured = measure(fraud[split.test], scorer.score(dataset, split.test))
        cards[moment] = MomentCard(promoted="labels", contenders={"labels": measured}, reliability=[])
    card = Card(
        snapshot=manifest,
        snapshot_digest=manifest.digest,
        complaint_days=COMPLAINT_DAYS,
        learned_until=int(dataset.times[split.train[-1]]),
        measured_from=int(dataset.times[split.test[0]]),
        moments=cards,
    )
    (out / "card.json").write_bytes(msgspec.json.encode(card))


def scores(strength: float, seed: int, fraud: np.ndarray) -> np.ndarray:
    return strength * fraud + np.random.default_rng(seed).normal(size=len(fraud))


def test_what_is_better_wins_and_noise_does_not() -> None:
    fraud = np.zeros(20_000, dtype=bool)
    fraud[:200] = True
    good, as_good, bad = scores(3.0, 1, fraud), scores(3.0, 2, fraud), scores(1.0, 3, fraud)
    assert difference(fraud, bad, good).interval[0] > 0
    assert difference(fraud, good, bad).interval[1] < 0
    low, high = difference(fraud, good, as_good).interval
    assert low < 0 < high
    assert difference(fraud, good, good).interval == (0, 0)


def test_who_loses_at_one_moment_does_not_win() -> None:
    def against(*intervals: tuple[float, float]) -> Comparison:
        moments = zip(MOMENTS, intervals, strict=True)
        return Comparison(0, 100, 50, {moment: Difference(0.5, 0.5, interval) for moment, interval in moments})

    assert against((0.1, 0.2), (-0.1, 0.1)).is_won
    assert not against((-0.1, 0.2), (-0.1, 0.1)).is_won
    assert not against((0.1, 0.2), (-0.2, -0.1)).is_won


def test_models_are_compared_on_what_is_new_to_both(folder: Path) -> None:
    found = compare(folder / "weak", folder / "strong", folder / "snapshot")
    dataset, manifest = load_dataset(folder / "snapshot")
    card = msgspec.json.decode((folder / "weak" / "card.json").read_bytes(), type=Card)
    end = manifest.last - COMPLAINT_DAYS * 86_400_000
    assert found.since == card.learned_until
    assert found.transactions == ((dataset.times > card.learned_until) & (dataset.times <= end)).sum()
    assert found.is_won
    assert not compare(folder / "strong", folder / "weak", folder / "snapshot").is_won


def test_too_little_that_is_new_is_said(folder: Path, tmp_path: Path) -> None:
    write_snapshot(*bursts(5, 200), tmp_path / "old", origin="test")
    with pytest.raises(ConfigurationError, match="new to both models"):
        compare(folder / "weak", folder / "strong", tmp_path / "old")


def test_what_no_worker_could_load_is_no_version(folder: Path, tmp_path: Path) -> None:
    model, models = tmp_path / "model", tmp_path / "models"
    for moment in ("arrival", "later"):
        shutil.copytree(folder / "weak", model, dirs_exist_ok=True)
        (spoilt,) = (model / moment).glob("trees-0.txt")
        spoilt.write_text("tree\n")
        with pytest.raises(ConfigurationError, match=f"{moment} holds no model that can be read"):
            CliRunner().invoke(
                app, ["models", "register", str(model), "--models", str(models)], catch_exceptions=False
            )
    assert open_registry(str(models)).versions() == []


def test_the_better_model_is_promoted_and_the_worse_declined(folder: Path, tmp_path: Path) -> None:
    models = ["--models", str(tmp_path / "models")]
    run = CliRunner()

    def told(*command: str, code: int = 0) -> str:
        done = run.invoke(app, ["models", *command, *models], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    weak, strong = (told("register", str(folder / name)).strip() for name in ("weak", "strong"))
    registry = open_registry(models[1])
    told("promote", weak)
    assert registry.promoted() == weak
    with pytest.raises(ConfigurationError, match="in use already"):
        told("promote", weak)
    told("promote", strong, "--snapshot", str(folder / "snapshot"), "--by", "somebody")
    assert registry.promoted() == strong
    assert f"{strong} stays in use" in told("promote", weak, "--snapshot", str(folder / "snapshot"), code=1)
    assert registry.promoted() == strong
    told("promote", weak, "--force", "--reason", "[x] is slow [/ops]")
    assert registry.promoted() == weak
    assert f"{strong} is in use again" in told("rollback", "--reason", "a mistake")
    actions = ["promoted", "promoted", "declined", "promoted", "rolled back"]
    assert [one.action for one in registry.history()] == actions
    decided = json.loads(told("show", strong))["decisions"]
    assert decided[0]["by"] == "somebody"
    assert "recall at 1%" in decided[0]["reason"]
    listed = told("list")
    assert weak in listed
    assert f"{strong} *" in listed
    assert "[x] is slow [/ops]" in listed


@pytest.mark.parametrize("options", [["--force"], [], ["--force", "--reason", "r", "--snapshot", "s"]])
def test_overruling_takes_a_reason_and_comparing_a_snapshot(
    folder: Path, tmp_path: Path, options: list[str]
) -> None:
    registry = open_registry(str(tmp_path / "models"))
    weak, strong = (registry.register(folder / name).name for name in ("weak", "strong"))
    registry.promote(weak, reason="the first", by=None, at=0)
    done = CliRunner().invoke(app, ["models", "promote", strong, "--models", str(tmp_path / "models"), *options])
    assert isinstance(done.exception, ConfigurationError)
    assert registry.promoted() == weak
