"""The benchmark of rings without a rule says how many rings each of its figures rests on."""

from __future__ import annotations

from benchmarks.unnamed import cells
from graph.events import Transaction
from ringwatch.evaluation.found import Reported, Ring
from ringwatch.evaluation.measures import measure
from ringwatch.evaluation.truth import TrueRing, Truth


def test_each_figure_is_told_with_the_rings_that_it_rests_on() -> None:
    names = ("a", "b", "c", "honest")
    rings = [
        TrueRing(ring_id=name, typology="device_farm" if name == "a" else "mule_account", transaction_ids=[name])
        for name in names[:3]
    ]
    payments = [Transaction(transaction_id=name, event_time=0, card=name, amount=100, digest="") for name in names]
    truth = Truth(payments, rings)
    seen = "2025-01-01T00:00:00Z"
    reported = [
        Reported(Ring(ring_id=name, transaction_ids=[name], first_seen=seen), 0, 0.5)
        for name in ("a", "b", "honest")
    ]
    told = list(cells(measure(truth, reported), ["device_farm", "card_testing"]))
    assert told == ["1.00 (1 of 1)", "–", "0.67 (2 of 3)", "0.67 (2 of 3)"]
    assert list(cells(measure(truth, []), ["device_farm"])) == ["0.00 (0 of 1)", "0.00 (0 of 3)", "–"]
