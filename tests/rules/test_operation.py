"""Rules as they are operated, on every engine: what is put off, what is muted, and what a restart finds of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from graph.checkpoints import Checkpoints
from graph.driver import Graph, Tx
from graph.errors import Fenced
from graph.events import Entity, Transaction
from graph.writer import GraphWriter, Written
from queries import backlog, runner
from queries.backlog import Backlog
from queries.breaker import Breaker, BreakerSettings, Turn
from queries.loader import load_rule
from queries.observer import Observer
from queries.operation import Operation, standing
from queries.runner import Runner, Touches
from queries.spec import Finding, Rule
from streaming.detector import BatchMark
from tests.rules.rule_files import HEADER, write_rule
from tests.transactions import MINUTE, NOON, transaction

PARTITION = "p"
DEVICES = [f"d{n}" for n in range(9)]
PAIRS = [
    transaction(f"{device}-t{n}", f"{device}-c{n}", device=device, event_time=NOON + n)
    for device in DEVICES
    for n in range(2)
]


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PORTION", 4)
    monkeypatch.setattr(backlog, "TOGETHER", 2)


@pytest.fixture
def rule(tmp_path: Path) -> Rule:
    return load_rule(write_rule(tmp_path))


class Told(Observer):
    """Remembers who was muted and what was put off and worked off."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int]] = []
        self.now: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def muted(self, rule: Rule, anchors: int) -> None:
        self.counts.append((f"muted {rule.id}", anchors))

    def put_off(self, rule: Rule, anchors: int) -> None:
        self.counts.append((f"put off {rule.id}", anchors))

    def caught_up(self, rule: Rule, anchors: int) -> None:
        self.counts.append((f"caught up {rule.id}", anchors))

    def standing(self, muted: object, waiting: object) -> None:
        self.now = (dict(muted), dict(waiting))  # type: ignore[call-overload]


