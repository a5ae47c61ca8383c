"""Rules as they are operated: one that says too much is muted, one that takes too long puts anchors off.

What must not be forgotten of that is kept in step with the mark ``assembled``, in whose transaction it is saved: a
batch that is evaluated again after a crash finds everything as it was before that batch.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from graph.driver import Graph, Row, Tx
from queries.backlog import Backlog, Deferred, deferred
from queries.breaker import Breaker, Breakers, BreakerSettings, Turn
from queries.observer import Observer
from queries.runner import AT_ONCE, Answer, Ask, Runner, Touches, announced
from queries.spec import Finding, Rule

log = logging.getLogger(__name__)


class State(msgspec.Struct, frozen=True):
    """What is stored with a partition's checkpoint; ``step`` goes up by one each time, ``time`` is event time."""

    step: int = 0
    time: int = 0
    breakers: dict[str, Breaker] = {}


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(State)


def decoded(text: str | None) -> State:
    """The state that was stored (``None``: nothing yet)."""
    return State() if text is None else _decoder.decode(text)


def standing(graph: Graph) -> tuple[dict[str, int], dict[str, int]]:
    """How things stand in a graph: who is muted until when (ms, event time), and how many anchors wait for it."""
    newest: dict[str, State] = {}
    for row in graph.read("MATCH (c:Checkpoint) WHERE c.kept IS NOT NULL RETURN c.group AS group, c.kept AS kept"):
        state, group = decoded(row["kept"]), row["group"]
        newest[group] = max(newest.get(group, state), state, key=lambda each: each.time)
    muted: dict[str, int] = {}
    for _, state in sorted(newest.items()):
        muted |= Breakers(BreakerSettings(), state.breakers).muted(state.time)
    rows = graph.read("MATCH (d:Deferred) RETURN d.rule AS rule, sum(d.anchors) AS anchors ORDER BY rule")
    return muted, {row["rule"]: row["anchors"] for row in rows}


class Keeper(Protocol):
    """Stores a text with a partition's checkpoint; both raise ``Fenced`` if the partition is another worker's."""

    def id_of(self, partition: str) -> str:
        """The checkpoint's id."""

    def keep(self, tx: Tx, partition: str, text: str) -> None:
        """Store a text as part of ``tx``."""

    def kept(self, tx: Tx, partition: str) -> str | None:
        """What is stored."""


@dataclass
class _Turn:
    """What one rule did in a batch or for the backlog."""

    rule: Rule
    tested: int
    answers: list[Answer] = field(default_factory=list)
    left: list[Row] = field(default_factory=list)
    done: list[Deferred] = field(default_factory=list)

    @property
    def fired(self) -> int:
        """On how many anchors it fired."""
        return len({finding.anchor for answer in self.answers for finding in answer.findings})


@dataclass(frozen=True)
class _Step:
    """What is to be saved of a batch, or of work on the backlog (``in_batch`` is false)."""

    partition: str
    in_batch: bool
    state: State
    put_off: list[Deferred]
    done: list[Deferred]
    dropped: list[str]

    def belongs_to(self, partitions: Sequence[str]) -> bool:
        """Whether it is saved with the marks of these partitions (none: with no batch)."""
        return self.partition in partitions if self.in_batch else not partitions


