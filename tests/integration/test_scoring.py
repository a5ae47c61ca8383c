"""Learned scores beside the stream, on every engine: risks in the graph, rings, alerts, and what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from gnn.learned_rings import RingCriteria
from gnn.registry import open_registry
from gnn.snapshot import LATER_MS
from graph import schema
from graph.checkpoints import Checkpoints
from graph.driver import Graph, connect
from graph.embedded import EmbeddedEngine, embedded_engine
from graph.errors import Fenced, Unavailable
from graph.events import Entity, Event, Transaction
from graph.schema import HOUR_MS
from graph.scores import Score, ScoreStore, last_pass
from graph.writer import GraphWriter
from ringwatch.arrival_scoring import ArrivalScoring
from ringwatch.promoted_model import PromotedModel
from ringwatch.scoring import Scoring
from streaming.addresses import parse_kafka
from streaming.assembler import SCORES_LANE, Assembler
from streaming.metrics import Metrics
from streaming.publishers import KafkaPublisher
from streaming.ring_settings import RingSettings
from streaming.ring_store import RingStore
from streaming.topics import ensure_topic
from tests.gnn.histories import START, label
from tests.gnn.models import promote, write_model
from tests.integration.test_ring_life import SCHEMA, Listed
from tests.services.kafka import KafkaServer
from tests.services.neo4j import wipe
from tests.worker import Ringwatch, read_lines, read_topic

RING = [
    Transaction(
        transaction_id=f"ring{number}",
        event_time=START + 2 * HOUR_MS + 90_000 * number,
        card=f"hmac:r{number}",
        account=f"account{number}",
        amount=5000,
        digest=f"{number}",
        currency="EUR",
        device="farm",
        merchant="m1",
    )
    for number in range(6)
]
HONEST = [
    Transaction(
        transaction_id=f"honest{number}",
        event_time=START + 60_000 * number,
        card=f"hmac:h{number}",
        amount=1000 + number,
        digest=f"h{number}",
        currency="EUR",
        device=f"own{number}",
        merchant=f"m{number % 5}",
    )
    for number in range(40)
]
MORE = [
    msgspec.structs.replace(
        one,
        transaction_id=f"more{number}",
        event_time=one.event_time + HOUR_MS,
        card=f"hmac:n{number}",
        account=f"another{number}",
        device="second-farm",
    )
    for number, one in enumerate(RING)
]

#: Those that are looked at for the last time when the ring comes.
YOUNG = [one for one in HONEST if one.event_time + LATER_MS >= HONEST[-1].event_time]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


class Beside:
    """A scorer beside a stream on the graph under test."""

    def __init__(self, graph: Graph, folder: Path, owner: str = "scorer") -> None:
        self.graph = graph
        self.store = ScoreStore(graph, owner)
        promoted = PromotedModel(open_registry(str(folder / "models")), folder / "cache")
        assembler = _assembler(graph, owner, None)
        self.scoring = Scoring(graph, self.store, promoted, assembler, RingCriteria(), Metrics.create())

    def risks(self, label: str) -> dict[str, float]:
        rows = self.graph.read(f"MATCH (n:{label}) WHERE n.risk IS NOT NULL RETURN n.id AS id, n.risk AS risk")
        return {row["id"]: row["risk"] for row in rows}


def _assembler(graph: Graph, owner: str, publisher: Listed | None) -> Assembler:
    checkpoints = Checkpoints(graph, owner, owner)
    assembler = Assembler(graph, "embedded", checkpoints, publisher, RingSettings(), Metrics.create())
    assembler.take_over(SCORES_LANE)
    return assembler


def write(graph: Graph, events: Sequence[Event]) -> None:
    GraphWriter(graph).write(events)


@pytest.fixture
def beside(graph: Graph, model: Path, tmp_path: Path) -> Beside:
    promote(model, tmp_path / "models")
    return Beside(graph, tmp_path)


def test_a_pass_gives_nodes_a_risk_and_makes_a_ring_that_is_explained(graph: Graph, beside: Beside) -> None:
    write(graph, HONEST)
    first = beside.scoring.once()
    assert (first.payments, first.findings) == (len(HONEST), 0)
    write(graph, RING)
    second = beside.scoring.once()
    assert second.findings == 1
    payments = beside.risks("Transaction")
    risky = [payments[one.transaction_id] for one in RING]
    assert min(risky) > 0.5 > max(payments[one.transaction_id] for one in HONEST)
    assert beside.risks("Device")["farm"] == pytest.approx(sum(risky) / len(risky))
    (row,) = graph.read("MATCH (d:Device {id: 'farm'}) RETURN d.risk_model AS model, d.risk_time AS time")
    assert row == {"model": second.model, "time": RING[-1].event_time}
    (ring,) = RingStore(graph).all()
    assert set(ring.evidence) == {one.transaction_id for one in RING}
    assert [(entity.label, entity.id) for entity in ring.cores()] == [("Device", "farm")]
    # Nobody has heard of it yet; a worker that publishes passes it on, once.
    published = Listed()
    worker = _assembler(graph, "worker", published)
    worker.relay()
    worker.relay()
    (letter,) = published.letters
    alert = json.loads(letter.body)
    jsonschema.validate(alert, SCHEMA)
    data = alert["data"]
    assert [typology["id"] for typology in data["typologies"]] == ["learned"]
    assert data["risk"]["model"] == pytest.approx(sum(risky) / len(risky), abs=1e-4)
    assert data["risk"]["model_version"] == second.model
    said = "\n".join(data["reasons"])
    assert "without its device that would be" in said
    assert f"scored by model {second.model}" in said


def test_a_ring_s_risk_follows_what_passes_say_of_its_payments(graph: Graph, beside: Beside) -> None:
    store = RingStore(graph)

    def told() -> tuple[float | None, str | None]:
        (ring,) = store.all()
        assert ring.learned is not None
        return ring.learned.risk, ring.learned.model

    write(graph, [*HONEST, *RING])
    beside.scoring.once()
    scores = [Score(Entity("Transaction", one.transaction_id), 0.25) for one in RING]
    beside.store.write(scores, model="another", time=RING[-1].event_time + 1)
    assert told() == (0.25, "another")
    # Retention takes payments before it forgets rings.
    graph.write(lambda tx: tx.run("MATCH (t:Transaction) DETACH DELETE t"))
    assert told() != (None, None)


def test_a_pass_costs_what_has_changed(graph: Graph, beside: Beside) -> None:
    write(graph, HONEST)
    assert last_pass(graph) is None
    beside.scoring.once()
    for later, waiting in ([], 0), (RING[:1], 1):
        write(graph, later)
        done = last_pass(graph)
        assert done is not None
        assert (done.time, done.waiting) == (HONEST[-1].event_time, waiting)
    assert beside.scoring.once().payments == 1 + len(YOUNG)
    assert beside.scoring.once().payments == 0
    assert graph.read("MATCH (u:Unscored) RETURN u") == []
    write(graph, [label(RING[0].transaction_id, True, RING[0].event_time + 1000)])
    assert beside.scoring.once().payments == 1


def test_a_scorer_that_is_started_anew_goes_on(graph: Graph, beside: Beside, tmp_path: Path) -> None:
    write(graph, HONEST)
    beside.scoring.once()
    before = beside.risks("Transaction")
    write(graph, RING)
    again = Beside(graph, tmp_path, "another")
    assert again.scoring.once().payments == len(RING)
    assert {key: again.risks("Transaction")[key] for key in before} == before
    assert again.scoring.once().payments == 0
    write(graph, [RING[0]])  # a redelivery is nothing new
    with pytest.raises(Fenced):
        beside.store.finish([], model="m", time=1)


def test_a_pass_that_failed_is_made_good_for(
    graph: Graph, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(graph, HONEST)
    beside.scoring.once()
    write(graph, RING)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the graph is away")

    with monkeypatch.context() as patched:
        patched.setattr(beside.store, "write", away)
        beside.scoring.try_once()
    assert "ring0" not in beside.risks("Transaction")
    graph.write(lambda tx: tx.run("MATCH (t:Transaction {id: $id}) SET t.risk = 0.0", id=YOUNG[0].transaction_id))
    # What was looked at for the last time is written as well.
    assert beside.scoring.once().findings >= 1
    assert beside.risks("Transaction")[YOUNG[0].transaction_id] > 0
    assert beside.risks("Transaction")["ring0"] > 0.5
    assert len(list(RingStore(graph).all())) == 1


def test_a_promotion_is_taken_up_without_a_restart(
    graph: Graph, beside: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringwatch.promoted_model._ASK_EVERY_S", 0.0)
    write(graph, HONEST)
    first = beside.scoring.once().model
    second = promote(write_model(tmp_path, seed=4), tmp_path / "models")
    write(graph, RING)
    done = beside.scoring.once()
    assert (done.model, done.payments) == (second, len(RING) + len(YOUNG))
    rows = graph.read("MATCH (t:Transaction) RETURN DISTINCT t.risk_model AS model")
    assert {row["model"] for row in rows} == {first, second}


def test_a_model_that_could_not_be_taken_up_is_tried_again_after_a_while(
    graph: Graph, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, now = promote(model, tmp_path / "models"), [0.0]

    def away(_: Graph) -> None:
        raise Unavailable("the graph is away")

    promoted = PromotedModel(open_registry(str(tmp_path / "models")), tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr("ringwatch.arrival_scoring.labelled_transactions", away)
        scoring = ArrivalScoring(graph, promoted, Metrics.create(), lambda: now[0])
    for seconds, versions in ((1.0, set()), (61.0, {version})):
        now[0] = seconds
        scoring.refresh()
        assert {row["risk_model"] for row in scoring.describe(RING, []).values()} == versions


def test_a_first_pass_that_is_cut_off_begins_anew(
    graph: Graph, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringwatch.scoring._AT_ONCE", 10)
    promote(model, tmp_path / "models")
    write(graph, HONEST)
    first = Beside(graph, tmp_path)
    written = first.store.write
    tries = iter([True, True, False])

    def cut_off(*arguments: Any, **named: Any) -> None:
        if not next(tries):
            raise Unavailable("the graph is away")
        written(*arguments, **named)

    monkeypatch.setattr(first.store, "write", cut_off)
    with pytest.raises(Unavailable):
        first.scoring.once()
    assert 0 < len(first.risks("Transaction")) < len(HONEST)
    assert last_pass(graph) is None
    assert Beside(graph, tmp_path, "another").scoring.once().payments >= len(HONEST)
    assert len(first.risks("Transaction")) == len(HONEST)


def test_the_hot_path_takes_up_a_promotion_with_what_it_has_counted(
    graph: Graph, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringwatch.promoted_model._ASK_EVERY_S", 0.0)

    def hot_path(name: str) -> ArrivalScoring:
        promoted = PromotedModel(open_registry(str(tmp_path / "models")), tmp_path / name)
        return ArrivalScoring(graph, promoted, Metrics.create())

    first = promote(model, tmp_path / "models")
    running = hot_path("running")
    GraphWriter(graph, describe=running.describe).write(HONEST)
    second = promote(write_model(tmp_path, seed=4), tmp_path / "models")
    with monkeypatch.context() as patched:
        # It has no need to read the graph.
        patched.setattr("ringwatch.arrival_scoring.labelled_transactions", None)
        running.refresh()
    told = running.describe(RING, [])
    assert told == hot_path("started anew").describe(RING, [])
    assert {row["risk_model"] for row in told.values()} == {second}
    rows = graph.read("MATCH (t:Transaction) RETURN DISTINCT t.risk_model AS model")
    assert [row["model"] for row in rows] == [first]


def test_a_model_that_cannot_be_loaded_leaves_the_one_before_in_use(
    graph: Graph, beside: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringwatch.promoted_model._ASK_EVERY_S", 0.0)
    write(graph, HONEST)
    first = beside.scoring.once().model
    damaged = write_model(tmp_path, seed=4)
    (damaged / "arrival" / "part.json").write_text("{}")
    promote(damaged, tmp_path / "models")
    write(graph, RING)
    done = beside.scoring.once()
    assert (done.model, done.payments) == (first, len(RING) + len(YOUNG))
    second = promote(write_model(tmp_path / "mended", seed=4), tmp_path / "models")
    write(graph, MORE)
    assert beside.scoring.once().model == second


def test_without_a_model_nothing_is_done(graph: Graph, tmp_path: Path) -> None:
    open_registry(str(tmp_path / "models"))
    beside = Beside(graph, tmp_path)
    write(graph, HONEST)
    beside.scoring.try_once()
    assert beside.risks("Transaction") == {}


def test_alerts_of_scores_reach_a_topic_once(
    kafka: KafkaServer, embedded: EmbeddedEngine, model: Path, tmp_path: Path
) -> None:
    address = parse_kafka(f"kafka://{kafka.bootstrap}/alerts-of-scores")
    ensure_topic(address, {}, 1)
    promote(model, tmp_path / "models")
    with closing(connect(embedded.uri, embedded.user, embedded.password, database=embedded.database)) as graph:
        wipe(graph)
        schema.apply(graph)
        write(graph, [*HONEST, *RING])
        assert Beside(graph, tmp_path).scoring.once().findings == 1
        for _ in range(2):  # a worker, and the one that is started after it
            publisher = KafkaPublisher(address, {}, "scores-group", "ringwatch/a-graph", "worker")
            assembler = Assembler(
                graph, "embedded", Checkpoints(graph, "g", "w"), publisher, RingSettings(), Metrics.create()
            )
            _eventually(partial(_relayed, assembler, graph))
            publisher.close()
    (alert,) = read_topic(kafka.bootstrap, "alerts-of-scores")
    assert [typology["id"] for typology in alert["data"]["typologies"]] == ["learned"]


def test_scores_and_rings_as_the_commands_make_them(model: Path, tmp_path: Path) -> None:
    _write_stream(tmp_path / "honest.jsonl", HONEST)
    _write_stream(tmp_path / "ring.jsonl", RING)
    with (
        embedded_engine(f"embedded:{tmp_path / '.ringwatch'}") as engine,
        closing(Ringwatch(tmp_path, GOOGLE_APPLICATION_CREDENTIALS="none.json")) as ringwatch,
    ):
        assert "no model is promoted" in ringwatch("score", "--models", "models", code=2)
        for models, trouble in (("models", "no model is promoted"), ("gs://bucket/models", "refuses")):
            said = ringwatch("run", "--source", "honest.jsonl", "--models", models)  # goes on without one
            assert said.count(trouble) == 1
        name = ringwatch("models", "register", str(model), "--models", "models").strip()
        ringwatch("models", "promote", name, "--models", "models")
        trees = tmp_path / "models" / "versions" / name / "files" / "later" / "trees-0.txt"
        whole = trees.read_bytes()
        trees.write_text("damaged")
        assert "later/trees-0.txt" in ringwatch("score", "--models", "models", code=2)
        trees.write_bytes(whole)
        ringwatch("run", "--source", "ring.jsonl", "--models", "models")
        with closing(connect(engine.uri, engine.user, engine.password, database=engine.database)) as graph:
            rows = graph.read("MATCH (t:Transaction) RETURN t.id AS id, t.risk AS risk, t.risk_model AS model")
            at_arrival = {row["id"]: row["risk"] for row in rows if row["model"] == name}
            assert at_arrival.keys() == {one.transaction_id for one in RING}
            assert at_arrival["ring5"] > at_arrival["ring0"] + 0.2
            assert "gave" in ringwatch("score", "--models", "models", "--report", "score.json")
            report = json.loads((tmp_path / "score.json").read_text())
            assert (report["model"], report["payments"], report["findings"]) == (name, len(HONEST) + len(RING), 1)
            (row,) = graph.read("MATCH (d:Device {id: 'farm'}) RETURN d.risk AS risk, d.risk_model AS model")
            assert row["risk"] > 0.5
        assert "learned" in ringwatch("rings", "list")
        ringwatch("run", "--source", "ring.jsonl", "--alerts", "alerts.jsonl")  # passes on what waits
        (alert,) = read_lines(tmp_path / "alerts.jsonl")
        assert alert["data"]["risk"]["model_version"] == name
        process = ringwatch.start("score", "--models", "models", "--every", "1s")
        _write_stream(tmp_path / "more.jsonl", MORE)
        ringwatch("run", "--source", "more.jsonl")
        with closing(connect(engine.uri, engine.user, engine.password, database=engine.database)) as graph:
            _eventually(lambda: graph.read("MATCH (t:Transaction {id: 'more5'}) WHERE t.risk > 0.5 RETURN t.id"))
        process.terminate()
        assert process.wait(timeout=240) == 0


def _relayed(assembler: Assembler, graph: Graph) -> bool:
    """Relay as a worker does, which tries again while the broker is not ready yet; whether nothing is left."""
    try:
        assembler.relay()
    except Unavailable:
        return False
    return not RingStore(graph).outbox(SCORES_LANE)


def _write_stream(path: Path, transactions: Sequence[Transaction]) -> None:
    fields = ("transaction_id", "event_time", "card", "account", "currency", "device", "merchant")
    lines = [
        json.dumps({name: getattr(one, name) for name in fields} | {"amount": one.amount / 100})
        for one in transactions
    ]
    path.write_text("\n".join(lines) + "\n")


def _eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
