"""The ring's life in the graph, on every engine: through restarts, and with verdicts given while a worker runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.errors import RingwatchError, Unavailable
from graph.events import Entity, Label, Verdict
from graph.writer import GraphWriter, WriterSettings
from queries.spec import Finding
from streaming.assembler import Assembler
from streaming.detector import Detection
from streaming.metrics import Metrics
from streaming.pipeline import Publish
from streaming.ring_lineage import mint_ring_id
from streaming.ring_settings import RingSettings
from streaming.ring_state import Ring
from streaming.ring_store import Letter, RingStore
from streaming.ring_verdicts import Judgement
from tests.findings import DAY, HOUR, MINUTE, finding
from tests.transactions import NOON, transaction

SCHEMA = json.loads((Path(__file__).parents[2] / "streaming" / "alert.schema.json").read_text())
SETTINGS = RingSettings()
PARTITION = "file:stream"
FIRST, SECOND, BRIDGE = (
    finding("d1", [f"hmac:{card}" for card in "abcde"], time=NOON),
    finding("d2", [f"hmac:{card}" for card in "xyz"], time=NOON + MINUTE),
    finding("d3", [f"hmac:{card}" for card in "abcxy"], time=NOON + HOUR),
)
FIRST_ID, SECOND_ID = mint_ring_id(FIRST), mint_ring_id(SECOND)


class Listed:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.is_away = False

    def published(self, lane: str) -> int:  # noqa: ARG002
        return len(self.letters)

    def publish(self, letters: Sequence[Letter], ends: Mapping[str, int]) -> None:  # noqa: ARG002
        if self.is_away:
            raise Unavailable("the publisher is away")
        self.letters += letters

    def close(self) -> None:
        pass

    def told(self, ring_id: str) -> list[list[str]]:
        alerts = [json.loads(letter.body) for letter in self.letters]
        for alert in alerts:
            jsonschema.validate(alert, SCHEMA)
        return [alert["data"]["changes"] for alert in alerts if alert["data"]["ring_id"] == ring_id]


class Life:
    """A worker on the graph under test, that may be started anew at any time."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.store = RingStore(graph)
        self.alerts = Listed()
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        self.checkpoints = Checkpoints(self.graph, "group", f"worker-{self.offset}")
        self.checkpoints.claim([PARTITION])
        self.worker = Assembler(self.graph, "embedded", self.checkpoints, self.alerts, SETTINGS, Metrics.create())
        self.worker.take_over(PARTITION)

    def see(self, *findings: Finding, watermark: int | None = None, ago: int = 0) -> None:
        """One batch: its transactions are written, its findings assembled, which come ``ago`` ms after them."""
        self.forward(*findings, watermark=watermark, ago=ago)()

    def forward(self, *findings: Finding, watermark: int | None = None, ago: int = 0) -> Publish:
        """The same without publishing."""
        rows = [
            transaction(
                key, card.removeprefix("hmac:"), event_time=one.time - ago, device=one.anchor.id, merchant="m"
            )
            for one in findings
            for key, card in zip(one.evidence, sorted(m.id for m in one.members if m.label == "Card"), strict=True)
        ]
        GraphWriter(self.graph, WriterSettings(hub_caps={"Merchant": 4})).write(rows)
        self.offset += 1
        return self.worker.forward(Detection(list(findings), [], watermark), {PARTITION: self.offset})

    def judge(self, ring_id: str, judgement: Judgement) -> Ring:
        return self.store.judge(ring_id, judgement, reason="because", by="ada", at=1_800_000_000_000)

    def hear(self, *labels: Label) -> None:
        """A batch of labels on rings."""
        heard = GraphWriter(self.graph).write(labels).labels
        self.offset += 1
        self.worker.forward(Detection([], [], None, heard), {PARTITION: self.offset})()

    def ring(self, ring_id: str) -> Ring:
        return self.store.by_ids([ring_id])[ring_id]

    def memberships(self) -> dict[str, set[str]]:
        """What Neo4j Browser would show, beside what the store reads."""
        rows = self.graph.read("MATCH (e)-[:MEMBER_OF]->(r:Ring) RETURN r.id AS ring, e.id AS id")
        return {ring: {row["id"] for row in rows if row["ring"] == ring} for ring in {row["ring"] for row in rows}}


