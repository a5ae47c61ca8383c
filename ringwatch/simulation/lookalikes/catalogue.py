"""Which honest look-alike is staged how."""

from __future__ import annotations

from collections.abc import Callable

from ringwatch.simulation.gathering import Gathering
from ringwatch.simulation.lookalikes import homes, money, networks, shops, work
from ringwatch.simulation.records import LookAlike

GATHERINGS: dict[LookAlike, Callable[[Gathering], None]] = {
    "family_tablet": homes.family_tablet,
    "student_hall": homes.student_hall,
    "family_wallet": homes.family_wallet,
    "holiday_spending": homes.holiday_spending,
    "couple": homes.couple,
    "office": work.office,
    "corporate_cards": work.corporate_cards,
    "call_centre": work.call_centre,
    "mail_order": work.mail_order,
    "commuters": work.commuters,
    "treasury": money.treasury,
    "landlord": money.landlord,
    "club": money.club,
    "flash_sale": shops.flash_sale,
    "concert": shops.concert,
    "gift_cards": shops.gift_cards,
    "gift_buyer": shops.gift_buyer,
    "personal_shopper": shops.personal_shopper,
    "issuer_outage": shops.issuer_outage,
    "clothing_returns": homes.clothing_returns,
    "carrier_nat": networks.carrier_nat,
    "mobile_churn": networks.mobile_churn,
    "vpn": networks.vpn,
    "internet_cafe": shops.internet_cafe,
    "colliding_fingerprint": networks.colliding_fingerprint,
    "traveller": networks.traveller,
}
