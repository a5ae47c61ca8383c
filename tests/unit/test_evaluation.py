"""The evaluation: a stream small enough that every figure can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.errors import ConfigurationError
from ringwatch.commands.evaluate import evaluate as command
from ringwatch.evaluation.baselines import component_rings, transaction_model
from ringwatch.evaluation.found import read_reported
from ringwatch.evaluation.matching import within_budget
from ringwatch.evaluation.measures import measure
from ringwatch.evaluation.report import evaluate
from ringwatch.evaluation.truth import Truth, read_truth
from ringwatch.simulation import Simulation, write
from streaming.codec import Codec
from streaming.tokens import CardTokenizer
from tests.worker import CARD_KEY

HOUR = 3_600_000
START = 1_735_689_600_000


def lines(path: Path, *objects: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")
    return path


def truth_of(folder: Path, **mapping: str) -> Truth:
    return read_truth(folder, Codec(CardTokenizer(CARD_KEY.encode()), mapping))


def payment(name: str, hour: float, card: str, **fields: Any) -> dict[str, Any]:
    told = {"transaction_id": name, "event_time": START + int(hour * HOUR), "card": card, "amount": 10.0}
    return {**told, "currency": "EUR", **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rings of four payments each, one camouflaged, and an honest office of three."""
    stolen = [payment(f"a{n}", n, f"ca{n}", device="d1") for n in range(4)]
    farmed = [payment(f"b{n}", 10 + n, f"cb{n % 2}", device="d2", amount=100.0 * (n + 1)) for n in range(4)]
    disguise = [payment("b-camouflage", 12.5, "cb0")]
    office = [payment(f"o{n}", 24 + n, f"co{n}", ip="10.0.0.1") for n in range(3)]
    others = [payment(f"x{n}", 30 + n, f"cx{n}") for n in range(5)]
    lines(tmp_path / "transactions.jsonl", *stolen, *farmed, *disguise, *office, *others, stolen[0])
    lines(
        tmp_path / "rings.jsonl",
        {"ring_id": "A", "typology": "card_testing", "transaction_ids": [f"a{n}" for n in range(4)]},
        {
            "ring_id": "B",
            "typology": "device_farm",
            "transaction_ids": [f"b{n}" for n in range(4)],
            "camouflage_transaction_ids": ["b-camouflage"],
        },
    )
    lines(
        tmp_path / "honest.jsonl",
        {"group_id": "o", "kind": "office", "members": {}, "transaction_ids": ["o0", "o1", "o2"]},
    )
    return tmp_path


def ring(name: str, *transactions: str, **fields: Any) -> dict[str, Any]:
    return {
        "ring_id": name,
        "transaction_ids": list(transactions),
        "first_seen": "2025-01-01T00:00:00Z",
        "typologies": ["t"],
        **fields,
    }


def alert(name: str, hour: float, *shown: str, revision: int = 1, risk: float = 0.5) -> dict[str, Any]:
    time = f"2025-01-0{1 + int(hour // 24)}T{int(hour % 24):02d}:{int(hour % 1 * 60):02d}:00Z"
    evidence = {"transaction_ids": list(shown)}
    return {
        "time": time,
        "data": {"ring_id": name, "revision": revision, "risk": {"final": risk}, "evidence": evidence},
    }


@pytest.fixture
def found(folder: Path) -> tuple[Path, Path]:
    """A in two parts (one of them once under a name that was merged away), and the office as a false alarm."""
    rings = lines(
        folder / "found.jsonl",
        ring("r1", "a0", "a1", "a2", merged_from=["r0"]),
        ring("r2", "a3", "x0", "a1"),
        ring("r3", "o0", "o1", "x1"),
        ring("untold", "b0", "b1"),
    )
    alerts = lines(
        folder / "alerts.jsonl",
        alert("r0", 1.5, "a0", "a1"),
        alert("r1", 2.5, "a0", "a1", "a2", risk=0.9),
        alert("r1", 3.5, "a0", "a1", "a2", revision=2, risk=0.9),
        alert("r2", 4, "a1", "a3", "x0", risk=0.2),
        alert("r3", 30, "o0", "o1", "x1", risk=0.6),
    )
    return rings, alerts


