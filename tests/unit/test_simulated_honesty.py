"""Honest look-alikes of every kind are in the simulated stream, bounded, and told apart from rings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from ringwatch.simulation import Simulation
from ringwatch.simulation.records import LOOK_ALIKES, HonestGroup, LookAlike, Payment, Ring

COUNT = 60_000
Payments = list[Payment]


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(COUNT, seed=21)


@pytest.fixture(scope="module")
def groups(simulation: Simulation) -> list[HonestGroup]:
    return [group for group in simulation.truth() if isinstance(group, HonestGroup)]


@pytest.fixture(scope="module")
def paid(simulation: Simulation, groups: list[HonestGroup]) -> dict[LookAlike, list[Payments]]:
    """By kind, the payments of each of its groups."""
    by_id = {event.payment.transaction_id: event for event in simulation.events()}
    found: defaultdict[LookAlike, list[Payments]] = defaultdict(list)
    for group in groups:
        events = [by_id[transaction_id] for transaction_id in group.transaction_ids]
        assert not any(event.fraud or event.ring for event in events)
        found[group.kind].append([event.payment for event in events])
    return found


def distinct(payments: Payments, field: str) -> int:
    return len({value for payment in payments if (value := getattr(payment, field)) is not None})


def repeated(payments: Payments, field: str) -> int:
    values = [getattr(payment, field) for payment in payments]
    return max(values.count(value) for value in values)


def declined(payments: Payments) -> float:
    return sum(payment.status == "declined" for payment in payments) / len(payments)


LOOKS: dict[LookAlike, Callable[[Payments], bool]] = {
    "family_tablet": lambda made: distinct(made, "device") == 1 and distinct(made, "card") >= 2,
    "student_hall": lambda made: distinct(made, "billing_address") == 1 and distinct(made, "account") >= 4,
    "family_wallet": lambda made: distinct(made, "account") == 1 and distinct(made, "card") >= 3,
    "holiday_spending": lambda made: max(p.amount for p in made) > 5 * min(p.amount for p in made),
    "couple": lambda made: {p.account for p in made} == {p.counterparty for p in made},
    "office": lambda made: distinct(made, "ip") == 1 and distinct(made, "card") >= 4,
    "corporate_cards": lambda made: distinct(made, "account") == 1 and distinct(made, "card") >= 4,
    "call_centre": lambda made: distinct(made, "device") <= 4 and distinct(made, "card") >= 6,
    "mail_order": lambda made: distinct(made, "device") == distinct(made, "merchant") == 1,
    "commuters": lambda made: distinct(made, "merchant") <= 5 and len(made) > 2 * distinct(made, "card"),
    "treasury": lambda made: {p.counterparty for p in made} <= {p.account for p in made},
    "landlord": lambda made: repeated(made, "counterparty") >= 5,
    "club": lambda made: repeated(made, "amount") >= 5 and repeated(made, "counterparty") >= 5,
    "flash_sale": lambda made: distinct(made, "merchant") == 1 and distinct(made, "card") >= 10,
    "concert": lambda made: distinct(made, "card") >= 6 and 2 <= distinct(made, "merchant") <= 6,
    "gift_cards": lambda made: distinct(made, "amount") <= 4 and distinct(made, "card") >= 8,
    "gift_buyer": lambda made: distinct(made, "shipping_address") >= 4 and distinct(made, "device") <= 1,
    "personal_shopper": lambda made: distinct(made, "card") >= 3 and distinct(made, "device") <= 1,
    "issuer_outage": lambda made: len({p.card[:6] for p in made}) == 1 and declined(made) > 0.5,
    "clothing_returns": lambda made: any(p.status == "refunded" for p in made),
    "carrier_nat": lambda made: distinct(made, "ip") == 1 and distinct(made, "card") >= 15,
    "mobile_churn": lambda made: distinct(made, "ip") >= 3 and distinct(made, "card") <= 3,
    "vpn": lambda made: distinct(made, "ip") >= 3 and distinct(made, "card") <= 4,
    "internet_cafe": lambda made: distinct(made, "device") <= 4 and distinct(made, "card") >= 3,
    "colliding_fingerprint": lambda made: distinct(made, "device") == 1 and distinct(made, "ip") >= 3,
    "traveller": lambda made: len({round(p.latitude) for p in made if p.latitude is not None}) >= 2,
}  # fmt: skip


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_each_kind_looks_like_what_it_is(paid: dict[LookAlike, list[Payments]], kind: LookAlike) -> None:
    made = paid[kind]
    assert len(made) >= 3
    # Not every group is clear-cut: shops collect too little, people change their minds.
    assert sum(LOOKS[kind](payments) for payments in made) >= len(made) / 2


def test_look_alikes_are_a_small_bounded_part_of_the_stream(groups: list[HonestGroup]) -> None:
    assert 0.04 < sum(len(group.transaction_ids) for group in groups) / COUNT < 0.08
    assert max(len(group.transaction_ids) for group in groups) <= 1_000
    assert len({group.group_id for group in groups}) == len(groups)


def test_members_are_whom_the_payments_show(
    groups: list[HonestGroup], paid: dict[LookAlike, list[Payments]]
) -> None:
    shown = {kind: [{payment.card for payment in made} for made in groups] for kind, groups in paid.items()}
    for group in groups:
        assert set(group.members["card"]) in shown[group.kind]


def test_no_payment_belongs_to_two_groups(simulation: Simulation) -> None:
    told: set[str] = set()
    for group in simulation.truth():
        own = set(group.transaction_ids)
        if isinstance(group, Ring):
            own |= set(group.camouflage_transaction_ids)
        assert not own & told
        told |= own
