"""What enters the graph, as the rest of Ringwatch sees it: validated, normalised and tokenised.

This module refuses to know wire formats; :mod:`streaming.codec` turns bytes into these.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Status = Literal["approved", "declined", "refunded", "reversed"]
Channel = Literal["ecommerce", "pos", "atm", "transfer"]
Verdict = Literal["fraud", "legitimate"]


class Entity(NamedTuple):
    """A node of the graph: its label and its unique id."""

    label: str
    id: str


class Transaction(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """A payment, as it enters the graph.

    ``event_time`` and ``account_created`` are UTC epoch milliseconds. ``amount`` and ``credit_limit`` are
    integers in the currency's minor unit (``XXX``, ISO 4217's "no currency", where none was given). ``card``
    is a keyed hash (``hmac:…``), and so are ``email`` and ``phone``; a clear PAN never gets this far.
    ``digest`` is a hash of the content, to tell a redelivery from a conflict.
    """

    transaction_id: str
    event_time: int
    card: str
    amount: int
    digest: str
    currency: str = "XXX"
    status: Status = "approved"
    channel: Channel | None = None
    merchant: str | None = None
    merchant_category: str | None = None
    merchant_country: str | None = None
    account: str | None = None
    device: str | None = None
    ip: str | None = None
    email: str | None = None
    phone: str | None = None
    shipping_address: str | None = None
    billing_address: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    account_created: int | None = None
    card_bin: str | None = None
    credit_limit: int | None = None
    promotion: str | None = None
    counterparty: str | None = None
    network: str | None = None
    original_transaction_id: str | None = None

    @property
    def receiver(self) -> str | None:
        """The account that money was transferred to; what an account sends to itself goes nowhere."""
        return self.counterparty if self.channel == "transfer" and self.counterparty != self.account else None

    def entities(self) -> list[Entity]:
        """The entities that this transaction touches (a counterparty is an account), each once.

        An e-mail, a phone or a billing address belongs to an account; without one it touches nothing.
        """
        account, shipping = self.account, self.shipping_address
        known = account is not None
        ends = (
            ("Card", self.card),
            ("Account", account),
            ("Account", self.counterparty if self.counterparty != account else None),
            ("Device", self.device),
            ("IP", self.ip),
            ("Merchant", self.merchant),
            ("Email", self.email if known else None),
            ("Phone", self.phone if known else None),
            ("Address", shipping),
            ("Address", self.billing_address if known and self.billing_address != shipping else None),
        )
        return [Entity(label, entity_id) for label, entity_id in ends if entity_id is not None]


class Label(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A verdict on a transaction, a card or a ring, and when it became known.

    ``subject`` is a node of that label; a card's id is its keyed hash. ``source`` is a word for who says so
    (``chargeback``, ``analyst``), ``time`` UTC epoch milliseconds: before it, nobody knew.
    """

    subject: Entity
    verdict: Verdict
    source: str
    time: int

    @property
    def id(self) -> str:
        """The same for all that one source ever says of one subject."""
        return f"{self.source}|{self.subject.label}|{self.subject.id}"


Event = Transaction | Label


def time_of(event: Event) -> int:
    """When it happened or became known, UTC epoch milliseconds."""
    return event.time if isinstance(event, Label) else event.event_time


def id_of(event: Event) -> str:
    """What tells it from every other event of its kind."""
    return event.id if isinstance(event, Label) else event.transaction_id