class Operation:
    """Runs rules batch by batch within ``budget_factor`` times their budgets, and mutes those that say too much.

    A batch's state is saved with the first of its partitions. Where several are taken over, the most advanced of
    their states counts.
    """

    def __init__(
        self,
        runner: Runner,
        keeper: Keeper,
        backlog: Backlog,
        breaker: BreakerSettings,
        budget_factor: float,
        observer: Observer | None = None,
    ) -> None:
        self._runner = runner
        self._keeper = keeper
        self._backlog = backlog
        self._budget_factor = budget_factor
        self._observer = observer or Observer()
        self._settings = breaker
        self._state = State()
        self._waiting: dict[str, dict[str, int]] = {}
        self._pending: _Step | None = None

    # What is evaluated.

    def run(self, touches: Touches, partitions: Collection[str], now: int | None) -> list[Finding]:
        """What the rules say of a batch at event time ``now`` (ms), and of older anchors if there is time left.

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        self._pending = None
        partition = min(partitions)
        time = max(now or 0, self._state.time)
        active, muted = self._sorted_out(time)
        for ask in self._runner.asks(muted, touches):
            self._observer.muted(ask.rule, ask.touched)
        asks = self._runner.asks(active, touches)
        turns = self._turns(asks + self._idle(partition, active, asks), partition)
        return self._settle(partition, time, turns, muted, in_batch=True)

    def catch_up(self, partitions: Sequence[str]) -> tuple[str, list[Finding]] | None:
        """Work off some of what waits: for which of the partitions, and what was found (``None``: nothing waits).

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        self._pending = None
        partition = next((each for each in partitions if self._waiting.get(each)), None)
        if partition is None:
            return None
        active, muted = self._sorted_out(self._state.time)
        turns = self._turns(self._idle(partition, active), partition)
        return partition, self._settle(partition, self._state.time, turns, muted, in_batch=False)

    def _sorted_out(self, time: int) -> tuple[list[Rule], list[Rule]]:
        breakers = Breakers(self._settings, self._state.breakers)
        active: list[Rule] = []
        muted: list[Rule] = []
        for rule in self._runner.rules:
            state = breakers.of(rule.id, rule.header.version)
            (muted if state.is_muted(time) else active).append(rule)
        return active, muted

    def _idle(self, partition: str, rules: Sequence[Rule], asks: Sequence[Ask] = ()) -> list[Ask]:
        """Nothing to ask of the rules that a batch does not concern and for which something waits."""
        asked = {ask.rule.id for ask in asks}
        waiting = self._waiting.get(partition, {})
        return [Ask(rule, [], 0) for rule in rules if rule.id in waiting and rule.id not in asked]

    def _turns(self, asks: Sequence[Ask], partition: str) -> list[_Turn]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda ask: self._turn(ask, partition), asks))

    def _turn(self, ask: Ask, partition: str) -> _Turn:
        """A rule's own anchors first, then what waits for it, oldest first, while its budget lasts."""
        budget_s = ask.rule.header.budget_ms * self._budget_factor / 1000
        started = self._runner.clock()
        answer = self._runner.answer(ask, budget_s)
        turn = _Turn(ask.rule, ask.touched - _untested(ask.rows, answer.left), [answer], answer.left)
        if answer.left or not self._waiting.get(partition, {}).get(ask.rule.id):
            return turn
        for part in self._backlog.oldest(self._keeper.id_of(partition), ask.rule.id):
            if (ask.rows or turn.done) and self._runner.clock() - started >= budget_s:
                break
            turn.answers.append(self._runner.answer(Ask(ask.rule, part.rows, len(part.rows))))
            turn.tested += len(set(map(_anchor, part.rows)))
            turn.done.append(part)
        return turn

    def _settle(
        self, partition: str, time: int, turns: list[_Turn], muted: list[Rule], *, in_batch: bool
    ) -> list[Finding]:
        """Mute what says too much, and note what is to be saved; returns what the others found."""
        before = Breakers(self._settings, self._state.breakers)
        done_by = {turn.rule.id: Turn(turn.rule.header.version, turn.tested, turn.fired) for turn in turns}
        after = before.after(time, done_by)
        silenced = list(muted)
        kept: list[_Turn] = []
        for turn in turns:
            rule, state = turn.rule, after.states[turn.rule.id]
            if state.is_muted(time):
                silenced.append(rule)
                self._observer.muted(rule, turn.tested + len(turn.left))
                shares = {"tested": turn.tested, "fired": turn.fired}
                log.warning("rule_muted", extra={"rule": rule.id, "until": state.muted_until, **shares})
            else:
                kept.append(turn)
        step, queue = self._state.step + 1, self._keeper.id_of(partition)
        running = {rule.id for rule in self._runner.rules} - {rule.id for rule in silenced}
        self._pending = _Step(
            partition,
            in_batch,
            State(step, time, dict(after.states)),
            [part for turn in kept for part in deferred(queue, turn.rule.id, step, turn.left)],
            [part for turn in kept for part in turn.done],
            sorted(self._waiting.get(partition, {}).keys() - running),
        )
        for turn in kept:
            if turn.left:
                self._observer.put_off(turn.rule, len(turn.left))
            if turn.done:
                self._observer.caught_up(turn.rule, sum(len(part.rows) for part in turn.done))
        return announced(answer for turn in kept for answer in turn.answers)

    # What is remembered: Operation is the companion of the checkpoints.

    def claimed(self, partition: str, text: str | None) -> None:
        """Continue from what a partition's former owner stored."""
        state = decoded(text)
        if state.step > self._state.step:
            self._state = state
        self._waiting[partition] = self._backlog.waiting(self._keeper.id_of(partition))
        self._report()

    def reached(self, tx: Tx) -> bool:
        """Whether work on the backlog has been saved before, and the answer was lost."""
        pending = self._pending
        if pending is None or pending.in_batch:
            return False
        return decoded(self._keeper.kept(tx, pending.partition)) == pending.state

    def save(self, tx: Tx, partitions: Sequence[str]) -> None:
        """Store what is pending, as part of the transaction that sets the partitions' marks."""
        pending = self._pending
        if pending is None or not pending.belongs_to(partitions):
            return
        queue = self._keeper.id_of(pending.partition)
        self._keeper.keep(tx, pending.partition, _encoder.encode(pending.state).decode())
        if pending.put_off:
            self._backlog.add(tx, queue, pending.put_off)
        if pending.done:
            self._backlog.remove(tx, [part.id for part in pending.done])
        if pending.dropped:
            self._backlog.drop(tx, queue, pending.dropped)

    def saved(self, partitions: Sequence[str]) -> None:
        """The transaction has been committed."""
        pending = self._pending
        if pending is None or not pending.belongs_to(partitions):
            return
        self._pending = None
        self._state = pending.state
        waiting = self._waiting.setdefault(pending.partition, {})
        for rule_id in pending.dropped:
            log.warning("backlog_dropped", extra={"rule": rule_id, "anchors": waiting.pop(rule_id)})
        for sign, parts in ((1, pending.put_off), (-1, pending.done)):
            for part in parts:
                waiting[part.rule] = waiting.get(part.rule, 0) + sign * len(part.rows)
        self._waiting[pending.partition] = {rule_id: anchors for rule_id, anchors in waiting.items() if anchors}
        self._report()

    def _report(self) -> None:
        waiting: dict[str, int] = {}
        for queues in self._waiting.values():
            for rule_id, anchors in queues.items():
                waiting[rule_id] = waiting.get(rule_id, 0) + anchors
        muted = Breakers(self._settings, self._state.breakers).muted(self._state.time)
        self._observer.standing(muted, waiting)


def _anchor(row: Row) -> tuple[str, str]:
    return row["label"], row["id"]


def _untested(rows: Sequence[Row], left: Sequence[Row]) -> int:
    """How many anchors have all their rows among those that were left: one may have several."""
    asked, waiting = Counter(map(_anchor, rows)), Counter(map(_anchor, left))
    return sum(number == asked[anchor] for anchor, number in waiting.items())