@pytest.fixture
def life(graph: Graph) -> Life:
    return Life(graph)


def state(life: Life) -> dict[str, Any]:
    return {
        ring.id: (ring.status, ring.verdict, ring.members, ring.evidence, ring.ties, ring.split_from)
        for ring in life.store.all()
    }


def later(one: Finding, time: int, suffix: str) -> Finding:
    cards = [member.id for member in one.members if member.label == "Card"]
    return finding(one.anchor.id, cards, time=time, suffix=suffix)


@pytest.mark.parametrize("restarts", [False, True])
def test_rings_merge_and_split_the_same_through_restarts(life: Life, restarts: bool) -> None:
    batches: list[tuple[list[Finding], int]] = [
        ([FIRST], NOON),
        ([SECOND], NOON + MINUTE),
        ([BRIDGE], NOON + HOUR),
        ([later(FIRST, NOON + 2 * DAY, "2"), later(SECOND, NOON + 2 * DAY, "2")], NOON + 2 * DAY),
        ([], NOON + HOUR + SETTINGS.expiry_ms + 1),
    ]
    for findings, watermark in batches:
        life.see(*findings, watermark=watermark)
        if restarts:
            life.restart()
        if findings == [BRIDGE]:
            assert life.ring(SECOND_ID).id == FIRST_ID
            assert set(life.memberships()) == {FIRST_ID}
    kept = life.ring(FIRST_ID)
    (new,) = [ring for ring in life.store.all() if ring.id != FIRST_ID]
    assert new.split_from == FIRST_ID
    assert set(new.members) == {Entity("Device", "d2"), *(Entity("Card", f"hmac:{card}") for card in "xyz")}
    assert set(new.evidence) == {f"t-hmac:{card}{suffix}" for card in "xyz" for suffix in ("", "2")}
    assert not set(kept.evidence) & set(new.evidence)
    assert life.memberships() == {ring.id: {e.id for e in ring.members} for ring in (kept, new)}
    assert life.alerts.told(new.id) == [["split"]]
    assert life.alerts.told(FIRST_ID) == [["created"], ["merged"], ["split"]]
    # The loser's id still finds the ring that it ended in, though what it was is a ring of its own again.
    assert life.ring(SECOND_ID).id == FIRST_ID
    life.restart()
    life.see(later(SECOND, NOON + 32 * DAY, "3"), watermark=NOON + 32 * DAY)
    assert "t-hmac:x3" in life.ring(new.id).evidence


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_found_long_afterwards_is_one_ring_through_restarts(life: Life, restarts: bool) -> None:
    for number in range(4):
        time = NOON + (60 + 20 * number) * DAY
        life.see(later(FIRST, time, f"-{number}"), watermark=time, ago=60 * DAY)
        if restarts:
            life.restart()
    (ring,) = life.store.all()
    assert len(ring.evidence) == 20
    assert life.alerts.told(ring.id) == [["created"]]
    life.see(watermark=NOON + 150 * DAY + 1)
    assert life.ring(ring.id).status == "expired"


def test_a_chain_of_merges_resolves_for_ever(life: Life) -> None:
    third = finding("d9", ["hmac:q", "hmac:r"], time=NOON - HOUR)
    life.see(third, watermark=NOON)
    life.see(FIRST, SECOND, watermark=NOON + MINUTE)
    life.see(BRIDGE, watermark=NOON + HOUR)
    life.see(finding("d1", ["hmac:q", "hmac:r"], time=NOON + 2 * HOUR, rule="other", suffix="2"))
    assert {life.ring(ring_id).id for ring_id in (SECOND_ID, FIRST_ID)} == {mint_ring_id(third)}
    assert life.judge(SECOND_ID, "confirmed").id == mint_ring_id(third)
    assert life.ring(FIRST_ID).verdict == "confirmed"
    life.restart()
    life.see(SECOND, watermark=NOON + 3 * HOUR)  # what once gave birth to the loser
    assert [ring.id for ring in life.store.all()] == [mint_ring_id(third)]


