"""The main job on real input: the public e-commerce set, which knows users and devices, but no cards or merchants.

The set is not part of the repository; without it beside the project these tests are skipped.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker import Ringwatch, shown_rings

DATA = Path(__file__).parents[3] / "shared" / "data" / "fraud_ecommerce_30k.csv.gz"
COLUMNS = (
    *("transaction_id=user_id", "card=user_id", "account=user_id", "event_time=purchase_time"),
    *("amount=purchase_value", "device=device_id", "ip=ip_address", "account_created=signup_time"),
)

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.exists(), reason="the e-commerce set is not beside the project"),
]


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    """The rings by engine, as far as it has been run."""
    return {}


def test_the_same_rings_on_every_engine_and_hardly_an_honest_purchase_in_them(
    ringwatch: Ringwatch, engine_name: str, seen: dict[str, dict[str, Any]]
) -> None:
    reading = ("--sort", "--time-format", "%m/%d/%Y %H:%M", "--map", *COLUMNS)
    ringwatch("run", "--source", str(DATA), *reading, "--dead-letters", "bad.jsonl", "--report", "report.json")
    report = json.loads((ringwatch.folder / "report.json").read_text())
    assert (report["accepted"], report["dead_lettered"]) == (30_189, 1)
    assert "missing_field" in ringwatch("dead-letters", "list", "--dead-letters", "bad.jsonl")
    ringwatch("rings", "export", "--out", "rings.jsonl")
    rings = seen[engine_name] = shown_rings(ringwatch.folder / "rings.jsonl")
    assert len(rings) == report["rings"]
    assert rings == next(iter(seen.values()))

    with gzip.open(DATA, "rt", encoding="utf-8-sig") as file:
        fraudulent = {row["user_id"]: row["class"] == "1" for row in csv.DictReader(file)}
    caught = [fraudulent[key] for ring in rings.values() for key in ring["transaction_ids"]]
    honest = caught.count(False)
    print(f"{sum(caught)} of {sum(fraudulent.values())} fraudulent purchases lie in a ring, {honest} honest ones")
    assert sum(caught) >= 0.3 * sum(fraudulent.values())
    assert honest <= 0.01 * len(caught)
