"""What a simulation yields: payments in the wire format, and the truth about them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Typology = Literal[
    "card_testing",
    "device_farm",
    "account_takeover_fan_in",
    "synthetic_identity",
    "merchant_collusion",
    "bin_attack",
]
TYPOLOGIES: tuple[Typology, ...] = (
    "card_testing",
    "device_farm",
    "account_takeover_fan_in",
    "synthetic_identity",
    "merchant_collusion",
    "bin_attack",
)


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of ``transactions.jsonl``; ``amount`` is in major units of ``currency``, a field may be missing."""

    transaction_id: str
    event_time: str
    card: str
    amount: float | int
    currency: str
    status: str
    merchant: str | None = None
    merchant_category: str | None = None
    merchant_country: str | None = None
    account: str | None = None
    account_created: str | None = None
    device: str | None = None
    ip: str | None = None
    network: str | None = None
    email: str | None = None
    phone: str | None = None
    shipping_address: str | None = None
    billing_address: str | None = None
    channel: str
    latitude: float | None = None
    longitude: float | None = None
    credit_limit: int | None = None
    promotion: str | None = None
    original_transaction_id: str | None = None


class Event(NamedTuple):
    """A payment at its event time (epoch ms), whether it is fraud, and whose."""

    time: int
    payment: Payment
    fraud: bool = False
    ring: str | None = None


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``rings.jsonl``: what is true of a ring.

    ``members`` holds, by kind, what the ring controls or abuses, spelt as in ``transactions.jsonl`` (a graph's
    ids of cards, e-mails and phones are hashes under a key that a simulation does not know).
    ``camouflage_transaction_ids`` are honest-looking purchases by the ring's own identities; they are no fraud.
    """

    ring_id: str
    typology: Typology
    first_seen: str
    last_seen: str
    members: dict[str, list[str]]
    transaction_ids: list[str]
    camouflage_transaction_ids: list[str]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``labels.jsonl``: a verdict, and when it became known."""

    transaction_id: str
    verdict: Literal["fraud", "legitimate"]
    source: Literal["chargeback", "analyst"]
    time: str
