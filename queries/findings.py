"""Turns what a rule's Cypher returned into findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graph.driver import Row
from graph.errors import ServiceError
from graph.events import Entity
from queries.spec import Finding, Measure, Member, Role, Rule

#: What every rule returns beside its own columns: which anchor, and the touch at which the rule holds.
ANCHOR_COLUMNS = ("anchor_label", "anchor", "time")

_SCALARS = (str, int, float, bool, type(None))

#: How lengths of time are told, in milliseconds.
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def finding_of(rule: Rule, row: Row) -> Finding:
    """The finding that one returned row says.

    Raises:
        ServiceError: the row lacks a column, has one too many, has in one what cannot be there, or leaves its
            core, evidence or identity empty.
    """
    wanted = {*ANCHOR_COLUMNS, *rule.header.returns}
    if row.keys() != wanted:
        raise ServiceError(f"rule {rule.id} returned columns {sorted(row)} instead of {sorted(wanted)}")
    for name, value in row.items():
        if (lacking := _wrong(rule, name, value)) is not None:
            raise ServiceError(f"rule {rule.id} returned {type(value).__name__} as {name!r}: {lacking}")
    evidence = tuple(sorted({value for _, value in _values(rule, row, "evidence")}))
    core = _members(rule, row, "core")
    identity = tuple(_identity(row[name]) for name in rule.header.identity)
    if not (core and evidence and any(identity)):
        raise ServiceError(f"rule {rule.id} returned a row without core, evidence or identity")
    return Finding(
        rule=rule.id,
        rule_version=rule.header.version,
        severity=rule.header.severity,
        anchor=Entity(row["anchor_label"], row["anchor"]),
        time=row["time"],
        identity=identity,
        members=tuple(sorted(core | _members(rule, row, "member"))),
        evidence=evidence,
        measures=tuple(
            Measure(
                name, row[name], rule.parameters.get(column.threshold or ""), _worded(column.means or "", rule)
            )
            for name, column in rule.header.returns.items()
            if column.role == "measure"
        ),
        facts={name: row[name] for name, column in rule.header.returns.items() if column.role == "fact"},
        parameters=rule.parameters,
    )


def _wrong(rule: Rule, name: str, value: Any) -> str | None:
    """What a column has to hold, where it holds something else."""
    column = rule.header.returns.get(name)
    role = column.role if column is not None else name
    parts = value if isinstance(value, list) else [value]
    if role in ("core", "member", "evidence"):
        return None if all(part is None or isinstance(part, str) for part in parts) else "an id, or a list of ids"
    if role in ("anchor_label", "anchor"):
        return None if isinstance(value, str) else "text"
    if role in ("time", "measure"):
        kind = int if role == "time" else (int, float)
        return None if isinstance(value, kind) and not isinstance(value, bool) else "a number"
    return None if isinstance(value, _SCALARS) else "a value"


def _members(rule: Rule, row: Row, role: Any) -> set[Member]:
    return {Member(label or "", value, role) for label, value in _values(rule, row, role)}


def _values(rule: Rule, row: Row, role: Role) -> Iterator[tuple[str | None, str]]:
    """The ids in the columns of one role, as (label, id); a column holds one id or a list, nulls left out."""
    for name, column in rule.header.returns.items():
        if column.role == role:
            held = row[name] if isinstance(row[name], list) else [row[name]]
            yield from ((column.label, value) for value in held if value is not None)


def _worded(means: str, rule: Rule) -> str:
    """What a measure means, with the values of the parameters that it names."""
    windowed = means.replace("in the window", "within window_ms")
    return re.sub(r"\w+", lambda word: _value(word[0], rule.parameters), windowed)


def _value(word: str, parameters: Mapping[str, float]) -> str:
    value = parameters.get(word)
    if value is None:
        return word
    if not word.endswith("_ms"):
        return f"{value:g}"
    unit, length = next(((unit, ms) for unit, ms in _UNITS if value >= ms), _UNITS[-1])
    return f"{value / length:g}{unit}"


def _identity(value: Any) -> str:
    """One identity column as text; a list stands for the set of what it holds."""
    if isinstance(value, list):
        return "|".join(sorted(str(part) for part in set(value)))
    return "" if value is None else str(value)