def test_a_verdict_reaches_a_running_worker(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    life.judge(FIRST_ID, "investigating")
    life.judge(FIRST_ID, "dismissed")
    life.see(later(FIRST, NOON + HOUR, "2"), watermark=NOON + HOUR)
    ring = life.ring(FIRST_ID)
    assert (ring.status, ring.suppressed_count) == ("dismissed", 1)
    assert [made.status for made in ring.history] == ["investigating", "dismissed"]
    life.judge(FIRST_ID, "open")
    life.judge(FIRST_ID, "confirmed")
    life.see(later(FIRST, NOON + 3 * HOUR, "3"), watermark=NOON + 3 * HOUR)
    ring = life.ring(FIRST_ID)
    assert (ring.status, ring.verdict) == ("confirmed", "confirmed")
    assert life.alerts.told(FIRST_ID) == [["created"], ["acted"]]
    last = json.loads(life.alerts.letters[-1].body)["data"]
    assert (last["verdict"], last["risk"]["rules"][0]["confirmed"]) == ("confirmed", 1)
    assert last["risk"]["rules"][0]["risk"] == pytest.approx(8 / 11, abs=1e-6)


def word(ring_id: str, verdict: Verdict, time: int, source: str = "analyst") -> Label:
    return Label(subject=Entity("Ring", ring_id), verdict=verdict, source=source, time=time)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_label_judges_its_ring_as_people_do(life: Life, restarts: bool) -> None:
    life.see(FIRST, watermark=NOON)
    life.see(SECOND, watermark=NOON + MINUTE)
    life.see(BRIDGE, watermark=NOON + HOUR)
    life.hear(word(SECOND_ID, "legitimate", NOON + 2 * HOUR))
    if restarts:
        life.restart()
    life.see(later(FIRST, NOON + 3 * HOUR, "2"), watermark=NOON + 3 * HOUR)
    ring = life.ring(FIRST_ID)
    assert (ring.status, ring.suppressed_count) == ("dismissed", 1)
    life.hear(word(FIRST_ID, "fraud", NOON + 4 * HOUR, "chargeback"))
    life.hear(word(FIRST_ID, "legitimate", NOON + 3 * HOUR, "chargeback"))  # late: it has said otherwise since
    life.hear(word(FIRST_ID, "legitimate", NOON + 3 * HOUR, "support"))  # late: another one has
    if restarts:
        life.restart()
    life.see(later(FIRST, NOON + 5 * HOUR, "3"), watermark=NOON + 5 * HOUR)
    ring = life.ring(FIRST_ID)
    assert (ring.status, ring.verdict) == ("confirmed", "confirmed")
    assert [(made.status, made.by, made.at) for made in ring.history] == [
        ("dismissed", "analyst", NOON + 2 * HOUR),
        ("confirmed", "chargeback", NOON + 4 * HOUR),
    ]
    assert life.alerts.told(FIRST_ID)[-1] == ["acted"]
    last = json.loads(life.alerts.letters[-1].body)["data"]
    assert last["risk"]["rules"][0]["confirmed"] == 1


def test_a_label_that_comes_again_after_a_crash_changes_nothing(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    dismissal = word(FIRST_ID, "legitimate", NOON + HOUR)
    life.hear(dismissal)
    others = finding("d1", [f"hmac:{card}" for card in "pqrstuvw"], time=NOON + 2 * HOUR)
    life.see(others, watermark=NOON + 2 * HOUR)
    reopened = life.ring(FIRST_ID)
    assert reopened.status == "open"
    life.restart()
    life.worker.forward(Detection([], [], None, [dismissal]), {PARTITION: life.offset + 1})()
    assert life.ring(FIRST_ID) == reopened


def test_a_worker_with_nothing_to_save_notices_too(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    life.judge(FIRST_ID, "dismissed")
    version = life.store.ledger()["version"]
    life.see(watermark=NOON + 1)
    assert life.worker._book.rings()[0].status == "dismissed"
    assert life.store.ledger()["version"] == version


def test_a_dismissal_survives_a_restart_and_makes_no_ring_by_another_id(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    life.judge(FIRST_ID, "dismissed")
    for number in range(1, 4):
        life.restart()
        life.see(later(FIRST, NOON + number * DAY, f"-{number}"), watermark=NOON + number * DAY)
    assert [ring.id for ring in life.store.all()] == [FIRST_ID]
    assert life.ring(FIRST_ID).suppressed_count == 3
    assert life.alerts.told(FIRST_ID) == [["created"]]
    life.restart()
    takeover = finding("d1", ["hmac:a"], time=NOON + 4 * DAY, rule="takeover", severity="critical", suffix="-4")
    life.see(takeover, watermark=NOON + 4 * DAY)
    assert life.ring(FIRST_ID).status == "open"
    assert life.alerts.told(FIRST_ID)[1][0] in ("escalated", "reopened")
    assert [ring.id for ring in life.store.all()] == [FIRST_ID]


def test_a_batch_that_a_crash_cut_short_ends_in_the_same_rings(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    life.see(SECOND, watermark=NOON + MINUTE)
    before = state(life)
    lost = life.worker
    life.restart()
    with pytest.raises(RingwatchError):  # the former owner is fenced
        lost.forward(Detection([BRIDGE], [], NOON + HOUR), {PARTITION: 3})
    assert state(life) == before
    life.see(BRIDGE, watermark=NOON + HOUR)
    after, told = state(life), len(life.alerts.letters)
    life.restart()
    life.see(BRIDGE, watermark=NOON + HOUR)
    assert state(life) == after
    assert len(life.alerts.letters) == told


def test_what_cannot_be_published_now_is_published_later(life: Life) -> None:
    publish = life.forward(FIRST, watermark=NOON)
    life.alerts.is_away = True
    with pytest.raises(Unavailable):
        publish()
    life.alerts.is_away = False
    publish()
    publish()
    assert life.alerts.told(FIRST_ID) == [["created"]]


def test_what_a_worker_could_not_publish_to_its_end_is_published_by_the_next(life: Life) -> None:
    publish = life.forward(FIRST, watermark=NOON)
    life.alerts.is_away = True
    with pytest.raises(Unavailable):
        publish()
    life.worker.close()
    life.alerts.is_away = False
    life.restart()
    assert life.alerts.told(FIRST_ID) == [["created"]]


def test_what_was_held_back_is_announced_at_the_end_in_a_lane_that_is_the_workers_own(life: Life) -> None:
    life.see(FIRST, watermark=NOON)
    life.see(later(FIRST, NOON + HOUR, "2"), watermark=NOON + HOUR)
    assert life.alerts.told(FIRST_ID) == [["created"]]
    Checkpoints(life.graph, "group", "another worker").claim([PARTITION])
    life.worker.finish([])()
    assert life.alerts.told(FIRST_ID) == [["created"]]
    life.checkpoints.claim(["file:other"])
    life.worker.take_over("file:other")
    life.worker.finish(["file:other"])()
    assert [letter.lane for letter in life.alerts.letters] == [PARTITION, "file:other"]


def test_evidence_keeps_how_far_a_verdict_holds_for_it(life: Life) -> None:
    life.see(FIRST, watermark=NOON)  # the shop's fifth card makes it a hub
    life.see(later(FIRST, NOON + DAY, "2"), watermark=NOON + DAY)
    life.judge(FIRST_ID, "confirmed")
    assert {fact.confidence for key, fact in life.ring(FIRST_ID).evidence.items() if key.endswith("2")} == {0.5}
    assert {fact.confidence for key, fact in life.ring(FIRST_ID).evidence.items() if key[-1] != "2"} == {0.9}
    rows = life.graph.read(
        "MATCH (r:Ring {verdict: 'confirmed'}) MATCH (e:Evidence {ring: r.id}) "
        "RETURN r.verdict_at AS at, e.transactions AS transactions, e.confidences AS confidences"
    )
    assert {row["at"] for row in rows} == {1_800_000_000_000}
    assert all(len(row["transactions"]) == len(row["confidences"]) for row in rows)


def test_there_is_no_verdict_on_what_is_not_there(life: Life) -> None:
    verdicts = life.store.ledger()["verdicts"]
    with pytest.raises(RingwatchError, match="there is no ring ring-0"):
        life.judge("ring-0", "confirmed")
    assert life.store.ledger()["verdicts"] == verdicts
