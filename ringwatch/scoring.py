"""Wiring of the scorer that runs beside the stream: passes over what has changed, their scores, their rings."""

from __future__ import annotations

import gc
import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gnn.drift import Baseline, read_baseline
from gnn.features import node_of
from gnn.learned_rings import RingCriteria, finding_of, hanging_together
from gnn.live_graph import LiveGraph, Named, Payment
from gnn.part import read_part
from gnn.passes import Passed, Passes
from gnn.registry import open_registry
from gnn.storage import Scorer, load
from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import Ended, Fenced
from graph.events import Entity
from graph.history import hubs_among, labelled_transactions, transactions_by_id
from graph.scores import Score, ScoreStore, Waiting
from queries.spec import Finding
from ringwatch.composition import COLLECT_EVERY, beside_the_graph, opened_graph, ring_settings
from ringwatch.promoted_model import PromotedModel
from ringwatch.settings import Settings
from streaming.assembler import SCORES_LANE, Assembler
from streaming.detector import Detection
from streaming.metrics import Metrics

log = logging.getLogger(__name__)

#: How many payments drift is measured on, the latest; with less than a tenth of them it is not.
_FOR_DRIFT = 5_000

#: The scorer's checkpoints, if it had any: it is fenced by its store.
_GROUP = "ringwatch.score"

#: Of what waits so many batches are taken at once; of a history so many payments.
_BATCHES = 50
_AT_ONCE = 10_000
_ALL = 2**31 - 1


class Summary(NamedTuple):
    """What a pass did: payments looked at, nodes given a risk, findings; ``model`` is None if there was none."""

    model: str | None
    payments: int = 0
    nodes: int = 0
    findings: int = 0
    seconds: float = 0.0

    def in_words(self) -> str:
        """For people, on a line."""
        return (
            f"looked at {self.payments:,} payments and gave {self.nodes:,} nodes a risk by model {self.model}, "
            f"found {self.findings:,} groups that make a ring, in {self.seconds} s"
        )

    def and_then(self, payments: int, nodes: int, findings: int) -> Summary:
        """With what a further part of the pass did."""
        return self._replace(
            payments=self.payments + payments, nodes=self.nodes + nodes, findings=self.findings + findings
        )


class _Model(NamedTuple):
    """A promoted model in use, with what is held of the graph for it."""

    version: str
    passes: Passes
    arrival: Scorer
    baseline: Baseline | None

    @classmethod
    def load(cls, version: str, folder: Path, before: _Model | None) -> _Model:
        """The model in a folder; it takes over what one before it held, if that is of use to it.

        Raises:
            ConfigurationError: the model is damaged.
        """
        scorer, part = load(folder / "later"), read_part(folder / "later")
        arrival, baseline = load(folder / "arrival"), read_baseline(folder / "later")
        if before is not None and before.passes.graph.features == part.features:
            passes = before.passes
            passes.scorer, passes.later_ms = scorer, part.later_ms
        else:
            passes = Passes(LiveGraph(part.features), scorer, part.later_ms)
        return cls(version, passes, arrival, baseline)


