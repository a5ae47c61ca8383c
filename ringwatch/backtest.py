"""A backtest: history through the real pipeline with one rule, and what it would have found.

Nothing is assembled or published. Nothing expires either: what labels say of a finding may come months after it.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import ConfigurationError, ServiceError
from graph.writer import GraphWriter
from queries.backlog import Backlog
from queries.breaker import BreakerSettings
from queries.lint import check
from queries.observer import Observer
from queries.operation import Operation
from queries.runner import Runner
from queries.spec import Finding, Rule
from ringwatch.composition import RunOptions, opened_graph, refuse_history, tokenizer_for
from ringwatch.inputs import opened_sources
from ringwatch.settings import Settings
from ringwatch.telemetry import Telemetry
from streaming.codec import Codec
from streaming.dead_letters import DeadLetter, DeadLetterLimit
from streaming.detector import BatchMark, Counts, Detection, Detector
from streaming.event_time import EventClock
from streaming.money import to_major
from streaming.pipeline import Pipeline, Publish, nothing_to_publish

_IDS_AT_ONCE = 10_000

#: A history that the rule would flood is told whole.
_NEVER_MUTED = BreakerSettings(share=1.0)


@dataclass(frozen=True)
class Backtest:
    """A replay that is ready to run, and what can be asked of it."""

    pipeline: Pipeline
    codec: Codec
    counts: Counts
    found: FoundByDay
    letters: CountedLetters
    failures: RuleFailures


@contextmanager
def opened_backtest(
    settings: Settings, options: RunOptions, rule: Rule, telemetry: Telemetry
) -> Iterator[Backtest]:
    """Everything that ``ringwatch backtest`` needs, opened; closed in reverse order at the end.

    Raises:
        ConfigurationError: the graph holds transactions already, or the rule does not pass its checks.
    """
    with ExitStack() as stack:
        group = f"{settings.kafka.group}.backtest.{uuid.uuid4().hex}"
        codec = Codec(tokenizer_for(settings), options.mapping, options.time_format)
        source = opened_sources(settings, options, group, codec, stack).merged
        graph = stack.enter_context(opened_graph(settings))
        refuse_history(graph, "a backtest")
        if problems := check(rule, graph):
            raise ConfigurationError(f"{rule.id}: {'; '.join(map(str, problems))}")
        checkpoints = Checkpoints(graph, group, uuid.uuid4().hex)
        found, letters, failures = FoundByDay(graph, checkpoints), CountedLetters(), RuleFailures()
        tried = msgspec.structs.replace(rule, header=msgspec.structs.replace(rule.header, status="experimental"))
        runner = Runner(graph, [tried], failures)
        detector = Detector(
            codec,
            GraphWriter(graph, settings.writer()),
            Operation(runner, checkpoints, Backlog(graph), _NEVER_MUTED, budget_factor=math.inf),
            checkpoints,
            letters,
            DeadLetterLimit(settings.dead_letters.limit_share, settings.dead_letters.window),
            EventClock(settings.stream.lateness_s * 1000),
            telemetry.metrics,
        )
        pipeline = Pipeline(
            source,
            detector,
            found,
            checkpoints,
            batch_size=settings.stream.batch_size,
            batch_ms=settings.stream.batch_ms,
            heart=telemetry.health,
            metrics=telemetry.metrics,
        )
        yield Backtest(pipeline, codec, detector.counts, found, letters, failures)


class CountedLetters:
    """Dead letters of a replay: only how many there are, by reason."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def write(self, letter: DeadLetter) -> None:
        """Count a letter."""
        self.reasons[letter.reason] += 1

    def flush(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


class RuleFailures(Observer):
    """On how many batches the rule failed."""

    def __init__(self) -> None:
        self.count = 0

    def failed(self, rule: Rule) -> None:  # noqa: ARG002
        """Count a batch on which the rule failed."""
        self.count += 1


@dataclass
class Tally:
    """What was found in some stretch of time, each thing once."""

    findings: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    identities: set[tuple[str, ...]] = field(default_factory=set)
    evidence: set[str] = field(default_factory=set)

    def add(self, finding: Finding) -> None:
        """Take a finding; one that was found again, after a late event, is the same."""
        self.findings.add((finding.time, finding.identity))
        self.identities.add(finding.identity)
        self.evidence.update(finding.evidence)

    def told(self, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """In numbers; amounts in major units by currency, ``precision`` of what labels know (None: nothing)."""
        amounts: Counter[str] = Counter()
        verdicts: Counter[str] = Counter()
        for transaction_id in self.evidence:
            if (fact := facts.get(transaction_id)) is None:
                raise ServiceError(f"the rule returned {transaction_id!r} as evidence, which is no transaction")
            amounts[fact["currency"]] += fact["amount"]
            verdicts[fact["verdict"] or "unknown"] += 1
        fraud, legitimate = verdicts["fraud"], verdicts["legitimate"]
        return {
            "findings": len(self.findings),
            "identities": len(self.identities),
            "transactions": len(self.evidence),
            "amounts": [
                {"currency": currency, "amount": str(to_major(amount, currency))}
                for currency, amount in sorted(amounts.items())
            ],
            "fraud": fraud,
            "legitimate": legitimate,
            "unknown": verdicts["unknown"],
            "precision": round(fraud / (fraud + legitimate), 4) if fraud + legitimate else None,
        }


class FoundByDay:
    """Keeps what a replay finds, by the day (UTC) of its touch."""

    def __init__(self, graph: Graph, checkpoints: Checkpoints) -> None:
        self._graph = graph
        self._checkpoints = checkpoints
        self._days: defaultdict[str, Tally] = defaultdict(Tally)

    def take_over(self, partition: str) -> None:
        """Nobody was here before."""

    def forward(self, detection: Detection, ends: Mapping[str, int]) -> Publish:
        """Take the findings, and set the mark."""
        BatchMark(self._checkpoints, "assembled", ends).set(self._graph)
        for finding in detection.findings:
            self._days[datetime.fromtimestamp(finding.time / 1000, UTC).date().isoformat()].add(finding)
        return nothing_to_publish

    def follow_up(self, detection: Detection, partition: str) -> Publish:  # noqa: ARG002
        """Nothing is put off: a rule has all the time that it wants."""
        return nothing_to_publish

    def finish(self, partitions: Sequence[str]) -> Publish:  # noqa: ARG002
        """Nothing was held back."""
        return nothing_to_publish

    def close(self) -> None:
        """Everything is in memory."""

    def days(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What was found day by day, and in all, beside what labels say of it by now."""
        total = Tally()
        for tally in self._days.values():
            total.findings |= tally.findings
            total.identities |= tally.identities
            total.evidence |= tally.evidence
        facts = dict(self._facts(sorted(total.evidence)))
        days = [{"day": day, **tally.told(facts)} for day, tally in sorted(self._days.items())]
        return days, total.told(facts)

    def _facts(self, ids: list[str]) -> Iterable[tuple[str, dict[str, Any]]]:
        for start in range(0, len(ids), _IDS_AT_ONCE):
            rows = self._graph.read(
                "UNWIND $ids AS id MATCH (t:Transaction {id: id}) "
                "RETURN id, t.amount AS amount, t.currency AS currency, t.verdict AS verdict",
                ids=ids[start : start + _IDS_AT_ONCE],
            )
            yield from ((row["id"], row) for row in rows)
