"""Fixture files: how a story becomes transactions, and how findings are compared with what it expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.events import Entity, Label, Transaction
from queries.fixtures import ORIGIN, Case, contradictions, load_fixtures
from queries.loader import RuleError
from queries.spec import Finding, Member


def story(**changes: object) -> Case:
    told: dict[str, object] = {
        "name": "fires",
        "expect": "fires",
        "shows": "something",
        "defaults": {"device": "d"},
        "transactions": [
            {"at": "1m", "id": "late", "card": "c"},
            {"at": "-1d", "every": "2h", "times": 3, "id": "t{n}", "card": "c{n}", "account_created": "-90d"},
        ],
        "members": ["core Device d", "member Card c"],
        "evidence": ["late"],
    }
    return Case(**(told | changes))  # type: ignore[arg-type]  # some are wrong on purpose


def transactions(case: Case, namespace: str = "") -> list[Transaction]:
    return [event for event in case.events(namespace) if isinstance(event, Transaction)]


def test_a_story_is_told_in_order_of_time() -> None:
    events = transactions(story())
    assert [event.transaction_id for event in events] == ["t0", "t1", "t2", "late"]
    assert [event.card for event in events] == ["hmac:c0", "hmac:c1", "hmac:c2", "hmac:c"]
    assert events[1].event_time == ORIGIN - 22 * 3_600_000
    assert events[1].account_created == ORIGIN - 90 * 86_400_000
    assert {event.device for event in events} == {"d"}


def test_a_namespace_keeps_stories_apart() -> None:
    event = transactions(story(), "x/")[-1]
    assert (event.transaction_id, event.card, event.device) == ("x/late", "hmac:x/c", "x/d")


def test_a_story_tells_labels_too() -> None:
    told = [
        {"at": "1d", "every": "1d", "times": 2, "verdict": "fraud", "of": "t{n}"},
        {"at": "30s", "verdict": "legitimate", "card": "c", "source": "analyst"},
    ]
    first, *others = [event for event in story(labels=told).events("x/") if isinstance(event, Label)]
    assert first == Label(
        subject=Entity("Card", "hmac:x/c"), verdict="legitimate", source="analyst", time=ORIGIN + 30_000
    )
    assert [(one.subject, one.verdict, one.source) for one in others] == [
        (Entity("Transaction", f"x/t{n}"), "fraud", "chargeback") for n in range(2)
    ]
    assert others[1].time == ORIGIN + 2 * 86_400_000


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a time"):
        story(transactions=[{"at": "soon", "card": "c"}]).events()


def test_a_story_that_fires_says_what_is_found() -> None:
    with pytest.raises(ValueError, match="lists members and evidence"):
        story(members=[])
    with pytest.raises(ValueError, match="lists members and evidence"):
        story(expect="quiet")


def found(*members: Member, evidence: tuple[str, ...]) -> Finding:
    return Finding("r", 1, "low", Entity("Device", "x/d"), 0, ("x/d",), members, evidence)


def test_findings_are_compared_with_what_is_expected() -> None:
    core = Member("Device", "x/d", "core")
    right = found(core, Member("Card", "hmac:x/c", "member"), evidence=("x/late",))
    assert contradictions(story(), [right], "x/") == []
    wrong = found(core, Member("Card", "hmac:x/other", "member"), evidence=("x/late", "x/t0"))
    assert contradictions(story(), [wrong], "x/") == [
        "missing members: member Card hmac:x/c",
        "unexpected members: member Card hmac:x/other",
        "unexpected evidence: x/t0",
    ]
    assert contradictions(story(), [], "x/")
    assert contradictions(story(expect="quiet", members=[], evidence=[]), [right], "x/")


@pytest.mark.parametrize("text", ["cases = 1", "[[cases]]\nname = 'x'", "[[cases]", ""])
def test_a_wrong_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RuleError, match=r"r\.toml"):
        load_fixtures("r", tmp_path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{ card = "c" }', "'at' is missing"),
        ('{ at = "1m" }', "'card' is missing"),
        ('{ at = "5 min", card = "c" }', "not a time"),
        ('{ at = "1m", card = "c", amount = 12.5 }', "amount"),
        ('{ at = "1m", card = "c", status = "ok" }', "status"),
    ],
)
def test_a_story_that_cannot_be_told_is_named(tmp_path: Path, row: str, said: str) -> None:
    case = f'name = "fires"\nexpect = "quiet"\nshows = "s"\ntransactions = [{row}]'
    (tmp_path / "mine.toml").write_text(f"[[cases]]\n{case}\n")
    with pytest.raises(RuleError, match="case 'fires'") as told:
        load_fixtures("mine", tmp_path)
    assert said in str(told.value)


def test_a_member_is_a_role_a_label_and_an_id() -> None:
    with pytest.raises(ValueError, match="not 'Device d'"):
        story(members=["Device d"])
