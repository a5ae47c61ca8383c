"""Rings that no rule names: what each new transaction makes of the last hours, held in memory.

The watch takes what its worker has written in order of event time, and looks around each transaction for a dense
block: what it says at a touch depends on the transactions before it and not on the batch around it. Where batches
do not keep to event time, their order decides: a late transaction is looked at from the newest moment, with what
is known by then, and touches before that are not looked at again.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from graph.driver import Graph
from graph.events import Entity, Transaction
from graph.history import hubs_among, identifiers_since, transactions_since
from graph.writer import Written
from queries.spec import Finding, Measure, Member
from streaming.bursts import Bursts
from streaming.dense_block import Block, DenseBlockSearch, DensitySettings
from streaming.event_time import EventClock
from streaming.metrics import Metrics
from streaming.recent import PLACES, RESOLUTION_MS, RecentTransactions, ends_of, identifiers_of

#: What findings of the search carry in place of a rule's id.
RULE = "dense_block"
_VERSION = 2

#: What is older than so many half-lives weighs less than a thousandth, and is forgotten.
_HALF_LIVES = 10
_MOST_EVIDENCE = 200


class GraphWatch:
    """Finds dense blocks in what was written, and says of every finding how much its members burst.

    Memory is the transactions of the last ten half-lives, at most ``limit`` of them. It is read back from the
    graph when the first batch comes: a worker that was started again goes on as if it had never stopped.
    But for one thing: what a refund or a terminal tells of an account's identifiers is known only then.
    """

    def __init__(self, graph: Graph, settings: DensitySettings, limit: int, metrics: Metrics) -> None:
        self._graph = graph
        self._settings = settings
        self._limit = limit
        self._metrics = metrics
        self._memory: _Memory | None = None

    def observe(self, written: Written, findings: Sequence[Finding]) -> list[Finding]:
        """The rules' findings and those of this watch, each with its ``burst``, by time, rule and identity.

        Raises:
            Unavailable: the graph is away; the same call may be made again.
        """
        if not written.accepted:
            return list(findings)
        started = time.perf_counter()
        memory = self._memory = self._memory or self._rebuilt(written.accepted)
        dropped = memory.recent.dropped
        waiting = deque(sorted(findings, key=_order_of_findings))
        found: list[Finding] = []
        for transaction in sorted(written.accepted, key=lambda t: (t.event_time, t.transaction_id)):
            while waiting and waiting[0].time < transaction.event_time:
                found.append(memory.with_burst(waiting.popleft()))
            for label, entity_id in transaction.entities():
                if written.entities[label][entity_id].hub_since <= transaction.event_time:
                    memory.recent.mark_hub(Entity(label, entity_id))
            if (block := memory.take(transaction)) is not None:
                found.append(memory.with_burst(self._finding(transaction, block)))
        found += map(memory.with_burst, waiting)
        labels = {"rule": RULE}
        self._metrics.rule_seconds.record(time.perf_counter() - started, labels)
        self._metrics.rule_anchors.add(len(written.accepted), labels)
        self._metrics.rule_findings.add(len(found) - len(findings), labels)
        self._metrics.density_dropped.add(memory.recent.dropped - dropped)
        self._metrics.density_held.replace(
            {"transactions": len(memory.recent), "edges": len(memory.recent.components)}
        )
        return sorted(found, key=_order_of_findings)

    def order(self, entity: Entity) -> float:
        """How urgent it is to look at an entity, by how far it runs above its own past; larger is more urgent."""
        return self._memory.bursts.score(entity) if self._memory is not None else 0.0

    def _rebuilt(self, batch: Sequence[Transaction]) -> _Memory:
        """What was in memory before a batch, which the graph has already."""
        memory = _Memory(self._settings, self._limit)
        first = min(transaction.event_time for transaction in batch)
        # Not further back than a span before the median: one clock that is far off must not decide what is read.
        middle = int(statistics.median(transaction.event_time for transaction in batch))
        since = max(first, middle - memory.span_ms) - memory.span_ms
        ids = {transaction.transaction_id for transaction in batch}
        told = {
            (Entity("Account", transaction.account), identifier)
            for transaction in batch
            if transaction.account is not None
            for identifier in identifiers_of(transaction)
        }
        for transaction in transactions_since(self._graph, since, self._limit):
            if transaction.transaction_id not in ids:
                memory.remember(transaction)
        recent = memory.recent
        for account, identifier, seen, last in identifiers_since(self._graph, recent.accounts(), since):
            if seen < first // RESOLUTION_MS * RESOLUTION_MS or (account, identifier) not in told:
                recent.identify(account, identifier, last)
        for hub, hub_since in hubs_among(self._graph, recent.ends()):
            if hub_since <= first:
                recent.mark_hub(hub)
        return memory

    def _finding(self, transaction: Transaction, block: Block) -> Finding:
        settings, card = self._settings, Entity("Card", transaction.card)
        core = {entity for entity in block.shared if entity.label != "Merchant"}
        return Finding(
            rule=RULE,
            rule_version=_VERSION,
            severity="high",
            anchor=card,
            time=max(transaction.event_time, block.payments[-1].time),
            identity=tuple(min(entity for entity in core if entity.label not in PLACES)),
            members=tuple(
                sorted(
                    [Member(label, entity_id, "core") for label, entity_id in core]
                    + [Member(label, entity_id, "member") for label, entity_id in block.cards | block.owners]
                )
            ),
            evidence=tuple(sorted(payment.id for payment in block.payments[-_MOST_EVIDENCE:])),
            measures=(
                Measure(
                    "density",
                    round(block.density, 3),
                    settings.min_density,
                    "how densely cards are tied by what they share, the rare and the recent counting more",
                ),
                Measure("owners", len(block.owners), settings.min_owners, "owners of these cards"),
                Measure("cards", len(block.cards), None, "cards, each tied to others in two ways"),
            ),
            parameters={
                "half_life_ms": settings.half_life_ms,
                "min_density": settings.min_density,
                "min_owners": settings.min_owners,
            },
            part="density",
        )


class _Memory:
    """What the watch holds; ``span_ms`` is how much event time."""

    def __init__(self, settings: DensitySettings, limit: int) -> None:
        self.span_ms = _HALF_LIVES * settings.half_life_ms
        self.recent = RecentTransactions(self.span_ms, limit)
        self.bursts = Bursts(self.span_ms)
        self._search = DenseBlockSearch(self.recent, settings)
        self._clock = EventClock(0)

    def remember(self, transaction: Transaction) -> int:
        """Count a transaction, once; returns the event time that the stream has reached."""
        self._clock.observe("", transaction.event_time)
        now = self._clock.advance() or transaction.event_time
        self.recent.advance(now)
        if self.recent.add(transaction):
            self.bursts.count(transaction, now)
        return now

    def take(self, transaction: Transaction) -> Block | None:
        """Count a transaction, and look around it."""
        now = self.remember(transaction)
        if not ends_of(transaction):
            return None
        return self._search.around(Entity("Card", transaction.card), max(now, transaction.event_time))

    def with_burst(self, finding: Finding) -> Finding:
        """A finding with the highest score of its members as they stand."""
        return msgspec.structs.replace(finding, burst=round(self.bursts.highest(finding.members), 3))


def _order_of_findings(finding: Finding) -> tuple[int, str, tuple[str, ...]]:
    return finding.time, finding.rule, finding.identity
