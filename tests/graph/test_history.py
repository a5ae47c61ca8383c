"""History comes back out of the graph as it went in, on every engine."""

from __future__ import annotations

import msgspec

from graph.driver import Graph
from graph.events import Entity, Label, Transaction
from graph.history import labelled_transactions
from graph.writer import GraphWriter, WriterSettings

HOUR_MS = 3_600_000
NOON = 1_736_942_400_000


def payment(number: int) -> Transaction:
    return Transaction(
        transaction_id=f"t{number:03}",
        event_time=NOON + number * HOUR_MS // 3,
        card=f"hmac:{number % 3}",
        amount=100 + number,
        digest=f"digest {number}",
        currency="EUR",
        status="declined" if number % 4 == 0 else "approved",
        channel="ecommerce",
        merchant=f"shop|{number % 2}",
        account=None if number % 5 == 0 else f"account {number % 3}",
        account_created=None if number % 5 == 0 else NOON - 1000,
        device="device",
        ip="192.0.2.1" if number % 2 else None,
        shipping_address="1 Example Street" if number % 3 else None,
        billing_address="2 Example Street",
    )


def said(number: int, verdict: str, time: int, source: str = "chargeback") -> Label:
    return msgspec.convert(
        {
            "type": "Label",
            "subject": ["Transaction", f"t{number:03}"],
            "verdict": verdict,
            "source": source,
            "time": time,
        },
        Label,
    )


def test_transactions_and_what_was_said_of_them(graph: Graph) -> None:
    payments = [payment(number) for number in range(10)]
    labels = [
        said(1, "fraud", NOON + 1),
        said(2, "fraud", NOON + 2),
        said(2, "legitimate", NOON + 9),
        said(3, "legitimate", NOON + 3, "analyst"),
        said(77, "fraud", NOON),
    ]
    GraphWriter(graph, WriterSettings()).write([*payments, *labels])
    found = list(labelled_transactions(graph))
    assert [transaction for transaction, _ in found] == payments
    told = {label for _, labels in found for label in labels}
    assert told == set(labels[:4])
    assert all(label.subject == Entity("Transaction", t.transaction_id) for t, said in found for label in said)


def test_an_empty_graph_has_no_history(graph: Graph) -> None:
    assert list(labelled_transactions(graph)) == []