class Clock:
    """A clock that goes on by a step each time that it is looked at."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self._now_s = 0.0

    def __call__(self) -> float:
        self._now_s += self.step_s
        return self._now_s


class Worker:
    """A worker of one partition, as far as its rules go; ``slow``: each look at the clock takes a minute."""

    def __init__(
        self,
        graph: Graph,
        *rules: Rule,
        slow: bool = False,
        order: Callable[[Entity], float] | None = None,
        breaker: BreakerSettings | None = None,
    ) -> None:
        self._graph = graph
        self.clock = Clock(60.0 if slow else 0.0)
        self.told = Told()
        self.runner = Runner(graph, rules, order=order, clock=self.clock)
        self.checkpoints = Checkpoints(graph, "group", f"worker {id(self)}")
        self.operation = Operation(
            self.runner, self.checkpoints, Backlog(graph), breaker or BreakerSettings(), 1.0, self.told
        )
        self.checkpoints.accompany(self.operation)
        self.marks = self.checkpoints.claim([PARTITION])[PARTITION]

    def write(self, transactions: Sequence[Transaction], end: int) -> Written:
        mark = BatchMark(self.checkpoints, "written", {PARTITION: end})
        written = GraphWriter(self._graph).write(transactions, mark)
        mark.committed()
        return written

    def evaluate(self, written: Written, now: int = NOON) -> list[Finding]:
        return self.operation.run(Touches.of(written), [PARTITION], now)

    def assemble(self, ends: dict[str, int]) -> None:
        BatchMark(self.checkpoints, "assembled", ends).set(self._graph)

    def batch(self, transactions: Sequence[Transaction], end: int, now: int = NOON) -> list[Finding]:
        found = self.evaluate(self.write(transactions, end), now)
        self.assemble({PARTITION: end})
        return found

    def catch_up(self) -> list[Finding]:
        """Everything that was put off, until nothing is."""
        found: list[Finding] = []
        while (caught_up := self.operation.catch_up([PARTITION])) is not None:
            found += caught_up[1]
            self.assemble({})
        return found


def devices(findings: Sequence[Finding]) -> list[str]:
    return [finding.anchor.id for finding in findings]


def waiting(graph: Graph) -> int:
    return sum(Backlog(graph).waiting(f"group|{PARTITION}").values())


def test_with_time_enough_nothing_is_put_off(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule)
    assert devices(worker.batch(PAIRS, 1)) == DEVICES
    assert (worker.told.counts, worker.told.now, waiting(graph)) == ([], ({}, {}), 0)


def test_an_anchor_with_many_runs_counts_once(graph: Graph, rule: Rule) -> None:
    """Else the breaker would be told of fewer anchors than none."""
    busy = [transaction(f"t{n}", f"c{n}", device="busy", event_time=NOON + n * 180 * MINUTE) for n in range(20)]
    worker = Worker(graph, rule, slow=True)
    seen: list[int] = []
    after = Breaker.after
    with pytest.MonkeyPatch.context() as patch:

        def watched(self: Breaker, now: int, turn: Turn, settings: BreakerSettings) -> Breaker:
            seen.append(turn.tested)
            return after(self, now, turn, settings)

        patch.setattr(Breaker, "after", watched)
        worker.batch(busy, 1, NOON + 3600 * MINUTE)
        worker.catch_up()
    assert len(seen) > 1
    assert set(seen) == {1}


def test_what_is_put_off_is_found_later_and_is_the_same(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    at_once = worker.batch(PAIRS, 1)
    assert devices(at_once) == DEVICES[:4]
    assert (worker.told.now[1], waiting(graph)) == ({rule.id: 5}, 5)
    # Meanwhile time goes on at the devices that wait, which changes nothing at the touches that were put off.
    later = [transaction(f"{d}-late", f"{d}-cx", device=d, event_time=NOON + MINUTE) for d in DEVICES[4:]]
    GraphWriter(graph).write(later)
    found = at_once + worker.catch_up()
    assert devices(found) == DEVICES
    assert [finding.evidence for finding in found] == [(f"{d}-t0", f"{d}-t1") for d in DEVICES]
    assert sum(n for what, n in worker.told.counts if what == f"caught up {rule.id}") == 5
    assert (worker.told.now[1], waiting(graph)) == ({}, 0)


def test_the_most_urgent_anchors_come_first_now_and_later(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True, order=lambda entity: float(entity.id[1:]))
    assert sorted(devices(worker.batch(PAIRS, 1))) == DEVICES[-4:]
    caught_up = [worker.operation.catch_up([PARTITION])]
    assert caught_up[0] is not None
    assert devices(caught_up[0][1]) == ["d3", "d4"]


def test_the_oldest_batch_is_worked_off_first(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    worker.batch(PAIRS, 1)
    again = [transaction(f"again-{d}", f"{d}-c0", device=d, event_time=NOON + MINUTE) for d in DEVICES]
    worker.batch(again, 2)
    found = worker.catch_up()
    assert [finding.time for finding in found] == sorted(finding.time for finding in found)
    assert len(found) == 5 + 5


def test_a_batch_with_time_to_spare_works_some_off(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    worker.batch(PAIRS, 1)
    worker.clock.step_s = 0.0
    alone = [transaction("x1", "cx", merchant="m", event_time=NOON + MINUTE)]
    assert devices(worker.batch(alone, 2)) == DEVICES[4:]
    assert waiting(graph) == 0


def test_killed_before_the_mark_the_batch_is_evaluated_again_and_nothing_waits_twice(
    graph: Graph, rule: Rule
) -> None:
    first = Worker(graph, rule, slow=True)
    first.evaluate(first.write(PAIRS, 1))
    assert waiting(graph) == 0
    second = Worker(graph, rule, slow=True)
    assert (second.marks.written, second.marks.assembled) == (1, None)
    found = second.batch(PAIRS, 1)
    assert waiting(graph) == 5
    assert devices(found + second.catch_up()) == DEVICES


def test_killed_after_the_mark_the_next_worker_works_it_off(graph: Graph, rule: Rule) -> None:
    at_once = Worker(graph, rule, slow=True).batch(PAIRS, 1)
    second = Worker(graph, rule)
    assert second.told.now[1] == {rule.id: 5}
    assert devices(at_once + second.catch_up()) == DEVICES


def test_killed_while_working_it_off_it_still_waits(graph: Graph, rule: Rule) -> None:
    Worker(graph, rule, slow=True).batch(PAIRS, 1)
    caught_up = Worker(graph, rule).operation.catch_up([PARTITION])
    assert caught_up is not None
    assert devices(caught_up[1]) == DEVICES[4:]
    assert devices(Worker(graph, rule).catch_up()) == DEVICES[4:]


def test_a_lost_answer_is_recognised(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    worker.batch(PAIRS, 1)
    worker.operation.catch_up([PARTITION])
    mark = BatchMark(worker.checkpoints, "assembled", {})

    def work(tx: Tx) -> bool:
        reached = mark.reached(tx)
        if not reached:
            mark.advance(tx)
        return reached

    assert [graph.write(work), graph.write(work)] == [False, True]
    mark.committed()
    assert graph.write(work) is False  # nothing is pending any more
    assert (worker.told.now[1], waiting(graph)) == ({rule.id: 3}, 3)


def test_who_has_lost_the_partition_works_nothing_off(graph: Graph, rule: Rule) -> None:
    first = Worker(graph, rule, slow=True)
    first.batch(PAIRS, 1)
    Worker(graph, rule)
    first.operation.catch_up([PARTITION])
    with pytest.raises(Fenced):
        first.assemble({})
    assert waiting(graph) == 5


def test_what_was_given_up_is_not_saved_by_another_transaction(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    worker.evaluate(worker.write(PAIRS, 1))
    worker.assemble({})
    assert waiting(graph) == 0


def test_what_waits_for_a_rule_that_is_gone_is_dropped(graph: Graph, rule: Rule) -> None:
    worker = Worker(graph, rule, slow=True)
    worker.batch(PAIRS, 1)
    worker.runner.use([])
    assert worker.catch_up() == []
    assert waiting(graph) == 0


MANY = 30
FLOOD = BreakerSettings(anchors=20)


def flood(hour: int, fired: int = MANY) -> tuple[list[Transaction], int]:
    """Some devices of which each has two cards, in one minute of its own, and that minute."""
    now = NOON + hour * 60 * MINUTE
    return [
        transaction(f"{hour}-{d}-{n}", f"{hour}-{d}-{n}", device=f"{hour}-{d}", event_time=now)
        for d in range(MANY)
        for n in range(2 if d < fired else 1)
    ], now


def test_a_rule_that_fires_on_everything_is_muted_and_the_others_go_on(
    graph: Graph, rule: Rule, tmp_path: Path
) -> None:
    other = load_rule(write_rule(tmp_path, HEADER.replace('"shared_device"', '"other"'), name="other"))
    calm = other.with_parameters({"min_cards": 3})
    worker = Worker(graph, rule, calm, breaker=FLOOD)
    transactions, now = flood(0)
    third = transaction("third", "third", device="0-0", event_time=now)
    assert {finding.rule for finding in worker.batch([*transactions, third], 1, now)} == {"other"}
    assert worker.told.counts == [(f"muted {rule.id}", MANY)]
    assert worker.told.now[0] == {rule.id: now + 15 * MINUTE}


def test_a_restart_mutes_the_same_and_the_rule_comes_back(graph: Graph, rule: Rule) -> None:
    transactions, now = flood(0)
    Worker(graph, rule, breaker=FLOOD).batch(transactions, 1, now)
    second = Worker(graph, rule, breaker=FLOOD)
    assert second.told.now[0] == {rule.id: now + 15 * MINUTE}
    pair = [transaction(f"p{n}", f"p{n}", device="pair", event_time=now + MINUTE) for n in range(2)]
    assert second.batch(pair, 2, now + MINUTE) == []
    assert (f"muted {rule.id}", 1) in second.told.counts
    back, later = flood(1, fired=1)
    assert devices(second.batch(back, 3, later)) == ["1-0"]
    assert second.told.now[0] == {}


def test_whoever_looks_at_the_graph_sees_who_is_muted_and_what_waits(graph: Graph, rule: Rule) -> None:
    assert standing(graph) == ({}, {})
    transactions, now = flood(0)
    worker = Worker(graph, rule, slow=True)
    worker.batch(PAIRS, 1)
    assert standing(graph) == ({}, {rule.id: 5})
    Worker(graph, rule, breaker=FLOOD).batch(transactions, 2, now)
    assert standing(graph)[0] == {rule.id: now + 15 * MINUTE}


def test_a_batch_that_is_evaluated_again_is_judged_once(graph: Graph, rule: Rule) -> None:
    transactions, now = flood(0)
    worker = Worker(graph, rule, breaker=FLOOD)
    written = worker.write(transactions, 1)
    for _ in range(3):
        worker.evaluate(written, now)
    worker.assemble({PARTITION: 1})
    assert worker.told.now[0] == {rule.id: now + 15 * MINUTE}  # and not twice or four times as long
