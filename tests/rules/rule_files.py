"""A small valid rule file for tests to spoil."""

from __future__ import annotations

from pathlib import Path

HEADER = """
id = "shared_device"
title = "Shared device"
version = 1
status = "experimental"
severity = "low"
anchor = ["Device"]
gate = { degree = "min_cards" }
identity = ["device"]
budget_ms = 50
rationale = "many cards on one device"
source = "none"
blind_spots = "none"
triage = "look at it"

[returns]
device = { role = "core", label = "Device" }
transactions = { role = "evidence" }
cards = { role = "measure", threshold = "min_cards", means = "cards on the device" }

[[false_positives]]
name = "a family"
fixture = "family"

[params.window_ms]
default = 3600000
min = 1
max = 86400000
meaning = "how far back the window reaches"

[params.min_cards]
default = 2
min = 1
max = 10
meaning = "distinct cards"
"""

BODY = """
UNWIND $anchors AS a
MATCH (d:Device {id: a.id})
UNWIND a.times AS time
CALL {
  WITH a, time
  UNWIND range((time - $window_ms) / 3600000, time / 3600000) AS hour
  MATCH (t:Transaction {device_hour: a.id + '|' + toString(hour)})<-[:MADE]-(c:Card)
  WHERE t.time > time - $window_ms AND t.time <= time
  WITH c, t ORDER BY t.time DESC, t.id LIMIT 100
  RETURN count(DISTINCT c) AS cards, collect(t.id) AS transactions
}
WITH a, time, cards, transactions
WHERE cards >= $min_cards
RETURN a.label AS anchor_label, a.id AS anchor, time, a.id AS device, cards, transactions;
"""


def write_rule(folder: Path, header: str = HEADER, body: str = BODY, *, name: str = "shared_device") -> Path:
    """The rule as a file; its header and body as given."""
    path = folder / f"{name}.cypher"
    path.write_text(f"/*{header}*/{body}", encoding="utf-8")
    return path
