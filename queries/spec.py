"""The shape of a rule and of what it finds. An invalid rule cannot be constructed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from graph.events import Channel, Entity, Status, Transaction
from graph.schema import ENTITY_LABELS

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
RuleStatus = Literal["experimental", "test", "stable", "deprecated"]
#: Who found something: a rule, the search for dense blocks, a learned model.
Part = Literal["rule", "density", "model"]
Role = Literal["core", "member", "evidence", "measure", "fact"]
#: Counters of an entity that a gate may ask for.
GATE_COUNTERS = ("degree", "identifiers", "senders", "fraud_labels")
#: What a gate may ask of a touch: to be at most so long after the anchor was seen before.
GATE_GAP = "gap_ms"
Text = Annotated[str, msgspec.Meta(min_length=1)]

#: Names that a query's own arguments have.
_RESERVED = frozenset({"anchors", "lists", "query", "self"})


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold that a user may set, within bounds; ``meaning`` is one sentence with its unit."""

    default: int | float
    min: int | float
    max: int | float
    meaning: Text

    def __post_init__(self) -> None:
        if not self.min <= self.default <= self.max:
            raise ValueError(f"default {self.default} must lie within min {self.min} and max {self.max}")

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number, as Cypher wants for a range or a LIMIT."""
        return all(isinstance(value, int) for value in (self.default, self.min, self.max))


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One returned column.

    ``core`` and ``member`` columns hold entity ids (one, or a list) of ``label``; a core entity is what holds
    the ring together. ``evidence`` holds transaction ids. A ``measure`` is a number, said beside the parameter
    ``threshold`` in the words of ``means``; a ``fact`` is any other value worth keeping.
    """

    role: Role
    label: str | None = None
    threshold: str | None = None
    means: str | None = None

    def __post_init__(self) -> None:
        if (self.role in ("core", "member")) != (self.label in ENTITY_LABELS):
            raise ValueError(f"a core or member column, and no other, names a label out of {ENTITY_LABELS}")
        if (self.role == "measure") != (self.means is not None):
            raise ValueError("a measure, and no other column, says in 'means' what it measures")


