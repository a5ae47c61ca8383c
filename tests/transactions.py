"""Transactions for tests, made with as few words as a test needs."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from graph.events import Entity, Label, Transaction, Verdict

NOON = 1_750_000_000_000 // 3_600_000 * 3_600_000
MINUTE = 60_000


def transaction(transaction_id: str, card: str = "c1", **fields: Any) -> Transaction:
    """A transaction at ``NOON`` unless ``event_time`` says otherwise; the digest follows from the content."""
    fields = {"event_time": NOON, "amount": 1_000, "currency": "EUR", **fields}
    made = Transaction(transaction_id=transaction_id, card=f"hmac:{card}", digest="", **fields)
    digest = hashlib.blake2b(msgspec.msgpack.encode(made), digest_size=16).hexdigest()
    return msgspec.structs.replace(made, digest=digest)


def label(subject: str, verdict: Verdict = "fraud", *, kind: str = "Transaction", **fields: Any) -> Label:
    """A chargeback at ``NOON`` unless told otherwise; a card is named as in :func:`transaction`."""
    named = Entity(kind, f"hmac:{subject}" if kind == "Card" else subject)
    return Label(**{"subject": named, "verdict": verdict, "source": "chargeback", "time": NOON, **fields})