def test_every_figure_of_a_small_stream(folder: Path, found: tuple[Path, Path]) -> None:
    figures = measure(truth_of(folder), read_reported(*found))
    assert (figures.reported, figures.false_alarms) == (3, 1)
    assert figures.precision == pytest.approx(2 / 3)
    overall = figures.overall
    assert (overall.rings, overall.found, overall.recall) == (2, 1, 0.5)
    assert overall.half_shown == 1
    assert overall.member_f1 == pytest.approx(2 * 3 / (4 + 3))
    assert overall.transactions_until_alert == 2
    assert overall.hours_until_alert == 1.5
    assert overall.money_lost_share == 0.5
    assert overall.alerts_per_ring == 4
    assert overall.churn == 2
    assert figures.by_typology["device_farm"].recall == 0
    assert figures.by_typology["card_testing"].recall == 1
    assert {name: one.rings for name, one in figures.by_camouflage.items()} == {
        "none": 1,
        "up to 0.5 per fraud": 1,
    }
    office = figures.look_alikes["office"]
    assert (office.groups, office.groups_flagged, office.transactions, office.transactions_flagged) == (1, 1, 3, 2)
    everybody = figures.look_alikes["all honest traffic"]
    assert (everybody.transactions, everybody.transactions_flagged) == (8, 3)
    assert figures.false_alarm_typologies == {"t": 1}


def test_a_ring_is_told_of_by_the_first_alert_that_shows_it(folder: Path) -> None:
    both = [f"{ring}{n}" for ring in "ab" for n in range(4)]
    rings = lines(folder / "found.jsonl", ring("r", *both))
    told = [
        alert("r", 3, *both[:4]),
        alert("r", 9, "b0", "b1", revision=2),  # of a batch that held them, whose ring was found before
        alert("r", 13, *both, revision=3),
    ]
    figures = measure(truth_of(folder), read_reported(rings, lines(folder / "alerts.jsonl", *told)))
    later = figures.by_typology["device_farm"]
    assert (later.transactions_until_alert, later.hours_until_alert) == (1, 0)
    assert figures.by_typology["card_testing"].transactions_until_alert == 4


def test_camouflage_alone_does_not_show_a_ring(folder: Path) -> None:
    rings = lines(folder / "found.jsonl", ring("r", "b-camouflage", "b0", "b1"))
    alerts = lines(
        folder / "alerts.jsonl",
        alert("r", 5, "b-camouflage"),
        alert("r", 11, "b-camouflage", "b0", "b1", revision=2),
    )
    overall = measure(truth_of(folder), read_reported(rings, alerts)).overall
    assert (overall.transactions_until_alert, overall.hours_until_alert) == (2, 1)


def test_an_alert_that_is_repeated_is_one(folder: Path, found: tuple[Path, Path]) -> None:
    rings, alerts = found
    once = measure(truth_of(folder), read_reported(rings, alerts))
    alerts.write_text(alerts.read_text() * 2)
    assert measure(truth_of(folder), read_reported(rings, alerts)) == once


def test_alerts_of_other_rings_are_refused(folder: Path, found: tuple[Path, Path]) -> None:
    rings, _ = found
    with pytest.raises(ConfigurationError, match=r"tells of none of the rings in .*found\.jsonl"):
        read_reported(rings, lines(folder / "others.jsonl", alert("other", 1, "a0")))


def test_a_payment_of_several_rings_is_the_last_one_s(folder: Path) -> None:
    with (folder / "rings.jsonl").open("a") as file:
        file.write('{"ring_id": 3, "transaction_ids": ["b-camouflage"]}\n')
    truth = truth_of(folder)
    assert (truth.shared, truth.ring_of["b-camouflage"]) == (1, "3")


