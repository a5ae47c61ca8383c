"""The runner: which anchors it sends, in which runs, and what it does when a rule fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from graph.driver import Graph, Row
from graph.errors import ServiceError, Unavailable
from graph.events import Transaction
from graph.rows import EntityState
from graph.schema import NEVER
from graph.writer import GraphWriter
from queries import runner as module
from queries.late import later_touches
from queries.loader import load_rule
from queries.observer import Observer
from queries.runner import Runner, Touches, runs
from queries.spec import Rule, TouchedBy
from tests.rules.rule_files import BODY, HEADER, write_rule
from tests.transactions import MINUTE, NOON, transaction

HOUR = 60 * MINUTE


@pytest.fixture
def rule(tmp_path: Path) -> Rule:
    return load_rule(write_rule(tmp_path))


class Recording:
    """A graph that remembers what it was asked, and answers with rows or an error."""

    def __init__(self, answer: list[Row] | Exception | None = None) -> None:
        self.anchors: list[list[Row]] = []
        self._answer = answer

    def read(self, _: str, **parameters: Any) -> list[Row]:
        self.anchors.append(parameters["anchors"])
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer or []


class Told(Observer):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, int, int]] = []
        self.failures: list[str] = []

    def ran(self, rule: Rule, seconds: float, anchors: int, findings: int) -> None:  # noqa: ARG002 - differs from turn to turn
        self.turns.append((rule.id, anchors, findings))

    def failed(self, rule: Rule) -> None:
        self.failures.append(rule.id)


def run(rule: Rule, touches: Touches, answer: list[Row] | Exception | None = None) -> Recording:
    graph = Recording(answer)
    Runner(cast(Graph, graph), [rule]).run(touches)
    return graph


def touched(degree: int = 5, **times: list[int]) -> Touches:
    states = {name: EntityState("", degree, 0, 0, NEVER, None) for name in times}
    return Touches({"Device": dict(times)}, {"Device": states})


def test_touches_are_cut_into_runs_of_one_window_at_most() -> None:
    assert list(runs([0, 5, 10, 11, 30], 10)) == [[0, 5, 10], [11], [30]]
    assert list(runs([], 10)) == []


def test_one_row_stands_for_one_run_of_one_anchor(rule: Rule) -> None:
    graph = run(rule, touched(b=[NOON, NOON + HOUR, NOON + HOUR + 1], a=[NOON]))
    assert graph.anchors == [
        [
            {"label": "Device", "id": "a", "first": NOON, "last": NOON, "times": [NOON]},
            {"label": "Device", "id": "b", "first": NOON, "last": NOON + HOUR, "times": [NOON, NOON + HOUR]},
            {"label": "Device", "id": "b", "first": NOON + HOUR + 1, "last": NOON + HOUR + 1}
            | {"times": [NOON + HOUR + 1]},
        ]
    ]


def test_the_gate_keeps_out_what_cannot_match(rule: Rule) -> None:
    assert run(rule, touched(degree=1, a=[NOON])).anchors == []
    assert run(rule, touched(degree=2, a=[NOON])).anchors != []


@pytest.mark.parametrize(
    ("newest", "events", "times", "asked"),
    [
        (None, 1, [0], []),
        (None, 3, [0, 60, 121], [60]),
        (0, 2, [60, 121], [60]),
        (0, 1, [61], []),
        (50, 2, [10, 110], [10, 110]),  # what lies before a late one is not known
        (50, 2, [10, 111], [10]),
        (0, 2, [61], [61]),  # two at one moment
        (None, 0, [0], [0]),  # a batch that is evaluated again
    ],
)
def test_the_gate_keeps_out_touches_long_after_the_one_before(
    rule: Rule, newest: int | None, events: int, times: list[int], asked: list[int]
) -> None:
    gated = msgspec.structs.replace(
        rule, header=msgspec.structs.replace(rule.header, gate={"gap_ms": "window_ms"})
    )
    state = EntityState("", 1, 0, 0, NEVER, None if newest is None else newest * MINUTE, events=events)
    touches = Touches({"Device": {"d": [time * MINUTE for time in times]}}, {"Device": {"d": state}})
    rows = [row for rows in run(gated, touches).anchors for row in rows]
    assert [time // MINUTE for row in rows for time in row["times"]] == asked


@pytest.mark.parametrize(
    ("touch", "asked"),
    [
        (None, [0, 1, 2]),
        (TouchedBy(status=["declined", "refunded"]), [1, 2]),
        (TouchedBy(status=["declined"], promotion=True), [2]),
        (TouchedBy(channel=["atm"]), []),
    ],
)
def test_only_touches_by_such_transactions_are_tested(
    rule: Rule, touch: TouchedBy | None, asked: list[int]
) -> None:
    particular = msgspec.structs.replace(rule, header=msgspec.structs.replace(rule.header, touch=touch))
    told = [
        transaction("t0", "c0", device="d", event_time=0),
        transaction("t1", "c1", device="d", event_time=1, status="declined"),
        transaction("t2", "c2", device="d", event_time=2, status="declined", promotion="P"),
        transaction("t3", "c3", device="e", event_time=0, status="declined"),
    ]
    state = EntityState("", 5, 0, 0, NEVER, None)
    touches = Touches({"Device": {"d": [0, 1, 2]}}, {"Device": {"d": state}}, transactions=told)
    rows = [row for rows in run(particular, touches).anchors for row in rows]
    assert [time for row in rows for time in row["times"]] == asked


def test_a_query_takes_a_bounded_number_of_anchors(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANCHORS", 2)
    graph = run(rule, touched(a=[NOON], b=[NOON], c=[NOON]))
    assert [[row["id"] for row in rows] for rows in graph.anchors] == [["a", "b"], ["c"]]


def test_a_rule_that_fails_does_not_stop_the_others(tmp_path: Path, rule: Rule, graph: Graph) -> None:
    broken = msgspec.structs.replace(rule, body=BODY.replace("UNWIND $anchors", "UNROLL $anchors"))
    told = Told()
    touches = Touches.of(GraphWriter(graph).write([transaction(f"t{n}", f"c{n}", device="d") for n in range(2)]))
    runner = Runner(graph, [broken, rule], told)
    assert [finding.evidence for finding in runner.run(touches)] == [("t0", "t1")]
    assert sorted(told.turns) == [("shared_device", 1, 0), ("shared_device", 1, 1)]
    assert told.failures == ["shared_device"]
    with pytest.raises(ServiceError):
        runner.evaluate(broken, touches)


class Choosy(Recording):
    """Refuses more than so many anchors at once, and some whatever is asked with them."""

    def __init__(self, most: int, refused: set[str]) -> None:
        super().__init__()
        self._most = most
        self._refused = refused

    def read(self, _: str, **parameters: Any) -> list[Row]:
        rows = parameters["anchors"]
        if len(rows) > self._most or self._refused & {row["id"] for row in rows}:
            raise ServiceError("too much")
        return [
            {"anchor_label": "Device", "anchor": row["id"], "time": NOON, "device": row["id"], "cards": 2}
            | {"transactions": ["t"]}
            for row in rows
        ]


@pytest.mark.parametrize(
    ("refused", "found", "failures"),
    [
        (set(), "abcdefgh", []),
        ({"c"}, "abdefgh", ["shared_device"]),
        ({"a", "c", "d"}, "b", ["shared_device"]),
    ],
)
def test_what_fails_is_asked_again_in_smaller_portions(
    rule: Rule, refused: set[str], found: str, failures: list[str]
) -> None:
    told, graph = Told(), Choosy(4, refused)
    (ask,) = Runner(cast(Graph, graph), [], told).asks([rule], touched(5, **{name: [NOON] for name in "abcdefgh"}))
    answer = Runner(cast(Graph, graph), [], told).answer(ask)
    assert "".join(finding.anchor.id for finding in answer.findings) == found
    assert (answer.left, told.failures) == ([], failures)


def test_a_shadow_rule_runs_and_is_counted_and_says_nothing(rule: Rule, graph: Graph) -> None:
    shadow = msgspec.structs.replace(rule, header=msgspec.structs.replace(rule.header, status="test"))
    told = Told()
    touches = Touches.of(GraphWriter(graph).write([transaction(f"t{n}", f"c{n}", device="d") for n in range(2)]))
    assert Runner(graph, [shadow], told).run(touches) == []
    assert told.turns == [("shared_device", 1, 1)]
    assert len(Runner(graph, [shadow]).evaluate(shadow, touches)) == 1  # whoever asks for it by name is told


def test_a_graph_that_is_away_is_no_failure_of_a_rule(rule: Rule) -> None:
    with pytest.raises(Unavailable):
        run(rule, touched(a=[NOON]), Unavailable("away"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": None}, "without core"),
        ({"transactions": []}, "without core, evidence"),
        ({"extra": 1}, "returned columns"),
    ],
)
def test_a_row_that_says_nothing_is_an_error_of_the_rule(rule: Rule, changes: Row, said: str) -> None:
    row = {"anchor_label": "Device", "anchor": "d", "time": NOON, "device": "d", "cards": 2, "transactions": ["t"]}
    with pytest.raises(ServiceError, match=said):
        Runner(cast(Graph, Recording([row | changes])), []).evaluate(rule, touched(a=[NOON]))


def test_a_finding_is_sorted_and_without_repetition(rule: Rule) -> None:
    row = {"anchor_label": "Device", "anchor": "d", "time": NOON, "device": "d", "cards": 2}
    answer = [row | {"transactions": ["t2", "t1", "t2", None]}]
    (finding,) = Runner(cast(Graph, Recording(answer)), []).evaluate(rule, touched(a=[NOON]))
    assert finding.evidence == ("t1", "t2")
    assert [(measure.name, measure.value, measure.threshold) for measure in finding.measures] == [("cards", 2, 2)]
    assert finding.identity == ("d",)


def test_what_a_measure_means_is_told_with_the_values_that_it_names(tmp_path: Path) -> None:
    header = HEADER.replace('"cards on the device"', '"cards in the window, min_cards at least, of min_coins"')
    rule = load_rule(write_rule(tmp_path, header)).with_parameters({"window_ms": 5_400_000, "min_cards": 4})
    row = {"anchor_label": "Device", "anchor": "d", "time": NOON, "device": "d", "cards": 5, "transactions": ["t"]}
    (finding,) = Runner(cast(Graph, Recording([row])), []).evaluate(rule, touched(a=[NOON]))
    assert finding.measures[0].means == "cards within 1.5h, 4 at least, of min_coins"


def test_a_late_event_tests_the_later_touches_again_as_far_as_the_window(rule: Rule, graph: Graph) -> None:
    writer, runner = GraphWriter(graph), Runner(graph, [rule])
    for minute in (10, 59, 61):
        writer.write([transaction(f"t{minute}", "c1", device="d", event_time=NOON + minute * MINUTE)])
    late = Touches.of(writer.write([transaction("late", "c2", device="d", event_time=NOON)]))
    assert late.late["Device"] == {"d": [NOON]}
    assert [finding.time for finding in runner.run(late)] == [NOON + 10 * MINUTE, NOON + 59 * MINUTE]


def test_a_late_transfer_concerns_whoever_its_money_may_have_reached(graph: Graph) -> None:
    def sent(start: str, end: str, minute: int) -> Transaction:
        fields = {"account": start, "counterparty": end, "channel": "transfer"}
        return transaction(f"{start}{end}", f"c-{start}", event_time=NOON + minute * MINUTE, **fields)

    writer = GraphWriter(graph)
    before, after = (
        sent("b", "c", 5),
        [sent("b", "d", 20), sent("d", "e", 30), sent("x", "e", 40), sent("e", "x", 99)],
    )
    writer.write([before, *after])
    late = Touches.of(writer.write([sent("a", "b", 10)])).late
    assert late["Account"] == {"b": [NOON + 10 * MINUTE]}
    later = later_touches(graph, "Account", late, HOUR)
    assert later == {
        "b": {NOON + 20 * MINUTE: 10 * MINUTE},
        "d": {NOON + 20 * MINUTE: 10 * MINUTE},
        "e": {NOON + 30 * MINUTE: 20 * MINUTE, NOON + 40 * MINUTE: 30 * MINUTE},
    }


def test_a_late_payment_concerns_the_cards_that_were_there_too(graph: Graph) -> None:
    def paid(card: str, merchant: str, minute: int) -> Transaction:
        return transaction(f"{card}{merchant}", card, event_time=NOON + minute * MINUTE, merchant=merchant)

    writer = GraphWriter(graph)
    writer.write([paid("a", "m", 10), paid("a", "n", 70), paid("b", "n", 60), paid("late", "m", 300)])
    late = Touches.of(writer.write([paid("late", "n", 65)])).late
    assert late == {"Card": {"hmac:late": [NOON + 65 * MINUTE]}, "Merchant": {"n": [NOON + 65 * MINUTE]}}
    assert later_touches(graph, "Card", late, 24 * HOUR) == {
        "hmac:a": {NOON + 70 * MINUTE: 5 * MINUTE},
        "hmac:late": {NOON + 300 * MINUTE: 235 * MINUTE},
    }


def found(**columns: Any) -> Row:
    return {
        "anchor_label": "Device",
        "anchor": "d",
        "time": NOON,
        "device": "d",
        "transactions": ["t"],
        "cards": 3,
        **columns,
    }


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("device", 7),
        ("device", {"id": "d"}),
        ("transactions", [["t"]]),
        ("transactions", {"id": "t"}),
        ("cards", "three"),
        ("cards", None),
        ("cards", True),
        ("time", "noon"),
        ("anchor", None),
    ],
)
def test_a_rule_that_returns_what_cannot_be_there_has_failed(rule: Rule, column: str, value: object) -> None:
    told = Told()
    runner = Runner(cast(Graph, Recording([found(**{column: value})])), [rule], told)
    assert runner.run(Touches({"Device": {"d": [NOON]}}, {})) == []
    assert told.failures == [rule.id]
    with pytest.raises(ServiceError, match=f"as '{column}'"):
        runner.evaluate(rule, Touches({"Device": {"d": [NOON]}}, {}))


def test_what_a_rule_may_return_is_a_finding(rule: Rule) -> None:
    runner = Runner(cast(Graph, Recording([found(device=["d", None], cards=2.5)])), [rule])
    (finding,) = runner.run(Touches({"Device": {"d": [NOON]}}, {}))
    assert finding.evidence == ("t",)
