"""The commands beside ``run``, as their users type them, on the embedded engine."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from graph.embedded import embedded_engine
from queries.fixtures import FIXTURES_FOLDER
from queries.loader import RULES_FOLDER
from ringwatch.simulation import Simulation, write
from tests.worker import Ringwatch, read_lines

SMALL = 1_000


@pytest.fixture(scope="module")
def ringwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ringwatch]:
    """The command line in a folder whose graph has seen a simulated stream and one bad event."""
    folder = tmp_path_factory.mktemp("commands")
    write(Simulation(SMALL, 5, fraud_rate=0.1), folder)
    with (folder / "transactions.jsonl").open("a") as file:
        file.write('{"transaction_id": "bad", "event_time": "soon", "card": "c", "amount": 1}\n')
    # An engine that runs already is joined, which spares each command its start.
    with embedded_engine(f"embedded:{folder / '.ringwatch'}"), closing(Ringwatch(folder)) as commands:
        commands("run", "--source", "transactions.jsonl", "--alerts", "alerts.jsonl", "--report", "report.json")
        yield commands


def test_a_run_reports_what_it_did(ringwatch: Ringwatch) -> None:
    report = json.loads((ringwatch.folder / "report.json").read_text())
    assert report.keys() >= {"read", "accepted", "duplicates", "dead_lettered", "rings", "alerts", "seconds"}
    assert (report["read"], report["dead_lettered"]) == (report["accepted"] + report["duplicates"] + 1, 1)
    assert report["alerts"] == len(read_lines(ringwatch.folder / "alerts.jsonl")) > 0


def test_a_report_that_cannot_be_written_is_known_before_the_run(ringwatch: Ringwatch) -> None:
    said = ringwatch("run", "--source", "transactions.jsonl", "--report", "no/such/folder/r.json", code=2)
    assert said == "ringwatch: the report cannot be written to no/such/folder/r.json: No such file or directory\n"


def test_rings_are_listed_shown_and_exported(ringwatch: Ringwatch) -> None:
    ringwatch("rings", "export", "--out", "rings.jsonl")
    rings = read_lines(ringwatch.folder / "rings.jsonl")
    listed = ringwatch("rings", "list")
    for ring in rings:
        assert ring.keys() >= {"ring_id", "typologies", "severity", "status", "first_seen", "last_seen"}
        assert ring["members"]
        assert ring["transaction_ids"]
        assert ring["ring_id"] in listed
    assert json.loads(ringwatch("rings", "show", rings[0]["ring_id"])) == rings[0]
    with_device = next(ring for ring in rings if "device" in ring["members"])
    found = ringwatch("rings", "list", "--member", f"device:{with_device['members']['device'][0]}")
    assert with_device["ring_id"] in found
    assert "there are no rings" in ringwatch("rings", "list", "--member", "device:nobody's")
    assert "there is no ring r0" in ringwatch("rings", "show", "r0", code=1)
    assert "--member wants" in ringwatch("rings", "list", "--member", "hat:1", code=2)


def test_people_decide_about_rings(ringwatch: Ringwatch) -> None:
    ringwatch("rings", "export", "--out", "before.jsonl")
    ring_id = read_lines(ringwatch.folder / "before.jsonl")[-1]["ring_id"]
    judged = ("--reason", "two chargebacks", "--by", "ada")
    assert ringwatch("rings", "investigate", ring_id, *judged) == f"{ring_id} is investigating now\n"
    assert ringwatch("rings", "confirm", ring_id, *judged) == f"{ring_id} is confirmed now\n"
    shown = json.loads(ringwatch("rings", "show", ring_id))
    assert (shown["status"], shown["verdict"]) == ("confirmed", "confirmed")
    assert [(made["status"], made["by"]) for made in shown["history"]] == [
        ("investigating", "ada"),
        ("confirmed", "ada"),
    ]
    assert len(shown["confidences"]) == len(shown["transaction_ids"])
    assert max(part["confirmed"] for part in shown["risk"]["rules"]) == 1
    assert "confirmed" in ringwatch("rings", "list")
    assert ringwatch("rings", "reopen", ring_id, "--reason", "the wrong one") == f"{ring_id} is open now\n"
    assert ringwatch("rings", "dismiss", ring_id, *judged) == f"{ring_id} is dismissed now\n"
    said = ringwatch("rings", "dismiss", ring_id, *judged, code=1)
    assert said == f"ringwatch: {ring_id} is dismissed already\n"
    assert "--reason wants a word" in ringwatch("rings", "confirm", ring_id, "--reason", " ", code=2)
    assert "there is no ring r0" in ringwatch("rings", "confirm", "r0", *judged, code=1)


def test_a_dead_letter_comes_back_once_its_cause_is_mended(ringwatch: Ringwatch) -> None:
    (letter,) = ringwatch("dead-letters", "list").splitlines()
    _, reason, _, event = letter.split("\t")
    assert reason == "bad_time"
    assert '"soon"' in event
    (ringwatch.folder / "one.jsonl").write_text(
        '{"transaction_id": "x1", "event_time": "06/11/2025", "card": "c", "amount": 1}\n'
    )
    letters = ("--dead-letters", "one-letters.jsonl")
    assert "accepted 0" in ringwatch("run", "--source", "one.jsonl", *letters)
    position, *_ = ringwatch("dead-letters", "list", *letters).split("\t")
    assert "there is no dead letter at nowhere@1" in ringwatch("dead-letters", "replay", "nowhere@1", code=2)
    mended = ("--time-format", "%d/%m/%Y")
    assert "accepted 1," in ringwatch("dead-letters", "replay", position, *letters, *mended)


def test_what_is_gone_is_said_and_the_rest_comes_back(ringwatch: Ringwatch) -> None:
    letters = ("--dead-letters", "some-letters.jsonl")
    for name in ("gone", "kept"):
        (ringwatch.folder / f"{name}.jsonl").write_text(
            f'{{"transaction_id": "{name}", "when": "2025-11-06", "card": "c", "sum": 1}}\n'
        )
        ringwatch("run", "--source", f"{name}.jsonl", *letters)
    (ringwatch.folder / "gone.jsonl").unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:  # as the worker beside it has taken its port
        beside = Ringwatch(ringwatch.folder, RINGWATCH_TELEMETRY_PORT=str(taken.getsockname()[1]))
        replayed = beside("dead-letters", "replay", *letters, "--map", "event_time=when", "amount=sum")
    assert "gone.jsonl" in replayed
    assert replayed.count("is not there any more") == 1
    assert "accepted 1," in replayed


def test_nothing_set_aside_is_no_error(ringwatch: Ringwatch) -> None:
    assert "nothing has been set aside" in ringwatch("dead-letters", "list", "--graph", "embedded:empty")
    assert "cannot be read from nowhere.jsonl" in ringwatch(
        "dead-letters", "list", "--dead-letters", "nowhere.jsonl", code=2
    )


def test_a_name_in_the_map_that_no_event_has_is_told(ringwatch: Ringwatch) -> None:
    said = ringwatch("run", "--source", "transactions.jsonl", "--map", "device=dveice", "--group", "again")
    assert "no event has what --map names: dveice" in said
    assert "no event tells an account" not in said


def test_what_is_put_on_the_allow_list_holds_no_ring_together(ringwatch: Ringwatch) -> None:
    ringwatch("rings", "export", "--out", "rings.jsonl")
    shown = {ring["ring_id"]: ring for ring in read_lines(ringwatch.folder / "rings.jsonl")}
    ring = next(ring for ring in shown.values() if ring["typologies"] == ["triangulation"])
    (device,) = ring["members"]["device"]
    allowed = (f"device:{device}", "--reason", "a kiosk", "--owner", "shops")
    assert "--until" in ringwatch("allow", "add", *allowed, code=2)
    nobody = (*allowed[:-1], " ", "--until", "2098-12-31")
    assert "--owner want a word" in ringwatch("allow", "add", *nobody, code=2)
    assert "holds no ring together before 2099-01-01" in ringwatch(
        "allow", "add", *allowed, "--until", "2098-12-31"
    )
    forever = (f"device:{device}x", "--reason", "[/ops]", "--owner", "[x]", "--until", "9999-12-31")
    assert "before 9999-12-31" in ringwatch("allow", "add", *forever)
    assert "[/ops]" in ringwatch("allow", "list")
    ringwatch("allow", "remove", f"device:{device}x")
    listed = ringwatch("allow", "list")
    assert (device in listed, "a kiosk" in listed, "shops" in listed) == (True, True, True)
    ringwatch("run", "--source", "transactions.jsonl", "--alerts", "alerts.jsonl", "--group", "allowing")
    assert json.loads(ringwatch("rings", "show", ring["ring_id"]))["status"] == "withdrawn"
    last = [a for a in read_lines(ringwatch.folder / "alerts.jsonl") if a["data"]["ring_id"] == ring["ring_id"]][
        -1
    ]
    assert (last["type"], last["data"]["changes"]) == ("ringwatch.ring.withdrawn", ["allow_listed"])
    assert "what held the ring together was put on the allow-list" in last["data"]["reasons"]
    ringwatch("allow", "remove", f"device:{device}")
    assert "is not on the allow-list" in ringwatch("allow", "remove", f"device:{device}", code=1)
    assert "nothing is on the allow-list" in ringwatch("allow", "list")
    assert "KIND:VALUE wants" in ringwatch("allow", "remove", "hat:1", code=2)


def test_rules_are_listed_shown_checked_and_tested(ringwatch: Ringwatch) -> None:
    assert "account_takeover_fan_in" in ringwatch("rules", "list")
    shown = ringwatch("rules", "show", "card_testing")
    assert "UNWIND $anchors AS a" in shown
    assert "min_cards" in shown
    assert "there is no rule nonesuch" in ringwatch("rules", "show", "nonesuch", code=2)
    assert "0 failed" in ringwatch("rules", "test", "impossible_travel")
    own = ringwatch.folder / "own"
    (own / "fixtures").mkdir(parents=True)
    (ringwatch.folder / "own.toml").write_text('[rules]\nfolder = "own"\n')
    rule = (RULES_FOLDER / "ip_hopping.cypher").read_text().replace('id = "ip_hopping"', 'id = "mine"')
    (own / "mine.cypher").write_text(rule)
    assert "own/fixtures/mine.toml: missing" in ringwatch("rules", "test", "mine", "--config", "own.toml", code=2)
    shutil.copy(FIXTURES_FOLDER / "ip_hopping.toml", own / "fixtures" / "mine.toml")
    assert "0 failed" in ringwatch("rules", "test", "mine", "--config", "own.toml")
    said = ringwatch("rules", "test", "mine", "--config", "own.toml", "--graph", "embedded:.ringwatch", code=2)
    assert "a test of rules writes: name an empty graph" in said
    assert "your rules on this graph" in ringwatch("doctor", "--config", "own.toml")
    (own / "mine.cypher").write_text(
        rule.replace("UNWIND $anchors AS a", "MERGE (n:New) WITH n UNWIND $anchors AS a")
    )
    assert "writes, or calls a procedure" in ringwatch("doctor", "--config", "own.toml", code=1)
    (own / "mine.cypher").write_text(rule)
    (ringwatch.folder / "spelled.toml").write_text("[rules.parameters.ip_hopping]\nwindow_ms = 3.6e6\n")
    assert "0 failed" in ringwatch("rules", "test", "ip_hopping", "--config", "spelled.toml")
    (ringwatch.folder / "spelled.toml").write_text("[rules.parameters.ip_hopping]\nmin_ips = 4.5\n")
    assert "must be a whole number" in ringwatch("rules", "list", "--config", "spelled.toml", code=2)
    shipped = str(RULES_FOLDER / "ip_hopping.cypher")
    assert "must be a whole number" in ringwatch("rules", "check", shipped, "--config", "spelled.toml", code=2)
    assert "card_testing: ok" in ringwatch("rules", "check")
    broken = ringwatch.folder / "broken.cypher"
    broken.write_text("MATCH (n) RETURN n")
    assert "broken.cypher" in ringwatch("rules", "check", str(broken), code=2)


def test_doctor_says_what_to_do(ringwatch: Ringwatch) -> None:
    assert "schema" in ringwatch("doctor")
    assert "there is no file nowhere.jsonl" in ringwatch("doctor", "--source", "nowhere.jsonl", code=1)
    (ringwatch.folder / "some.jsonl").touch()
    assert "1 file to read" in ringwatch("doctor", "--source", "some.jsonl")
    away = ringwatch("doctor", "--source", "kafka://127.0.0.1:1/transactions", code=1)
    assert "no broker answers at 127.0.0.1:1" in away