class FalsePositive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An honest situation that looks alike, and the fixture that proves the rule stays quiet on it."""

    name: Text
    fixture: Text


class TouchedBy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a transaction has to be like for a rule to hold at its touch."""

    status: list[Status] | None = None
    channel: list[Channel] | None = None
    promotion: bool = False

    def fits(self, transaction: Transaction) -> bool:
        """Whether a transaction is like that."""
        return (
            (self.status is None or transaction.status in self.status)
            and (self.channel is None or transaction.channel in self.channel)
            and (not self.promotion or transaction.promotion is not None)
        )


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the TOML header of a rule file says; ``queries/rules/README.md`` explains each key."""

    id: Text
    title: Text
    version: Annotated[int, msgspec.Meta(ge=1)]
    status: RuleStatus
    severity: Severity
    anchor: list[str]
    gate: dict[str, str] = {}
    touch: TouchedBy | None = None
    reach: dict[str, list[str]] = {}
    identity: Annotated[list[str], msgspec.Meta(min_length=1)]
    returns: dict[str, Column]
    budget_ms: Annotated[int, msgspec.Meta(ge=1)]
    rationale: Text
    source: Text
    blind_spots: Text
    triage: Text
    false_positives: Annotated[list[FalsePositive], msgspec.Meta(min_length=1)]
    params: dict[str, Parameter]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.id):
            raise ValueError(f"id {self.id!r} must be lower_snake_case, like its file's name")
        if not self.anchor or (wrong := set(self.anchor) - set(ENTITY_LABELS)):
            raise ValueError(f"anchor must name labels out of {ENTITY_LABELS}, not {sorted(wrong)}")
        for counter, parameter in self.gate.items():
            if counter not in (*GATE_COUNTERS, GATE_GAP):
                raise ValueError(f"gate knows {', '.join(GATE_COUNTERS)} and {GATE_GAP}, not {counter!r}")
            if parameter not in self.params:
                raise ValueError(f"gate compares {counter} with {parameter!r}, which is not in [params]")
        for label, parameters in self.reach.items():
            if label not in self.anchor or not self.params.keys() >= set(parameters):
                raise ValueError(f"reach names an anchor and parameters of the rule, not {label!r}, {parameters}")
        if taken := _RESERVED & self.params.keys():
            raise ValueError(f"a parameter cannot be called {', '.join(sorted(taken))}")
        if (window := self.params.get("window_ms")) is None:
            raise ValueError("every rule looks back a bounded time: [params.window_ms] is missing")
        if not isinstance(window.default, int) or window.min < 1:
            raise ValueError("window_ms is a whole number of milliseconds, and its min at least 1")
        for name in self.identity:
            if name not in self.returns:
                raise ValueError(f"identity names {name!r}, which is not in [returns]")
        for name, column in self.returns.items():
            if column.threshold is not None and column.threshold not in self.params:
                raise ValueError(f"column {name!r} names threshold {column.threshold!r}, not in [params]")
        roles = {column.role for column in self.returns.values()}
        if lacking := {"core", "evidence"} - roles:
            raise ValueError(f"[returns] needs at least one column with role {sorted(lacking)}")


class Rule(msgspec.Struct, frozen=True):
    """A rule as it runs: its header, its Cypher body and the values of its parameters."""

    header: Header
    body: str
    parameters: dict[str, int | float]

    @property
    def id(self) -> str:
        """The permanent id, which is the file's stem."""
        return self.header.id

    @property
    def is_shadow(self) -> bool:
        """Whether it is only tried: it runs and is counted, and never alerts."""
        return self.header.status == "test"

    @property
    def window_ms(self) -> int:
        """How far before its touch a window begins, in milliseconds."""
        return int(self.parameters["window_ms"])

    def reach_ms(self, label: str) -> int:
        """How far back what happens at an anchor of a label can matter, in milliseconds."""
        names = ("window_ms", *self.header.reach.get(label, ()))
        return max(int(self.parameters[name]) for name in names)

    def with_parameters(self, values: Mapping[str, int | float]) -> Rule:
        """The same rule with some parameters set.

        Raises:
            ValueError: an unknown parameter, or a value outside its bounds.
        """
        parameters = dict(self.parameters)
        for name, value in values.items():
            if (spec := self.header.params.get(name)) is None:
                raise ValueError(f"rule {self.id} has no parameter {name!r}")
            if not spec.min <= value <= spec.max:
                raise ValueError(f"rule {self.id}: {name} = {value} lies outside {spec.min} … {spec.max}")
            if spec.is_whole and value != int(value):
                raise ValueError(f"rule {self.id}: {name} = {value} must be a whole number")
            parameters[name] = int(value) if spec.is_whole else value
        return msgspec.structs.replace(self, parameters=parameters)


class Member(msgspec.Struct, frozen=True, order=True):
    """An entity's part in a finding or a ring."""

    label: str
    id: str
    role: Literal["core", "member"]

    @property
    def entity(self) -> Entity:
        """The node it names."""
        return Entity(self.label, self.id)


class Measure(msgspec.Struct, frozen=True):
    """A measured value beside the threshold that it had to reach (``None``: merely informative)."""

    name: str
    value: int | float
    threshold: int | float | None
    means: str


class Finding(msgspec.Struct, frozen=True):
    """One rule that holds at one touch of one anchor.

    ``time`` is the touch, epoch ms; ``identity`` makes two findings of a rule the same; ``members`` and
    ``evidence`` (transaction ids) are sorted. ``burst`` says how far the busiest of the members, or of the edges
    between them, ran above its own past then (the MIDAS score; ``None`` where nobody looked), and ``part`` says
    which part of a ring's risk it is evidence for. ``notes`` say in words what measures cannot.
    """

    rule: str
    rule_version: int
    severity: Severity
    anchor: Entity
    time: int
    identity: tuple[str, ...]
    members: tuple[Member, ...]
    evidence: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    facts: dict[str, str | int | float | bool | None] = {}
    parameters: dict[str, int | float] = {}
    burst: float | None = None
    part: Part = "rule"
    notes: tuple[str, ...] = ()
