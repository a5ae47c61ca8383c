"""What a simulation yields: payments in the wire format, and the truth about them."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import msgspec

Typology = Literal[
    "card_testing",
    "bin_attack",
    "device_farm",
    "account_takeover_fan_in",
    "synthetic_identity",
    "bust_out",
    "merchant_collusion",
    "common_point_of_purchase",
    "mule_fan_in_fan_out",
    "cyclic_flow",
    "promotion_abuse",
    "refund_abuse",
    "triangulation",
    "ip_hopping",
    "impossible_travel",
    "lockstep",
    "cash_out_burst",
    "card_cycling",
]
TYPOLOGIES: tuple[Typology, ...] = get_args(Typology)

#: Kinds of honest groups that look like a ring.
LookAlike = Literal[
    "family_tablet",
    "student_hall",
    "family_wallet",
    "holiday_spending",
    "couple",
    "office",
    "corporate_cards",
    "call_centre",
    "mail_order",
    "commuters",
    "treasury",
    "landlord",
    "club",
    "flash_sale",
    "concert",
    "gift_cards",
    "gift_buyer",
    "personal_shopper",
    "issuer_outage",
    "clothing_returns",
    "carrier_nat",
    "mobile_churn",
    "vpn",
    "internet_cafe",
    "colliding_fingerprint",
    "traveller",
]
LOOK_ALIKES: tuple[LookAlike, ...] = get_args(LookAlike)

#: Kinds of members, of rings and of honest groups.
Kind = Literal["card", "account", "device", "ip", "email", "phone", "address", "merchant"]


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
    counterparty: str | None = None
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
    """A payment at its event time (epoch ms), whether it is fraud, whose, and when it arrives.

    ``arrived`` is the event time where nothing held the payment up. ``redelivered`` is true for a payment that
    has arrived before, byte for byte.
    """

    time: int
    payment: Payment
    fraud: bool = False
    ring: str | None = None
    delay_ms: int = 0
    redelivered: bool = False

    @property
    def arrived(self) -> int:
        """When it arrives, in epoch ms."""
        return self.time + self.delay_ms


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``rings.jsonl``: what is true of a ring.

    ``members`` holds, by kind, what the ring controls or abuses, spelt as in ``transactions.jsonl`` (a graph's
    ids of cards, e-mails and phones are hashes under a key that a simulation does not know).
    ``camouflage_transaction_ids`` are honest-looking purchases by the ring's own identities; they are no fraud.
    ``camouflage`` is how many of them stand beside each fraudulent one.
    """

    ring_id: str
    typology: Typology
    first_seen: str
    last_seen: str
    members: dict[str, list[str]]
    transaction_ids: list[str]
    camouflage_transaction_ids: list[str]
    camouflage: float


class HonestGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``honest.jsonl``: honest people who look like a ring, and what they paid together."""

    group_id: str
    kind: LookAlike
    members: dict[str, list[str]]
    transaction_ids: list[str]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``labels.jsonl``: a verdict, not always a right one, and when it became known."""

    transaction_id: str
    verdict: Literal["fraud", "legitimate"]
    source: Literal["chargeback", "analyst"]
    time: str


def members(payment: Payment) -> tuple[tuple[Kind, str | None], ...]:
    """Whoever a payment shows, by kind."""
    return (
        ("card", payment.card),
        ("account", payment.account),
        ("account", payment.counterparty),
        ("device", payment.device),
        ("ip", payment.ip),
        ("email", payment.email),
        ("phone", payment.phone),
        ("address", payment.shipping_address),
        ("address", payment.billing_address),
        ("merchant", payment.merchant),
    )
