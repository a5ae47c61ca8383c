"""The stage that owns rings: findings in; rings, outbox and checkpoint in one graph transaction; then alerts."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from graph.checkpoints import Checkpoints
from graph.driver import Graph, Tx
from graph.events import Entity, Label
from streaming.alerts import AlertFactory, EntityFacts
from streaming.allow_list import AllowList
from streaming.detector import BatchMark, Detection
from streaming.metrics import Metrics
from streaming.pipeline import Publish
from streaming.publishers import Publisher
from streaming.ring_lineage import mint_ring_id
from streaming.ring_settings import RingSettings
from streaming.ring_state import Update
from streaming.ring_store import Letter, RingStore, StaleBookError
from streaming.rings import RingBook

log = logging.getLogger(__name__)

#: The lane of the rings that learned scores show: the scorer fills it, and a worker with a publisher empties it.
SCORES_LANE = "scores"

_RELAY_EVERY_S = 1.0


class Assembler:
    """Assembles rings, and publishes their alerts.

    Alerts are numbered in lanes, one for each partition, so that whoever takes over a partition can tell from the
    outbox and the publisher what its former owner still had to publish. Without a publisher alerts stay in the
    outbox, for a worker that has one (:meth:`relay`). ``announce`` is told what got out.
    """

    def __init__(
        self,
        graph: Graph,
        graph_address: str,
        checkpoints: Checkpoints,
        publisher: Publisher | None,
        settings: RingSettings,
        metrics: Metrics,
        announce: Callable[[Sequence[Letter]], None] = lambda _: None,
    ) -> None:
        self._announce = announce
        self._graph = graph
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._settings = settings
        self._metrics = metrics
        self._store = RingStore(graph)
        self._allow_list = AllowList(graph)
        self._alerts = AlertFactory(self._store.ledger()["graph"], graph_address)
        self._numbers: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self._relay_at = 0.0
        self.alerts = 0
        self._load()

    def take_over(self, partition: str) -> None:
        """Publish what a crash left between the graph's commit and the publisher's."""
        last = self._store.last_number(partition)
        self._numbers[partition] = self._published[partition] = last
        if self._publisher is not None and self._store.outbox(partition):
            self._published[partition] = published = self._publisher.published(partition)
            self._publish(partition, {})
            log.info("outbox_recovered", extra={"lane": partition, "published": max(last - published, 0)})

    def forward(self, detection: Detection, ends: Mapping[str, int]) -> Publish:
        """Let a detection change rings, once and for all; what is returned publishes what is due."""
        self._heed(detection.verdicts)
        lane = min(ends)
        self._settle(self._screened(detection), ends, lane)
        return partial(self._publish, lane, ends)

    def follow_up(self, detection: Detection, partition: str) -> Publish:
        """Let what belongs to no batch change rings, in a partition's lane."""
        self._settle(self._screened(detection), {}, partition)
        return partial(self._publish, partition, {})

    def finish(self, partitions: Sequence[str]) -> Publish:
        """Announce what was folded, in the lane of one of the partitions: the stream has ended."""
        lane = min(partitions, default=None)
        if lane is not None:
            self._settle(None, {}, lane)

        def publish() -> None:
            if lane is not None:
                self._publish(lane, {})
            self._relay_at = 0.0
            self.relay()

        return publish

    def close(self) -> None:
        """Forget the outbox as far as it is published."""
        for lane, number in self._published.items() if self._publisher is not None else ():
            self._graph.write(partial(self._store.clear_outbox, lane=lane, published=number))

    def relay(self) -> None:
        """Publish the alerts of those who assemble rings and have no publisher; looks for some once a second.

        The lane is locked meanwhile, for other workers do the same.
        """
        publisher = self._publisher
        if publisher is None or time.monotonic() < self._relay_at:
            return
        self._relay_at = time.monotonic() + _RELAY_EVERY_S
        if not self._store.outbox(SCORES_LANE):
            return

        def work(tx: Tx) -> list[Letter]:
            letters = self._store.locked_outbox(tx, SCORES_LANE)
            if letters:
                published = publisher.published(SCORES_LANE)
                publisher.publish([letter for letter in letters if letter.number > published], {})
                self._store.clear_outbox(tx, SCORES_LANE, letters[-1].number)
            return letters

        letters = self._graph.write(work)
        self.alerts += len(letters)
        self._announce(letters)

    def _heed(self, labels: Iterable[Label]) -> None:
        """Let labels judge rings, as people do: before the batch that they came in, and each for itself."""
        for label in sorted(labels, key=lambda one: (one.time, one.verdict == "fraud", one.source)):
            self._stale |= self._store.heed(label)

    def _load(self) -> None:
        ledger = self._store.ledger()
        self._version: int = ledger["version"]
        self._watermark: int | None = ledger["watermark"]
        self._verdicts: int = ledger["verdicts"]
        self._numbers = {lane: self._store.last_number(lane) for lane in self._numbers}
        self._book = RingBook(self._settings, self._store.live())
        self._calibration = self._store.calibration()
        self._allow_list_applied = False
        self._stale = False

    def _screened(self, detection: Detection) -> Detection:
        """The detection without what only allow-listed entities hold together."""
        self._reread_allow_list()
        screened = map(self._allow_list.screen, detection.findings)
        findings = [finding for finding in screened if finding is not None]
        self._metrics.allowed_findings.add(len(detection.findings) - len(findings))
        return msgspec.structs.replace(detection, findings=findings)

    def _reread_allow_list(self) -> None:
        if self._allow_list.refresh():
            self._allow_list_applied = False

    def _apply_allow_list(self) -> None:
        """Withdraw rings that were found before what holds them together was put on the list."""
        self._reread_allow_list()
        if not self._allow_list_applied:
            now = self._watermark or 0
            for entity in self._allow_list.allowed(now):
                self._book.withdraw(entity, now, "allow_listed")
            self._allow_list_applied = True

    def _settle(self, detection: Detection | None, ends: Mapping[str, int], lane: str) -> None:
        started = time.perf_counter()
        while True:
            if self._stale:
                self._load()
            self._stale = True  # until the graph has what memory has
            try:
                updates = self._change(detection, ends, lane)
                break
            except StaleBookError:
                continue
        self._stale = False
        self._metrics.batch_seconds.record(time.perf_counter() - started, {"phase": "assemble"})
        for update in updates:
            for typology in update.ring.typologies if update.changes else ():
                self._metrics.alerts.add(1, {"typology": typology})
            if update.ring.verdict == "dismissed":
                self._metrics.suppressed_findings.add(update.folded)

    def _publish(self, lane: str, ends: Mapping[str, int]) -> None:
        """Publish what the graph holds of a lane and the publisher does not: tried again, it is still the same."""
        started = time.perf_counter()
        publisher, letters = self._publisher, list[Letter]()
        if publisher is not None:
            if self._published[lane] < self._numbers[lane]:
                letters = [one for one in self._store.outbox(lane) if one.number > self._published[lane]]
            publisher.publish(letters, ends)
            self._published[lane] = self._numbers[lane]
        self.alerts += len(letters)
        self._announce(letters)
        self._metrics.batch_seconds.record(time.perf_counter() - started, {"phase": "publish"})

    def _change(self, detection: Detection | None, ends: Mapping[str, int], lane: str) -> list[Update]:
        if detection is None:
            self._book.flush()
        else:
            self._take(detection)
        self._apply_allow_list()
        updates = self._book.updates()
        if due := [update.ring for update in updates if update.changes]:
            self._store.ask_models(due)
        letters = self._letters(updates, lane)
        mark = BatchMark(self._checkpoints, "assembled", ends)

        def work(tx: Tx) -> int:
            if mark.reached(tx):
                return self._version + bool(updates)
            version = self._version
            if updates:
                version = self._store.save(tx, updates, letters, version=version, watermark=self._watermark)
            elif self._store.verdicts(tx) != self._verdicts:
                raise StaleBookError
            if letters and self._publisher is not None:
                self._store.clear_outbox(tx, lane, self._published[lane])
            mark.advance(tx)
            return version

        if updates or ends or detection is not None:
            self._version = self._graph.write(work)
            mark.committed()
        if letters:
            self._numbers[lane] = letters[-1].number
        return updates

    def _take(self, detection: Detection) -> None:
        evidence = {key for finding in detection.findings for key in finding.evidence}
        self._resolve(detection)
        if unknown := evidence - self._book.facts.keys():
            self._book.facts.update(self._store.facts(unknown))
        events = [(finding.time, 1, index) for index, finding in enumerate(detection.findings)]
        events += [(since, 0, index) for index, (_, since) in enumerate(detection.hubs)]
        for _, is_finding, index in sorted(events):
            if is_finding:
                self._book.take(detection.findings[index])
            else:
                self._book.withdraw(*detection.hubs[index])
        if detection.watermark is not None and detection.watermark > (self._watermark or 0):
            self._watermark = detection.watermark
            self._book.expire(detection.watermark)

    def _resolve(self, detection: Detection) -> None:
        """Find the stored rings that replayed findings would give birth to once more; take up the expired ones."""
        minted = {mint_ring_id(finding) for finding in detection.findings}
        unknown = {ring_id for ring_id in minted if ring_id not in self._book}
        born = self._store.by_ids(unknown) if unknown else {}
        for ring in born.values():
            if ring.id not in self._book and ring.status == "expired":
                ring.status = ring.verdict or "open"
                self._book.add(ring)
        self._book.births = {ring_id: ring.id for ring_id, ring in born.items()}

    def _letters(self, updates: Iterable[Update], lane: str) -> list[Letter]:
        due = [update for update in updates if update.changes]
        facts = self._entity_facts({entity for update in due for entity in update.ring.cores()})
        return [
            self._alerts.alert(update, facts, self._calibration, lane, number)
            for number, update in enumerate(due, start=self._numbers[lane] + 1)
        ]

    def _entity_facts(self, entities: set[Entity]) -> dict[Entity, EntityFacts]:
        by_label: dict[str, list[str]] = defaultdict(list)
        for label, entity_id in sorted(entities):
            by_label[label].append(entity_id)
        return {
            Entity(label, row["id"]): EntityFacts(row["degree"], row["is_hub"])
            for label, ids in by_label.items()
            for row in self._graph.read(
                f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) "
                "RETURN n.id AS id, n.degree AS degree, n.is_hub AS is_hub",
                ids=ids,
            )
        }