def test_steps_are_in_their_order(folder: Path) -> None:
    many = [payment(f"m{n}", 40 + n / 60, f"cm{n}") for n in range(12)]
    with (folder / "transactions.jsonl").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in many)
    with (folder / "rings.jsonl").open("a") as file:
        file.write(json.dumps({"ring_id": "C", "transaction_ids": [one["transaction_id"] for one in many]}) + "\n")
    figures = measure(truth_of(folder), [])
    assert list(figures.by_size) == ["up to 5 cards", "11-30 cards"]
    assert list(figures.by_camouflage) == ["none", "up to 0.5 per fraud"]


def test_a_payment_that_only_the_truth_knows_counts_for_nothing(folder: Path) -> None:
    lines(
        folder / "rings.jsonl",
        {"ring_id": "A", "typology": "card_testing", "transaction_ids": ["lost", "a0", "a1"]},
    )
    rings = lines(folder / "found.jsonl", ring("r", "lost", "a0", "a1"))
    alerts = lines(folder / "alerts.jsonl", alert("r", 3, "lost", "a0", "a1"))
    assert measure(truth_of(folder), read_reported(rings, alerts)).overall.transactions_until_alert == 2


def test_what_nobody_was_told_of_counts_only_without_alerts(folder: Path, found: tuple[Path, Path]) -> None:
    without = measure(truth_of(folder), read_reported(found[0], None))
    assert without.overall.recall == 1
    assert without.overall.alerts_per_ring is None


def test_a_ring_of_which_little_is_shown_is_found_all_the_same(folder: Path) -> None:
    rings = lines(folder / "found.jsonl", ring("r", "a0"))
    overall = measure(truth_of(folder), read_reported(rings, None)).overall
    assert (overall.found, overall.half_shown) == (1, 0)


def test_rings_of_another_stream_are_refused(folder: Path) -> None:
    rings = lines(folder / "found.jsonl", ring("r", "z0", "z1"))
    with pytest.raises(ConfigurationError, match="another stream"):
        evaluate(truth_of(folder), read_reported(rings, None), 20)


def test_a_budget_takes_the_riskiest_of_each_day(folder: Path, found: tuple[Path, Path]) -> None:
    chosen = within_budget(read_reported(*found), 1)
    assert [one.ring.ring_id for one in chosen] == ["r1", "r3"]


def test_half_of_another_ring_is_not_that_ring(folder: Path) -> None:
    rings = lines(folder / "half.jsonl", ring("r", "a0", "a1", "x0", "x1"))
    assert measure(truth_of(folder), read_reported(rings, None)).false_alarms == 1


def test_rings_that_are_one_to_the_graph_are_both_found(folder: Path) -> None:
    rings = lines(folder / "both.jsonl", ring("r", *(f"a{n}" for n in range(4)), "b0", "b1", "b2"))
    figures = measure(truth_of(folder), read_reported(rings, None))
    assert (figures.overall.found, figures.reported, figures.precision) == (2, 1, 1)


def test_a_little_of_several_rings_is_about_none_and_no_false_alarm(folder: Path) -> None:
    rings = lines(folder / "mixed.jsonl", ring("r", "a0", "a1", "b0", "b1", "x0"))
    figures = measure(truth_of(folder), read_reported(rings, None))
    assert (figures.overall.found, figures.reported, figures.false_alarms, figures.precision) == (0, 1, 0, 1)


def test_components_are_what_shares_anything(folder: Path) -> None:
    rings = {frozenset(one.transactions) for one in component_rings(truth_of(folder))}
    assert rings == {frozenset(f"a{n}" for n in range(4)), frozenset(f"o{n}" for n in range(3))}


def test_a_stream_without_known_fraud_trains_no_model(folder: Path) -> None:
    assert transaction_model(truth_of(folder), 5) is None
    assert evaluate(truth_of(folder), [], 5).within_budget.precision is None


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("truth")
    write(Simulation(30_000, seed=2, fraud_rate=0.02), folder)
    return folder, truth_of(folder)


