"""``ringwatch report``: its output, before there is any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph.errors import ConfigurationError
from ringwatch.cli import app
from ringwatch.quality import report


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked(*_: object) -> Iterator[None]:
        raise AssertionError("it has begun")

    monkeypatch.setattr(report, "stand", worked)
    (tmp_path / "fraud_ecommerce_30k.csv.gz").touch()
    (tmp_path / "taken").touch()
    command = ["report", "quality", "--data", str(tmp_path), "--sets", "remix", "--out", str(tmp_path / "taken")]
    with pytest.raises(ConfigurationError, match=r"cannot be written to .*taken: File exists"):
        CliRunner().invoke(app, command, catch_exceptions=False)
