"""What senders call things: other words for a status or a channel, and those that stand for nothing."""

from __future__ import annotations

from collections.abc import Mapping

from graph.events import Channel, Status

_STATUSES: dict[Status, str] = {
    "approved": (
        "accepted authorised authorized captured complete completed ok paid settled success successful succeeded"
    ),
    "declined": "denied failed failure refused rejected unsuccessful",
    "refunded": "refund",
    "reversed": "canceled cancelled chargeback charged_back reversal void voided",
}
_CHANNELS: dict[Channel, str] = {
    "ecommerce": "app card_not_present cnp e_commerce ecom internet mobile mobile_app online remote web website",
    "pos": (
        "card_present chip contactless cp in_person in_store instore physical point_of_sale retail store swipe "
        "terminal"
    ),
    "atm": "cash cash_machine cash_withdrawal withdrawal",
    "transfer": "a2a account_transfer bank_transfer p2p remittance wire wire_transfer",
}


def _by_word(meanings: Mapping[Status, str] | Mapping[Channel, str]) -> dict[str, str]:
    return {word: meaning for meaning, words in meanings.items() for word in (meaning, *words.split())}


#: What a word for a status, or a channel, means; words are in lower case, with ``_`` between their parts.
STATUSES = _by_word(_STATUSES)
CHANNELS = _by_word(_CHANNELS)

#: What stands where nothing is known. Not ``na``, which is a country.
_NOTHING = frozenset(
    ("", "#n/a", "(null)", "-", "?", "n/a", "nan", "none", "not available", "null", "undefined", "unknown")
)


def is_nothing(text: str) -> bool:
    """Whether a text says that there is no value."""
    return text.strip().lower() in _NOTHING
