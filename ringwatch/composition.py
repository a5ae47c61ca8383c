"""Wiring: the one place where settings and addresses become working parts."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graph import schema
from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.embedded import is_embedded, open_graph
from graph.errors import ConfigurationError
from graph.retention import expire
from graph.writer import Describe, GraphWriter
from queries.rule_set import RuleSet
from queries.spec import Rule
from ringwatch.inputs import opened_sources
from ringwatch.rule_metrics import RuleCounts, RuleMetrics
from ringwatch.rule_operation import operated_rules, rule_choice
from ringwatch.settings import Settings
from ringwatch.telemetry import Telemetry
from streaming.addresses import is_kafka, parse_kafka
from streaming.assembler import Assembler
from streaming.codec import Codec
from streaming.dead_letters import DeadLetterLimit, DeadLetterSink, open_sink
from streaming.dense_block import DensitySettings
from streaming.detector import Counts, Detector
from streaming.event_time import EventClock
from streaming.findings import FindingsForwarder, FindingsReader, findings_topic
from streaming.metrics import Metrics
from streaming.pipeline import Forwarder, Front, Pipeline
from streaming.publishers import FilePublisher, KafkaPublisher, Publisher, StdoutPublisher
from streaming.records import Source
from streaming.ring_settings import RingSettings
from streaming.ring_store import Letter, RingStore
from streaming.sources.kafka import KafkaSource
from streaming.tokens import CardTokenizer, load_card_key
from streaming.topics import ensure_topic, partition_count
from streaming.watch import GraphWatch

if TYPE_CHECKING:
    from ringwatch.arrival_scoring import ArrivalScoring

Stage = Literal["all", "detect", "assemble"]

#: While a worker waits for the graph it must still be able to tell its consumer group that it lives.
_WORKER_PATIENCE_S = 5.0
#: A person waits for a command.
_COMMAND_PATIENCE_S = 10.0
_COUNT_RINGS_EVERY_S = 10.0
#: A batch makes about this many objects, hardly any of them in cycles: Python's 700 would search them all day.
COLLECT_EVERY = 100_000
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class RunOptions:
    """What ``ringwatch run`` was asked to do, beside the settings."""

    source: str
    alerts: str | None = None
    dead_letters: str | None = None
    mapping: dict[str, str] = field(default_factory=dict)
    time_format: str | None = None
    sort: bool = False
    labels: str | None = None
    stage: Stage = "all"
    until_end: bool = False


@dataclass(frozen=True)
class Worker:
    """A pipeline that is ready to run, and what can be asked of it."""

    pipeline: Pipeline
    graph: Graph
    codec: Codec
    counts: Counts
    rules: Mapping[str, RuleCounts]
    alerts: Callable[[], int]


def beside_the_graph(settings: Settings, name: str) -> Path:
    """Where a file goes that nobody named: in the embedded engine's folder, else in ``.ringwatch``."""
    _, _, folder = settings.graph.address.partition(":")
    if is_embedded(settings.graph.address) and folder not in ("", "temporary"):
        return Path(folder) / name
    return Path(".ringwatch") / name


def tokenizer_for(settings: Settings, *, own_key_allowed: bool = True) -> CardTokenizer:
    """The card tokeniser; only the embedded default may use a key of the user's own file.

    Whoever sends tokens to others must share a key with them: ``own_key_allowed`` is false then.
    """
    if settings.card_key is not None:
        return CardTokenizer(settings.card_key.get_secret_value().encode())
    allowed = own_key_allowed and is_embedded(settings.graph.address)
    return CardTokenizer(load_card_key(allow_user_file=allowed))


def rules_for(settings: Settings) -> list[Rule]:
    """The rules that run: the shipped ones and those of the user's folder, without those switched off.

    Raises:
        ConfigurationError: a file is no rule, or the settings name a rule or a parameter that does not exist.
    """
    return RuleSet(rule_choice(settings)).rules