class Scoring:
    """Follows the ``promoted`` model and the graph, pass by pass.

    What models count by is held in memory and read back from the graph at the first pass, and whenever a model
    that looks at other kinds of entities is promoted. A model that cannot be loaded leaves the one before in use.
    """

    def __init__(
        self,
        graph: Graph,
        store: ScoreStore,
        promoted: PromotedModel,
        assembler: Assembler,
        criteria: RingCriteria,
        metrics: Metrics,
    ) -> None:
        self._graph = graph
        self._store = store
        self.promoted = promoted
        self._assembler = assembler
        self._criteria = criteria
        self._metrics = metrics
        self._model: _Model | None = None
        self._settled: deque[Payment] = deque(maxlen=_FOR_DRIFT)
        self._unfinished: tuple[Passed, list[Waiting] | None] | None = None
        self._caught_up = False

    def once(self) -> Summary:
        """One pass over what has changed since the last; the first one over everything that was never scored.

        Raises:
            ConfigurationError: the promoted model is damaged, and there was none before it.
            Unavailable: the graph is away; the next pass does what this one did not.
            Fenced: another scorer has claimed the graph.
        """
        started = time.monotonic()
        self.promoted.refresh()
        model = self._model = self._to_use()
        if model is None:
            return Summary(None)
        done = Summary(model.version)
        for passed, looked_at in self._looked(model.passes):
            self._unfinished = passed, looked_at
            nodes, findings = self._settle(model, passed, looked_at)
            self._unfinished = None
            done = done.and_then(len(passed.payments), nodes, findings)
        self._caught_up = True
        if done.payments:
            self._measure_drift(model)
        seconds = time.monotonic() - started
        self._metrics.pass_seconds.record(seconds)
        return done._replace(seconds=round(seconds, 3))

    def try_once(self) -> None:
        """A pass of many: one that fails is logged and counted, and the next one makes good for it.

        Raises:
            Fenced: another scorer has claimed the graph.
            Ended: the graph will not come back.
        """
        try:
            done = self.once()
        except (Fenced, Ended):
            raise
        except Exception:
            log.exception("pass_failed")
            self._metrics.passes.add(1, {"outcome": "failed"})
            return
        self._metrics.passes.add(1, {"outcome": "done" if done.model is not None else "no_model"})
        if done.payments:
            log.info("pass_done", extra=done._asdict())

    def _to_use(self) -> _Model | None:
        """The promoted model; the one before while that cannot be loaded, and neither if there is none."""
        version, folder = self.promoted.version, self.promoted.folder
        before = self._model if self._caught_up else None
        if version is None or folder is None or (before is not None and before.version == version):
            return before
        try:
            model = _Model.load(version, folder, before)
        except Exception:
            if before is None:
                raise
            log.exception("model_not_loaded", extra={"version": version, "in_use": before.version})
            return before
        self._settled.clear()
        self._caught_up = before is not None and model.passes is before.passes
        return model

    def _settle(self, model: _Model, passed: Passed, looked_at: list[Waiting] | None) -> tuple[int, int]:
        """Write what a pass has scored, and make rings of it; returns how many nodes and findings."""
        version, passes = model.version, model.passes
        findings, scores = self._findings(passes, passed, version), self._scores(model, passed)
        self._store.write(scores, model=version, time=passed.moment)
        if findings:
            self._assembler.follow_up(Detection(findings, [], None), SCORES_LANE)
        if looked_at is not None:
            self._store.finish(looked_at, model=version, time=passed.moment)
        for score in scores:
            self._metrics.scored_nodes.add(1, {"label": score.node.label})
        self._metrics.learned_findings.add(len(findings))
        self._settled.extend(one for one in passed.payments if one.time + passes.later_ms < passed.moment)
        return len(scores), len(findings)

    def _measure_drift(self, model: _Model) -> None:
        """How far the latest payments, as they were looked at last, are from what the model was measured on."""
        settled = [(one.risk, one.arrival, one.later) for one in self._settled if one.later is not None]
        if model.baseline is None or len(settled) < _FOR_DRIFT // 10:
            return
        scores = np.array([risk for risk, _, _ in settled], dtype=np.float64)
        own = np.stack([np.concatenate([arrival, later]) for _, arrival, later in settled])
        drift = model.baseline.stability(scores, own, model.passes.graph.features.names_at(later=True))
        score = drift.pop("score")
        self._metrics.drift.replace({"score": score, "inputs": float(np.median(list(drift.values())))})

    def _looked(self, passes: Passes) -> Iterator[tuple[Passed, list[Waiting] | None]]:
        """What was looked at, part by part, and what waits no longer once that is dealt with (``None``: go on)."""
        if not self._caught_up:
            yield from self._from_the_start(passes)
        elif self._unfinished is not None:  # a last look is not taken again
            yield self._unfinished
        while waiting := self._store.waiting(_BATCHES):
            new = dict.fromkeys(name for one in waiting for name in one.transactions)
            spoken_of = dict.fromkeys(name for one in waiting for name in one.labelled if name not in new)
            told, spoken = (list(transactions_by_id(self._graph, names)) for names in (new, spoken_of))
            yield passes.look(told, spoken), waiting

    def _from_the_start(self, passes: Passes) -> Iterator[tuple[Passed, list[Waiting] | None]]:
        """All of history; until it is through, the graph does not count as scored, and a crash begins it anew."""
        scored_before = self._store.claim()
        waiting = self._store.waiting(_ALL)
        unscored = {name for one in waiting for name in one.transactions}
        history = labelled_transactions(self._graph)
        while told := list(islice(history, _AT_ONCE)):
            old = [one for one in told if scored_before and one[0].transaction_id not in unscored]
            passes.remember(old)
            known = {transaction.transaction_id for transaction, _ in old}
            if new := [one for one in told if one[0].transaction_id not in known]:
                yield passes.look(new), None
        yield Passed(passes.graph.now, [], []), waiting

    def _scores(self, model: _Model, passed: Passed) -> list[Score]:
        passes = model.passes
        known = passes.embedded(passed.entities, model.arrival)
        payments = (
            Score(Entity("Transaction", one.transaction.transaction_id), one.risk)
            for one in passed.payments
            if one.risk is not None
        )
        entities = (
            Score(node_of(*entity), risk, known.get(entity))
            for entity in passed.entities
            if (risk := passes.risk(entity)) is not None
        )
        return [*payments, *entities]

    def _findings(self, passes: Passes, passed: Passed, version: str) -> list[Finding]:
        graph, criteria = passes.graph, self._criteria
        risky = [one for one in passed.payments if one.risk is not None and one.risk >= criteria.min_risk]
        hubs = _Hubs(self._graph)
        hubs.ask(entity for one in risky for entity in graph.entities(one.transaction))
        found = (
            finding_of(graph, group, criteria, hubs, passes.explained, version)
            for group in hanging_together(graph, risky, criteria, hubs)
        )
        return [finding for finding in found if finding is not None]


@contextmanager
def opened_scoring(settings: Settings, models: str, metrics: Metrics) -> Iterator[Scoring]:
    """A scorer of the graph that the settings name, by the model that is promoted in a registry.

    Its rings go where the others are; their alerts wait in the outbox for a worker of ``ringwatch run``.
    """
    promoted = PromotedModel(open_registry(models), beside_the_graph(settings, "models"))
    gc.set_threshold(COLLECT_EVERY)
    chosen, owner = settings.scores, uuid.uuid4().hex
    with opened_graph(settings) as graph:
        checkpoints = Checkpoints(graph, _GROUP, owner)
        assembler = Assembler(graph, settings.graph.address, checkpoints, None, ring_settings(settings), metrics)
        assembler.take_over(SCORES_LANE)
        criteria = RingCriteria(chosen.min_risk, chosen.min_owners)
        yield Scoring(graph, ScoreStore(graph, owner), promoted, assembler, criteria, metrics)


class _Hubs:
    """Which entities are hubs, as of one pass."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[Named, bool] = {}

    def ask(self, entities: Iterable[Named]) -> None:
        """Read about those of which nothing is known yet, all at once."""
        new = {node_of(*one): one for one in entities if one not in self._known}
        self._known |= dict.fromkeys(new.values(), False)
        self._known |= {new[hub]: True for hub, _ in hubs_among(self._graph, new)}

    def __call__(self, entity: Named) -> bool:
        if entity not in self._known:
            self.ask([entity])
        return self._known[entity]
