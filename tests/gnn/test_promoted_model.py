"""Following the registry: what is taken up, and what is said, and when, while there is nothing to take up."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gnn.registry import Registry, open_registry
from graph.errors import ConfigurationError, Unavailable
from ringwatch.promoted_model import PromotedModel
from tests.gnn.models import promote
from tests.gnn.test_registry import model


class Clock:
    """Time, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["why"] for record in caplog.records if record.levelno == logging.WARNING]


def test_what_is_missing_is_said_once_and_again_when_something_else_is(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    models = tmp_path / "models"
    promoted = PromotedModel(open_registry(str(models)), tmp_path / "cache", clock)

    def ask() -> bool:
        answers = []
        for _ in range(3):
            answers.append(promoted.refresh())
            clock.pass_by(20)
        return any(answers)

    assert not ask()
    assert _warnings(caplog) == [f"no model is promoted in {models}"]
    name = promote(model(tmp_path / "model"), models)
    trees = models / "versions" / name / "files" / "arrival" / "trees-0.txt"
    trees.write_text("damaged")
    assert not ask()
    assert len(_warnings(caplog)) == 2
    assert "not what was registered" in _warnings(caplog)[1]
    trees.write_text("weights")
    assert ask()
    assert (promoted.version, promoted.trouble) == (name, None)
    assert len(_warnings(caplog)) == 2


def test_a_registry_that_is_away_takes_a_tenth_of_the_time_at_most(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(_: Registry) -> str:
        asked.append(clock.now)
        clock.pass_by(15)
        raise Unavailable(f"a timeout, for the {len(asked)}th time")

    monkeypatch.setattr(Registry, "promoted", away)
    promoted = PromotedModel(open_registry(str(tmp_path)), tmp_path / "cache", clock)
    for _ in range(1000):
        promoted.refresh()
        clock.pass_by(1)
    assert 2 < len(asked) <= clock.now / 150
    assert len(_warnings(caplog)) == 1


def test_a_bucket_without_credentials_is_trouble_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    promoted = PromotedModel(open_registry("gs://bucket/models"), tmp_path / "cache")
    assert not promoted.refresh()
    assert isinstance(promoted.trouble, ConfigurationError)
    assert "gs://bucket/models refuses" in str(promoted.trouble)