@contextmanager
def opened_graph(settings: Settings, patience_s: float = _COMMAND_PATIENCE_S) -> Iterator[Graph]:
    """The graph that the settings name, with its schema in place."""
    with connected_graph(settings, patience_s) as graph:
        schema.apply(graph)
        yield graph


def refuse_history(graph: Graph, who: str) -> None:
    """Keep what replays stories of its own out of a graph that is in use.

    Raises:
        ConfigurationError: the graph holds transactions already.
    """
    if graph.read("MATCH (t:Transaction) RETURN t.id LIMIT 1"):
        raise ConfigurationError(f"{who} writes: name an empty graph, or none for a temporary one")


@contextmanager
def connected_graph(settings: Settings, patience_s: float = _COMMAND_PATIENCE_S) -> Iterator[Graph]:
    """The graph that the settings name, as it is."""
    password = settings.graph.password
    with open_graph(
        settings.graph.address,
        user=settings.graph.user,
        password=password.get_secret_value() if password else None,
        database=settings.graph.database,
        patience_s=patience_s,
    ) as graph:
        yield graph


@contextmanager
def opened_worker(
    settings: Settings,
    options: RunOptions,
    telemetry: Telemetry,
    source: Source | None = None,
    announce: Callable[[Sequence[Letter]], None] = lambda _: None,
) -> Iterator[Worker]:
    """Everything that ``ringwatch run`` needs, opened; closed in reverse order at the end.

    A ``source`` that is given takes the place of the one that the options name; ``announce`` is told of every
    alert that got out.
    """
    gc.set_threshold(COLLECT_EVERY)
    with ExitStack() as stack:
        group = settings.kafka.group + (".assemble" if options.stage == "assemble" else "")
        owner = uuid.uuid4().hex
        codec = Codec(tokenizer_for(settings), options.mapping, options.time_format)
        transactions, source = opened_sources(settings, options, group, codec, stack, source)
        graph = stack.enter_context(opened_graph(settings, _WORKER_PATIENCE_S))
        checkpoints = Checkpoints(graph, group, owner)
        metrics = telemetry.metrics
        counts, rules = Counts(), RuleMetrics(metrics)
        chores: list[Callable[[], None]] = []
        front: Front
        forwarder: Forwarder
        if options.stage == "assemble":
            front = FindingsReader(graph, checkpoints)
        else:
            letters = stack.enter_context(_dead_letters(settings, options))
            clock = EventClock(settings.stream.lateness_s * 1000)
            clock.restore(RingStore(graph).ledger()["watermark"])
            watch = _watch(graph, settings, metrics)
            order = watch.order if watch is not None else None
            operation, reload = operated_rules(graph, settings, checkpoints, rules, order)
            chores.append(reload)
            describe: Describe = lambda *_: {}  # noqa: E731
            if settings.scores.models is not None:
                scoring = _arrival_scoring(graph, settings, settings.scores.models, metrics)
                describe = scoring.describe
                chores.append(scoring.refresh)
            front = detector = Detector(
                codec,
                GraphWriter(graph, settings.writer(), describe),
                operation,
                checkpoints,
                letters,
                DeadLetterLimit(settings.dead_letters.limit_share, settings.dead_letters.window),
                clock,
                metrics,
                watch,
            )
            counts = detector.counts
        if options.stage == "detect":
            if not is_kafka(options.source):
                raise ConfigurationError("--stage detect needs a Kafka source: findings go to a topic beside it")
            address = findings_topic(parse_kafka(options.source))
            ensure_topic(address, settings.kafka.properties(), 1)
            forwarder = FindingsForwarder(graph, checkpoints, address, settings.kafka.properties())
        else:
            graph_id = RingStore(graph).ledger()["graph"]
            publisher = _publisher(settings, options, group, owner, graph_id, transactions)
            stack.callback(publisher.close)
            forwarder = assembler = Assembler(
                graph,
                settings.graph.address,
                checkpoints,
                publisher,
                ring_settings(settings),
                metrics,
                announce,
            )
            chores.append(assembler.relay)
        pipeline = Pipeline(
            source,
            front,
            forwarder,
            checkpoints,
            batch_size=settings.stream.batch_size,
            batch_ms=settings.stream.batch_ms,
            heart=telemetry.health,
            metrics=metrics,
            chores=_Housekeeping(graph, settings, metrics, chores),
        )
        yield Worker(
            pipeline,
            graph,
            codec,
            counts,
            rules.counts,
            lambda: 0 if options.stage == "detect" else assembler.alerts,
        )


