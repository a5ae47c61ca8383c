"""An alert says the ring as it stands, and keeps to its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from graph.events import Entity
from queries.spec import Measure
from streaming.alerts import AlertFactory, EntityFacts
from streaming.ring_state import Change, Fact, Update
from streaming.rings import RingBook
from streaming.risk import Calibration
from tests.findings import DAY, HOUR, SETTINGS, finding, taken

SCHEMA = json.loads((Path(__file__).parents[2] / "streaming" / "alert.schema.json").read_text())


def worded(update: Update) -> dict[str, Any]:
    factory = AlertFactory("a-graph", "bolt://graph.example:7687")
    facts = {Entity("Device", "d1"): EntityFacts(3, False)}
    alert: dict[str, Any] = json.loads(factory.alert(update, facts, Calibration(), "lane", 1).body)
    jsonschema.validate(alert, SCHEMA)
    return alert


def created() -> Update:
    measured = Measure("cards", 5, 4, "cards at the device")
    (update,) = taken(
        RingBook(SETTINGS),
        msgspec.structs.replace(finding("d1", list("abc")), measures=(measured,), burst=0.5),
    )
    return update


def test_a_new_ring_keeps_to_the_schema_and_gives_its_reasons() -> None:
    data = worded(created())["data"]
    assert (data["schema_version"], data["verdict"], data["split_from"]) == (2, None, None)
    assert data["members"][0] == {"kind": "device", "id": "d1", "role": "core", "strength": 1.0}
    assert data["risk"]["rules"][0]["id"] == "device_farm"
    assert data["reasons"][0] == "device_farm: cards at the device: 5 (threshold 4)"
    assert data["reasons"][1].startswith("risk 0.")
    assert data["reasons"][-1] == "a new ring was found"
    assert "cmd=edit" in data["browser_url"]


@pytest.mark.parametrize("change", get_args(Change))
def test_every_change_has_words_and_a_place_in_the_schema(change: Change) -> None:
    update = created()
    update.changes = [change]
    alert = worded(update)
    assert alert["data"]["changes"] == [change]
    assert len(alert["data"]["reasons"]) == len(worded(created())["data"]["reasons"])


def test_an_alert_is_of_the_time_at_which_it_was_found_however_old_what_it_rests_on() -> None:
    book = RingBook(SETTINGS)
    book.facts.update({f"t-{card}": Fact(DAY, 100, "EUR", 0.9) for card in "abcdefgh"})
    (update,) = taken(book, finding("d1", list("abc"), time=50 * DAY))
    assert worded(update)["time"] == "1970-02-20T00:00:00.000Z"
    (update,) = taken(book, finding("d1", list("abcdefgh"), time=60 * DAY))
    alert = worded(update)
    assert update.changes == ["grown"]
    assert (alert["time"], alert["data"]["last_seen"]) == ("1970-03-02T00:00:00.000Z", "1970-01-02T00:00:00.000Z")


def test_what_nothing_new_prompts_is_of_the_time_at_which_it_is_told() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abc")))
    (update,) = taken(book, finding("d1", list("abcd"), time=2 * DAY))
    assert not update.changes
    book.expire(3 * DAY + SETTINGS.expiry_ms)
    (update,) = book.updates()
    assert update.changes == ["updated"]
    alert = worded(update)
    assert (alert["time"], alert["data"]["last_seen"]) == ("1970-02-03T00:00:00.000Z", "1970-01-03T00:00:00.000Z")


def test_a_part_that_split_off_says_from_whom() -> None:
    book = RingBook(SETTINGS)
    taken(book, finding("d1", list("abcde")), finding("d2", list("xyz"), time=DAY + 1))
    taken(book, finding("d3", list("abcxy"), time=DAY + 2))
    taken(book, finding("d1", list("abcde"), time=DAY + HOUR, suffix="2"))
    taken(book, finding("d2", list("xyz"), time=DAY + HOUR, suffix="2"))
    book.expire(DAY + 3 + SETTINGS.expiry_ms)
    update = next(update for update in book.updates() if update.changes == ["split"])
    alert = worded(update)
    assert alert["type"] == "ringwatch.ring.split"
    assert alert["data"]["split_from"] == update.ring.split_from is not None
