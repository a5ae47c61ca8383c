"""Checks a rule before it runs: by its header alone, and by what the database says of its plan.

Cypher is never parsed here, but for the names of its parameters and the words that write, which must not get as
far as a database (one of the engines runs what it is to explain): all else the database is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graph.driver import Graph
from graph.errors import ServiceError, Unavailable
from queries.findings import ANCHOR_COLUMNS
from queries.fixtures import Case
from queries.spec import Rule

#: Neo4j's operators that read without an anchor, or cross everything with everything.
_UNANCHORED = re.compile(r"NodesScan|Labels?Scan|RelationshipsScan|Types?Scan|IndexScan|SeekByRange|Cartesian")
_SEEK = re.compile(r"Index(Unique)?Seek")
_BOUND = re.compile(r"Limit|Top")
#: Single transactions; the aggregated relationships have one for each card, and a LIMIT bounds them.
_HISTORY = re.compile(r"<-\[\w*:(AT|ON|FROM|SHIPPED_TO|TO)\b")
_ANY_LENGTH = re.compile(r"\*(\d+\.\.)?\]|\{\d+, ?\*\}")

#: What is no code: comments, and quoted text and names.
_NO_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`", re.DOTALL)
_WRITING = re.compile(
    r"(?<![.$\w])(?:(?:CREATE|MERGE|SET|DELETE|REMOVE|FOREACH|DROP\s+(?:INDEX|CONSTRAINT)|LOAD\s+CSV)\b|CALL\s+\w[\w.]*\s*\()",
    re.IGNORECASE,
)
_PATH_OF_ANY_LENGTH = re.compile(r"\[[^\[\]]*\*\s*(?:\d+\s*\.\.)?\s*\]")
_LIMITED = re.compile(r"\bLIMIT\b", re.IGNORECASE)

#: ArcadeDB's lines. A step that was reached says which index it used; a subquery's own steps are not shown.
_ARCADE_MATCH = re.compile(r"\+ MATCH NODE \(\w*:\w+\)( \[index: )?")
_ARCADE_COLUMNS = re.compile(r"\+ FINAL PROJECTION \[([^\]]*)\]")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a rule, and what to change."""

    rule: str
    text: str

    def __str__(self) -> str:
        return self.text


def check(rule: Rule, graph: Graph | None = None) -> list[Problem]:
    """What is wrong with a rule; without a graph only what its text alone shows.

    Raises:
        Unavailable: the graph is away.
    """
    code = _NO_CODE.sub(" ", rule.body)
    texts = [*_parameters(rule), *_unbounded(code)]
    if words := sorted({" ".join(word.upper().split()) for word in _WRITING.findall(code)}):
        texts.append(f"writes, or calls a procedure: it has {', '.join(words)}")
    elif graph is not None:
        try:
            texts += _plan(rule, graph)
        except Unavailable:
            raise
        except ServiceError as error:
            texts.append(f"does not run on {graph.engine}: {error}")
    return [Problem(rule.id, text) for text in dict.fromkeys(texts)]


def check_fixtures(rule: Rule, cases: Sequence[Case]) -> list[Problem]:
    """Which fixtures a rule still needs: one that fires, a near miss, a hub, and every false positive."""
    by_name = {case.name: case for case in cases}
    wanted: dict[str, str | None] = {"fires": "fires", "near_miss": "quiet", "hub": None}
    wanted |= {false_positive.fixture: "quiet" for false_positive in rule.header.false_positives}
    texts = [f"case {name!r} is missing from its fixtures" for name in wanted if name not in by_name]
    texts += [
        f"case {name!r} must expect {expect!r}"
        for name, expect in wanted.items()
        if name in by_name and expect not in (None, by_name[name].expect)
    ]
    if len(by_name) < len(cases):
        texts.append("two cases of its fixtures have the same name")
    return [Problem(rule.id, text) for text in texts]


def _parameters(rule: Rule) -> Iterator[str]:
    declared = {*rule.header.params, "anchors"}
    used = set(re.findall(r"\$(\w+)", rule.body))
    for name in sorted(used - declared):
        yield f"uses ${name}: declare it in [params.{name}]"
    for name in sorted(declared - used):
        yield f"declares {name!r} and never uses ${name}"


def _unbounded(code: str) -> Iterator[str]:
    """What the words alone show to be without bound, whatever the engine."""
    if path := _PATH_OF_ANY_LENGTH.search(code):
        yield f"follows a path of any length: {path[0]}"
    if not _LIMITED.search(code):
        yield "has no LIMIT inside each anchor's part (inside CALL { WITH … })"


def _plan(rule: Rule, graph: Graph) -> Iterator[str]:
    graph.read(rule.body, anchors=[], **rule.parameters)  # what the engine refuses by itself ends here
    plan = graph.explain(rule.body, anchors=[], **rule.parameters)
    if plan is None:
        yield "is no query: the engine has no plan of it"
        return
    yield from (_arcadedb_plan if graph.engine == "arcadedb" else _neo4j_plan)(rule, graph, plan)


def _neo4j_plan(rule: Rule, _: Graph, plan: dict[str, Any]) -> Iterator[str]:
    yield from _columns(rule, plan["args"]["Details"])
    operators = list(_operators(plan))
    names = [name for name, _ in operators]
    yield from (f"is not anchored: its plan has {name}" for name in names if _UNANCHORED.search(name))
    yield from (
        f"follows a path of any length: {details}" for _, details in operators if _ANY_LENGTH.search(details)
    )
    yield from (
        f"expands an entity's whole history, {details}: seek its hours instead"
        for name, details in operators
        if "Expand(All)" in name and _HISTORY.search(details)
    )
    if not any(map(_SEEK.search, names)):
        yield "does not start from an index seek"
    if not any(_BOUND.search(name) for part in _anchored_parts(plan) for name, _ in _operators(part)):
        yield "has no LIMIT inside each anchor's part (inside CALL { WITH … })"


def _arcadedb_plan(rule: Rule, graph: Graph, plan: dict[str, Any]) -> Iterator[str]:
    text = plan["args"]["string-representation"]
    columns = _ARCADE_COLUMNS.search(text)
    yield from _columns(rule, columns[1] if columns else "")
    # This plan names an index only where a run has come by: an anchor that does not exist takes it far enough.
    anchors = [{"label": label, "id": "", "first": 0, "last": 0, "times": [0]} for label in rule.header.anchor]
    reached = graph.explain(rule.body, anchors=anchors, **rule.parameters)
    first = _ARCADE_MATCH.search(reached["args"]["string-representation"]) if reached is not None else None
    if first and not first[1]:
        yield "does not start from an index seek"


def _columns(rule: Rule, found: str) -> Iterator[str]:
    wanted = [*ANCHOR_COLUMNS, *rule.header.returns]
    columns = found.split(", ")
    if sorted(columns) != sorted(wanted):
        yield f"returns {sorted(columns)} instead of {sorted(wanted)}"


def _operators(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every operator of a plan of Neo4j: its name without the suffix, and its details."""
    yield plan["operatorType"].partition("@")[0], str(plan["args"].get("Details", ""))
    for child in plan.get("children", ()):
        yield from _operators(child)


def _anchored_parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of the plan that run once per row: the right side of every Apply."""
    children = plan.get("children", ())
    if "Apply" in plan["operatorType"] and len(children) == 2:
        yield children[1]
    for child in children:
        yield from _anchored_parts(child)
