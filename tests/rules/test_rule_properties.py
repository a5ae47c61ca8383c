"""Properties of every rule, on random streams that lie close to what it looks for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.driver import Graph
from graph.events import Event, Label, Transaction, time_of
from graph.writer import GraphWriter
from queries.fixtures import Case, load_fixtures
from queries.loader import load_rules
from queries.runner import Runner, Touches
from queries.spec import Rule
from tests.engines import on

RULES = load_rules()

#: Fields that decide who is tied to whom, or what counts.
FIELDS = (
    *("account", "account_created", "amount", "billing_address", "card", "card_bin", "channel", "counterparty"),
    "credit_limit",
    *("currency", "device", "email", "ip", "latitude", "longitude", "merchant", "network", "phone", "promotion"),
    *("shipping_address", "status"),
)

# Properties are the rules' own, and no engine's: the others have the fixtures of ``test_all_rules``.
pytestmark = on("arcadedb")

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
briefly = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def stories(rule: Rule) -> list[Case]:
    return [case for case in load_fixtures(rule.id) if case.expect == "fires" and len(case.events()) <= 60]


@st.composite
def streams(draw: st.DrawFn, rule: Rule) -> tuple[list[Event], int]:
    """A story in which rings form, some transactions dropped, moved or given another's facts; a batch size."""
    case = draw(st.sampled_from(stories(rule)))
    told = case.events(f"{uuid.uuid4().hex[:8]}/")
    events = [event for event in told if isinstance(event, Transaction)]
    labels = [event for event in told if isinstance(event, Label)]
    index = st.integers(0, len(events) - 1)
    for at, source, field in draw(st.lists(st.tuples(index, index, st.sampled_from(FIELDS)), max_size=4)):
        events[at] = msgspec.structs.replace(events[at], **{field: getattr(events[source], field)})
    for at, minutes in draw(st.lists(st.tuples(index, st.integers(-90, 90)), max_size=3)):
        time = events[at].event_time + minutes * 60_000
        events[at] = msgspec.structs.replace(events[at], event_time=time)
    dropped = draw(st.sets(index, max_size=2))
    kept = [event for position, event in enumerate(events) if position not in dropped]
    return sorted([*kept, *labels], key=time_of), draw(st.sampled_from((1, 5, 100)))


def touched(graph: Graph, stream: tuple[list[Event], int]) -> Iterator[Touches]:
    writer = GraphWriter(graph)
    events, batch = stream
    for start in range(0, len(events), batch):
        yield Touches.of(writer.write(events[start : start + batch]))


def touches_one_by_one(touches: Touches) -> Iterator[Touches]:
    """The same touches, no more than one of each entity at a time."""
    most = max((len(times) for entities in touches.times.values() for times in entities.values()), default=0)
    for turn in range(most):
        times = {
            label: {entity_id: held[turn : turn + 1] for entity_id, held in entities.items() if turn < len(held)}
            for label, entities in touches.times.items()
        }
        yield Touches(times=times, states=touches.states, transactions=touches.transactions)


@every_rule
def test_what_a_rule_asks_for_beforehand_never_hides_a_match(rule: Rule, graph: Graph) -> None:
    ungated = msgspec.structs.replace(rule, header=msgspec.structs.replace(rule.header, gate={}, touch=None))

    @briefly
    @given(stream=streams(rule))
    def holds(stream: tuple[list[Event], int]) -> None:
        runner = Runner(graph, [])
        for touches in touched(graph, stream):
            assert runner.evaluate(rule, touches) == runner.evaluate(ungated, touches)

    holds()


@every_rule
def test_touches_tested_together_say_what_each_says_alone(rule: Rule, graph: Graph) -> None:
    @briefly
    @given(stream=streams(rule))
    def holds(stream: tuple[list[Event], int]) -> None:
        runner = Runner(graph, [])
        for touches in touched(graph, stream):
            whole = Touches(times=touches.times, states=touches.states, transactions=touches.transactions)
            together = runner.evaluate(rule, whole)
            alone = [finding for one in touches_one_by_one(touches) for finding in runner.evaluate(rule, one)]
            assert together == sorted(alone, key=lambda finding: (finding.time, finding.identity))

    holds()