class _Housekeeping:
    """Small chores between batches: those given, retention by event time, and how many rings there are."""

    def __init__(
        self, graph: Graph, settings: Settings, metrics: Metrics, chores: Sequence[Callable[[], None]]
    ) -> None:
        self._graph = graph
        self._settings = settings
        self._metrics = metrics
        self._chores = chores
        self._swept = 0
        self._count_at = 0.0

    def __call__(self, watermark: int | None) -> None:
        for chore in self._chores:
            chore()
        if time.monotonic() >= self._count_at:
            self._metrics.rings.replace(RingStore(self._graph).count())
            self._count_at = time.monotonic() + _COUNT_RINGS_EVERY_S
        if watermark is None or watermark - self._swept < _HOUR_MS:
            return
        cutoff = watermark - self._settings.retention_days * _DAY_MS
        caps = self._settings.writer().hub_caps
        # As many as one batch may bring: retention keeps up with the stream, and does not hold it up.
        size = self._settings.stream.batch_size
        expired = expire(self._graph, cutoff, hub_caps=caps, batch=size, max_batches=1)
        for kind in ("transactions", "relationships", "entities"):
            self._metrics.retention_deletions.add(getattr(expired, kind), {"kind": kind})
        if expired.complete:
            self._swept = watermark


def _watch(graph: Graph, settings: Settings, metrics: Metrics) -> GraphWatch | None:
    chosen = settings.density
    if not chosen.enabled:
        return None
    wanted = DensitySettings(
        half_life_ms=chosen.half_life_s * 1000,
        min_density=chosen.min_density,
        min_owners=chosen.min_owners,
    )
    return GraphWatch(graph, wanted, chosen.max_transactions, metrics)


def ring_settings(settings: Settings) -> RingSettings:
    """How long rings and their dismissals last."""
    rings = settings.rings
    return RingSettings(expiry_ms=rings.expiry_days * _DAY_MS, dismissal_ms=rings.dismissal_days * _DAY_MS)


def _arrival_scoring(graph: Graph, settings: Settings, models: str, metrics: Metrics) -> ArrivalScoring:
    try:
        # Only who scores needs what these import.
        from gnn.registry import open_registry
        from ringwatch.arrival_scoring import ArrivalScoring
        from ringwatch.promoted_model import PromotedModel
    except ImportError as error:
        raise ConfigurationError(f"scores need what `pip install 'ringwatch[scores]'` brings: {error}") from error
    promoted = PromotedModel(open_registry(models), beside_the_graph(settings, "models"))
    return ArrivalScoring(graph, promoted, metrics)


def _publisher(
    settings: Settings, options: RunOptions, group: str, owner: str, graph_id: str, source: Source
) -> Publisher:
    origin = f"ringwatch/{graph_id}"
    if options.alerts == "-":
        return StdoutPublisher()
    if options.alerts is None or not is_kafka(options.alerts):
        path = Path(options.alerts) if options.alerts else beside_the_graph(settings, "alerts.jsonl")
        return FilePublisher(path, origin)
    address, client = parse_kafka(options.alerts), settings.kafka.properties()
    partition_count(address, client)
    offsets = None
    if isinstance(source, KafkaSource) and parse_kafka(options.source).bootstrap == address.bootstrap:
        offsets = source.offsets
    return KafkaPublisher(address, client, group, origin, owner, offsets)


@contextmanager
def _dead_letters(settings: Settings, options: RunOptions) -> Iterator[DeadLetterSink]:
    address = options.dead_letters or str(beside_the_graph(settings, "dead-letters.jsonl"))
    sink = open_sink(address, settings.kafka.properties())
    try:
        yield sink
    finally:
        sink.close()