def test_the_model_beats_chance_and_sees_no_label_before_its_time(simulated: tuple[Path, Truth]) -> None:
    _, truth = simulated
    model = transaction_model(truth, 20)
    assert model is not None
    cut = sorted(truth.times.values())[model.trained_on]
    assert model.known_fraud <= sum(
        any(fraud and at <= cut for at, fraud in told) for told in truth.told_of.values()
    )
    assert model.roc_auc > 0.5
    assert model.average_precision > len(truth.fraud) / len(truth.payments)


def test_the_model_learns_what_was_said_last_by_then(folder: Path) -> None:
    payments = [payment(f"t{n}", n, f"c{n}", amount=5.0 + 90 * (n % 4 == 0)) for n in range(100)]
    lines(folder / "transactions.jsonl", *payments)
    lines(folder / "rings.jsonl", {"ring_id": "A", "transaction_ids": [f"t{n}" for n in range(0, 100, 4)]})
    said = {"verdict": "fraud", "source": "desk"}
    times = ["2025-01-01T12:00:00Z", "2025-02-01T00:00:00Z"]
    told = [{**said, "transaction_id": f"t{n}", "time": time} for n in range(0, 48, 4) for time in times]
    lines(folder / "labels.jsonl", *told)
    model = transaction_model(truth_of(folder), 20)
    assert model is not None
    assert model.known_fraud == 12  # what is said again later was known all the same


def test_the_truth_itself_is_found_whole(
    simulated: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGWATCH_CARD_KEY", CARD_KEY)
    folder, truth = simulated
    rings = lines(tmp_path / "r.jsonl", *(ring(one.ring_id, *one.transaction_ids) for one in truth.rings))
    command(truth=folder, rings=rings, budget=1_000, out=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    within = report["within_budget"]
    assert (within["precision"], within["overall"]["recall"], within["overall"]["member_f1"]) == (1, 1, 1)
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "data:image/png" in page
    assert within["look_alikes"]
    assert all(f"<td>{kind}<td>{one['groups']}" in page for kind, one in within["look_alikes"].items())


def test_a_truth_is_read_as_a_worker_reads_it(folder: Path) -> None:
    told = {"event_time": "2025-01-01T00:00:00Z", "customer": "c1"}
    lines(
        folder / "transactions.jsonl",
        {**told, "transaction_id": 1, "amount": "12.50", "counterparty": "c2"},  # a transfer, which has no card
        {**told, "transaction_id": 2, "amount": 12.5, "card": 4242},
        {**told, "transaction_id": 3, "amount": "a lot", "card": 4242},
    )
    lines(folder / "rings.jsonl", {"ring_id": "A", "transaction_ids": [1, 2.0, 3]})
    lines(folder / "honest.jsonl", {"group_id": "o", "kind": "couple", "transaction_ids": [1]})
    said = {"verdict": "fraud", "source": "desk", "time": "2025-02-01T00:00:00Z"}
    lines(folder / "labels.jsonl", {**said, "transaction_id": 1}, {**said, "transaction_id": 2, "verdict": "?"})
    truth = truth_of(folder, account="customer")
    assert [(one.transaction_id, one.account, one.amount) for one in truth.payments] == [
        ("1", "c1", 1250),
        ("2", "c1", 1250),
    ]
    assert truth.rings[0].transaction_ids == ["1", "2", "3"]
    assert truth.honest[0].transaction_ids == ["1"]
    assert truth.told_of == {"1": [(1_738_368_000_000, True)]}
    assert (truth.left_out, truth.absent) == (2, 1)
    rings = lines(folder / "found.jsonl", ring("r", "1", "2"))
    assert measure(truth, read_reported(rings, None)).overall.member_f1 == 1


def test_a_wrong_line_is_named(folder: Path) -> None:
    with (folder / "rings.jsonl").open("a") as file:
        file.write('{"ring_id": 1}\n')
    with pytest.raises(ConfigurationError, match=r"rings\.jsonl, line 3"):
        truth_of(folder)
    with pytest.raises(ConfigurationError, match=r"missing\.jsonl"):
        read_reported(folder / "missing.jsonl", None)
