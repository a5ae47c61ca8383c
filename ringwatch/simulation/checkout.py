"""How a purchase becomes a payment, alike for honest people and rings."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ringwatch.simulation.chance import lognormal
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.places import City, Country
from ringwatch.simulation.records import Payment
from ringwatch.simulation.rhythm import DAY_MS, rfc3339

_LARGEST_EUROS = 15_000.0
_LOST_FIELD_SHARE = 0.01
# Makes a letter of the digit that opens a UUID's first, second and last group.
_LETTERS = 0xA0000000A000000000A00000000000


@dataclass(frozen=True, slots=True)
class Buyer:
    """What one person, real or pretended, shows at a checkout; ``created`` is epoch ms."""

    card: str
    account: str | None = None
    created: int | None = None
    email: str | None = None
    phone: str | None = None
    device: str | None = None
    ip: str | None = None
    network: str | None = None
    home: str | None = None
    ship_to: str | None = None
    credit_limit: int | None = None
    city: City | None = None


def transaction_id(rng: random.Random) -> str:
    """A random UUID (version 4) without runs of digits that look like a card number."""
    digits = f"{rng.getrandbits(120) | _LETTERS:030x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"


def usual_euros(rng: random.Random, merchant: Merchant, spending: float = 1.0) -> float:
    """An amount that is ordinary for a merchant."""
    category = merchant.category
    euros = lognormal(rng, category.median_euros * merchant.price_level * spending, category.sigma)
    return max(10.0, round(euros, -1)) if category.channel == "atm" else euros


def local_amount(country: Country, euros: float) -> float | int:
    """Euros in a country's currency, at its precision, above zero."""
    amount = min(euros, _LARGEST_EUROS) * country.per_euro
    return max(1, round(amount)) if country.decimals == 0 else max(0.01, round(amount, country.decimals))


def pay(
    rng: random.Random,
    time: int,
    buyer: Buyer,
    merchant: Merchant,
    euros: float,
    status: str,
    *,
    discounts: float = 0.03,
) -> Payment:
    """The payment as the merchant passes it on: some collect less than others, and any field may get lost."""
    category, country, collects = merchant.category, merchant.country, merchant.collects
    online = category.channel == "ecommerce"
    lost = rng.randrange(7) if rng.random() < _LOST_FIELD_SHARE else -1
    known = buyer.account is not None and "account" in collects and lost != 6
    located = buyer.city is not None and "location" in collects
    promoted = merchant.promotes and status == "approved" and rng.random() < discounts
    return Payment(
        transaction_id=transaction_id(rng),
        event_time=rfc3339(time),
        card=buyer.card,
        amount=local_amount(country, euros),
        currency=country.currency,
        status=status,
        merchant=merchant.id,
        merchant_category=category.code if lost != 0 else None,
        merchant_country=country.code if lost != 1 else None,
        account=buyer.account if known else None,
        account_created=rfc3339(buyer.created) if known and buyer.created is not None else None,
        device=buyer.device if "device" in collects and lost != 2 else None,
        ip=buyer.ip if "ip" in collects and lost != 3 else None,
        network=buyer.network if "ip" in collects and lost != 3 else None,
        email=buyer.email if "email" in collects and lost != 4 else None,
        phone=buyer.phone if "phone" in collects and lost != 5 else None,
        shipping_address=(buyer.ship_to or buyer.home) if online and category.ships else None,
        billing_address=buyer.home if "billing" in collects else None,
        channel=category.channel,
        latitude=round(buyer.city.latitude + rng.gauss(0, 0.04), 5) if buyer.city and located else None,
        longitude=round(buyer.city.longitude + rng.gauss(0, 0.06), 5) if buyer.city and located else None,
        credit_limit=buyer.credit_limit,
        promotion=f"{merchant.id}-week-{time // (7 * DAY_MS)}" if promoted else None,
    )


def send(
    rng: random.Random, time: int, sender: Buyer, receiver: str, country: Country, euros: float, status: str
) -> Payment:
    """A transfer from the sender's account to another one; there is no merchant, and the bank sees the device."""
    lost = rng.randrange(3) if rng.random() < _LOST_FIELD_SHARE else -1
    return Payment(
        transaction_id=transaction_id(rng),
        event_time=rfc3339(time),
        card=sender.card,
        amount=local_amount(country, euros),
        currency=country.currency,
        status=status,
        account=sender.account,
        account_created=rfc3339(sender.created) if sender.created is not None else None,
        counterparty=receiver,
        device=sender.device if lost != 0 else None,
        ip=sender.ip if lost != 1 else None,
        network=sender.network if lost != 1 else None,
        phone=sender.phone if lost != 2 else None,
        channel="transfer",
    )
