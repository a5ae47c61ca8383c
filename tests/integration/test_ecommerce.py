"""The main job on real input: the public e-commerce set, which knows users and devices, but no cards or merchants.

The set is not part of the repository; without it beside the project these tests are skipped.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import pytest

from tests.engines import on
from tests.worker import Ringwatch, shown_rings

DATA = Path(__file__).parents[3] / "shared" / "data" / "fraud_ecommerce_30k.csv.gz"
READING = (
    *("--sort", "--time-format", "%m/%d/%Y %H:%M"),
    *("--map", "transaction_id=user_id", "card=user_id", "account=user_id", "event_time=purchase_time"),
    *("amount=purchase_value", "device=device_id", "ip=ip_address", "account_created=signup_time"),
)

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.exists(), reason="the e-commerce set is not beside the project"),
]


@on("arcadedb")
def test_rings_hold_much_fraud_and_hardly_an_honest_purchase(ringwatch: Ringwatch) -> None:
    ringwatch("run", "--source", str(DATA), *READING, "--dead-letters", "bad.jsonl", "--report", "report.json")
    report = json.loads((ringwatch.folder / "report.json").read_text())
    assert (report["accepted"], report["dead_lettered"]) == (30_189, 1)
    assert "missing_field" in ringwatch("dead-letters", "list", "--dead-letters", "bad.jsonl")
    ringwatch("rings", "export", "--out", "rings.jsonl")
    rings = shown_rings(ringwatch.folder / "rings.jsonl")
    assert len(rings) == report["rings"]

    with gzip.open(DATA, "rt", encoding="utf-8-sig") as file:
        fraudulent = {row["user_id"]: row["class"] == "1" for row in csv.DictReader(file)}
    caught = [fraudulent[key] for ring in rings.values() for key in ring["transaction_ids"]]
    honest = caught.count(False)
    print(f"{sum(caught)} of {sum(fraudulent.values())} fraudulent purchases lie in a ring, {honest} honest ones")
    assert sum(caught) >= 0.3 * sum(fraudulent.values())
    assert honest <= 0.01 * len(caught)


@on("neo4j-5.26")
def test_neo4j_shows_the_rings_that_the_embedded_engine_shows(ringwatch: Ringwatch) -> None:
    with gzip.open(DATA, "rt", encoding="utf-8-sig") as file:
        header, *rows = file
    january = [row for row in rows if re.match(r"[^,]*,[^,]*,1/[1-4]/", row)]  # by when it was bought
    assert len(january) == 496
    (ringwatch.folder / "january.csv").write_text("".join([header, *january]))
    found = {}
    for engine, graph in (("neo4j", ()), ("embedded", ("--graph", "embedded:graph"))):
        ringwatch("run", "--source", "january.csv", *READING, "--alerts", f"{engine}.alerts.jsonl", *graph)
        ringwatch("rings", "export", "--out", f"{engine}.jsonl", *graph)
        found[engine] = shown_rings(ringwatch.folder / f"{engine}.jsonl")
    assert len(found["neo4j"]) > 40
    assert found["neo4j"] == found["embedded"]
