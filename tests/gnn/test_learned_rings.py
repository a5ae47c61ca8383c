"""Rings out of scores: whose the payments of a group are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gnn.explanation import Explanation
from gnn.features import feature_set
from gnn.learned_rings import RingCriteria, finding_of, hanging_together
from gnn.live_graph import LiveGraph, Payment
from graph.events import Transaction
from queries.spec import Finding
from tests.gnn.histories import START

#: A card and the account that it was used with, if that is known.
Use = tuple[str, str | None]


def _found(uses: Sequence[Use]) -> list[Finding]:
    """What risky payments of these, all on one phone, make."""
    graph = LiveGraph(feature_set(["card", "account", "phone"]))
    payments = [graph.take(_payment(number, *use)) for number, use in enumerate(uses)]
    for payment in payments:
        payment.risk = 0.9
    groups = hanging_together(graph, payments, RingCriteria(min_owners=2), _is_hub)
    found = (finding_of(graph, group, RingCriteria(), _is_hub, _explained, "m") for group in groups)
    return [finding for finding in found if finding is not None]


def _payment(number: int, card: str, account: str | None) -> Transaction:
    return Transaction(
        transaction_id=f"t{number}",
        event_time=START + number * 60_000,
        card=card,
        amount=1000,
        digest="",
        currency="EUR",
        account=account,
        phone="phone",
    )


def _is_hub(_entity: tuple[str, str]) -> bool:
    return False


def _explained(_payment: Payment) -> Explanation:
    return Explanation(0.9, [], [])


@pytest.mark.parametrize(
    "uses",
    [
        [("c1", "anna"), ("c1", None), ("c2", None), ("c2", "anna")],
        [("c1", None), ("c2", None), ("c1", "anna"), ("c2", "anna")],
    ],
)
def test_one_customer_is_one_owner_whatever_payments_leave_out(uses: list[Use]) -> None:
    assert _found(uses) == []


@pytest.mark.parametrize(
    ("uses", "owners"),
    [
        ([("c1", "anna"), ("c1", None), ("c2", "anna"), ("c3", None)], 2),
        ([("c1", "anna"), ("c2", "ben"), ("c3", None), ("c3", None)], 3),
        ([("c1", "anna"), ("c1", "ben")], 2),
    ],
)
def test_a_reason_counts_each_owner_once(uses: list[Use], owners: int) -> None:
    (finding,) = _found(uses)
    assert next(measure.value for measure in finding.measures if measure.name == "owners") == owners
