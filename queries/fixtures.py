"""Fixtures: small named stories, told as transactions, that say when a rule fires and when it stays quiet.

They are replayed through the real writer. One file per rule, ``fixtures/<rule id>.toml``::

    [[cases]]
    name = "fires"                      # also: near_miss, hub, and one per [[false_positives]] of the rule
    expect = "fires"                    # or "quiet"
    shows = "what this case proves, in one sentence"
    defaults = { device = "d", status = "declined" }
    transactions = [
        { at = "0m", id = "t1", card = "c1" },
        { at = "1m", every = "30s", times = 4, card = "n{n}" },     # {n} counts from 0
    ]
    labels = [{ at = "20d", verdict = "fraud", of = "t1" }]         # optional; or card = "c1", and a source
    members = ["core Device d", "member Card c1"]                   # of a case that fires: the union over
    evidence = ["t1"]                                               # its findings, and nothing else

Keys are the event's own. Times (``at``, ``every``, ``account_created``) are relative: a number with s, m, h or d.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from graph.driver import Graph
from graph.events import Entity, Event, Label, Transaction, time_of
from graph.writer import GraphWriter
from queries.loader import RuleError
from queries.runner import Runner, Touches
from queries.spec import Finding, Rule, Text

FIXTURES_FOLDER = Path(__file__).parent / "fixtures"

#: The moment "0s", epoch ms: twenty to an hour, so that stories of some minutes cross into the next hour.
ORIGIN = 1_800_002_400_000

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

#: Fields that hold the id of a transaction or of an entity, which every case has to itself.
_ID_FIELDS = (
    *("transaction_id", "original_transaction_id"),
    *("account", "billing_address", "counterparty", "device", "email"),
    *("ip", "merchant", "phone", "shipping_address"),
)


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One story and what the rule has to say of it."""

    name: Text
    expect: Literal["fires", "quiet"]
    shows: Text
    transactions: list[dict[str, Any]]
    labels: list[dict[str, Any]] = []
    defaults: dict[str, Any] = {}
    members: list[str] = []
    evidence: list[str] = []

    def __post_init__(self) -> None:
        if (self.expect == "fires") != bool(self.members and self.evidence):
            raise ValueError(f"case {self.name!r}: one that fires, and no other, lists members and evidence")
        if wrong := [member for member in self.members if len(member.split(" ", 2)) < 3]:
            raise ValueError(f"case {self.name!r}: a member is a role, a label and an id, not {wrong[0]!r}")

    def events(self, namespace: str = "") -> list[Event]:
        """The story's transactions and labels in order of time, every id beginning with ``namespace``."""
        rows = [row for told in self.transactions for row in _repeated({**self.defaults, **told})]
        events: list[Event] = [_transaction(row, index, namespace) for index, row in enumerate(rows, start=1)]
        events += [_label(row, namespace) for told in self.labels for row in _repeated(dict(told))]
        return sorted(events, key=time_of)


def load_fixtures(rule_id: str, folder: Path | None = None) -> list[Case]:
    """The cases of one rule.

    Raises:
        RuleError: there are none, or the file is wrong.
    """
    path = (folder or FIXTURES_FOLDER) / f"{rule_id}.toml"
    try:
        cases = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["cases"], list[Case])
    except FileNotFoundError as error:
        raise RuleError(f"{path}: missing; every rule has a fixture file") from error
    except KeyError as error:
        raise RuleError(f"{path}: has no [[cases]]") from error
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise RuleError(f"{path}: {error}") from error
    for case in cases:
        try:
            case.events()
        except KeyError as error:
            raise RuleError(f"{path}: case {case.name!r}: {error} is missing") from error
        except (TypeError, ValueError, msgspec.ValidationError) as error:
            raise RuleError(f"{path}: case {case.name!r}: {error}") from error
    return cases


def replay(case: Case, graph: Graph, rule: Rule, *, namespace: str = "", batch: int = 100) -> list[Finding]:
    """Tell the case's story to the writer batch by batch and run the rule after each, as the stream does.

    The graph must not hold these ids yet; ``namespace`` makes room for several replays.

    Raises:
        ServiceError: the rule failed.
    """
    return replay_events(case.events(namespace), graph, rule, batch=batch)


def replay_events(events: Sequence[Event], graph: Graph, rule: Rule, *, batch: int = 100) -> list[Finding]:
    """What the rule finds while these events are written, in the order given."""
    writer, runner = GraphWriter(graph), Runner(graph, [rule])
    findings: list[Finding] = []
    for start in range(0, len(events), batch):
        findings += runner.evaluate(rule, Touches.of(writer.write(events[start : start + batch])))
    return findings


def contradictions(case: Case, findings: list[Finding], namespace: str = "") -> list[str]:
    """How the findings of a replay differ from what the case expects (empty: they do not)."""
    if case.expect == "quiet":
        return [f"found {f.identity} at {f.time}: {f.measures}" for f in findings[:3]]
    members = {f"{member.role} {member.label} {member.id}" for f in findings for member in f.members}
    evidence = {transaction_id for f in findings for transaction_id in f.evidence}
    wanted_members = {_renamed(member, namespace) for member in case.members}
    wanted_evidence = {namespace + transaction_id for transaction_id in case.evidence}
    return [
        f"{word} {kind}: {', '.join(sorted(some))}"
        for kind, found, wanted in (
            ("members", members, wanted_members),
            ("evidence", evidence, wanted_evidence),
        )
        for word, some in (("missing", wanted - found), ("unexpected", found - wanted))
        if some
    ]


def _renamed(member: str, namespace: str) -> str:
    role, label, entity_id = member.split(" ", 2)
    return f"{role} {label} {_card(entity_id, namespace) if label == 'Card' else namespace + entity_id}"


def _card(name: str, namespace: str) -> str:
    return f"hmac:{namespace}{name}"


def _repeated(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    times, every = row.pop("times", 1), _milliseconds(row.pop("every", "0s"))
    start = ORIGIN + _milliseconds(row.pop("at"))
    for n in range(times):
        filled = {
            key: value.replace("{n}", str(n)) if isinstance(value, str) else value for key, value in row.items()
        }
        yield {**filled, "event_time": start + n * every}


def _transaction(row: dict[str, Any], index: int, namespace: str) -> Transaction:
    fields = {"amount": 2_500, "transaction_id": row.pop("id", f"#{index}"), **row}
    fields["card"] = _card(fields["card"], namespace)
    fields |= {name: namespace + fields[name] for name in _ID_FIELDS if name in fields}
    if "account_created" in fields:
        fields["account_created"] = ORIGIN + _milliseconds(fields["account_created"])
    return msgspec.convert({**fields, "digest": fields["transaction_id"]}, Transaction)


def _label(row: dict[str, Any], namespace: str) -> Label:
    """A label ``of`` a transaction, or of a card."""
    time, transaction = row.pop("event_time"), row.pop("of", None)
    subject = Entity("Transaction", f"{namespace}{transaction}")
    if transaction is None:
        subject = Entity("Card", _card(row.pop("card"), namespace))
    return msgspec.convert({"source": "chargeback", **row, "subject": subject, "time": time}, Label)


def _milliseconds(text: str) -> int:
    if (match := re.fullmatch(r"([+-]?\d+)([smhd])", text)) is None:
        raise ValueError(f"{text!r} is not a time such as +10m or -30d")
    return int(match[1]) * _UNITS_MS[match[2]]
