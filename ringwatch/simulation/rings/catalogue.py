"""Which typology is staged how."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ringwatch.simulation.plot import Plot
from ringwatch.simulation.records import Kind, Typology
from ringwatch.simulation.rings.accounts import (
    account_takeover_fan_in,
    bust_out,
    device_farm,
    promotion_abuse,
    refund_abuse,
    synthetic_identity,
)
from ringwatch.simulation.rings.cards import bin_attack, card_cycling, card_testing, ip_hopping, triangulation
from ringwatch.simulation.rings.presence import (
    cash_out_burst,
    common_point_of_purchase,
    impossible_travel,
    lockstep,
    merchant_collusion,
)
from ringwatch.simulation.rings.transfers import cyclic_flow, mule_fan_in_fan_out


class Staging(NamedTuple):
    """How a typology is staged, what belongs to its rings, and the share of the span before their start.

    ``disguised``: whether its cards can go shopping as well, as a guessed or a cloned card cannot.
    """

    stage: Callable[[Plot], None]
    kinds: frozenset[Kind]
    earliest: float = 0.03
    disguised: bool = True


def _kinds(*kinds: Kind) -> frozenset[Kind]:
    return frozenset(kinds)


_IDENTITY = _kinds("card", "account", "device", "ip", "email", "phone", "address")

STAGINGS: dict[Typology, Staging] = {
    "card_testing": Staging(card_testing, _kinds("card", "device", "ip", "email")),
    "bin_attack": Staging(bin_attack, _kinds("card", "device", "ip", "merchant"), disguised=False),
    "device_farm": Staging(device_farm, _kinds("card", "account", "device", "ip", "email", "address")),
    # A takeover needs accounts that have been seen before.
    "account_takeover_fan_in": Staging(
        account_takeover_fan_in, _kinds("card", "account", "device", "ip"), earliest=0.35
    ),
    "synthetic_identity": Staging(synthetic_identity, _IDENTITY),
    "bust_out": Staging(bust_out, _IDENTITY),
    "merchant_collusion": Staging(merchant_collusion, _kinds("card", "device", "ip", "merchant")),
    "common_point_of_purchase": Staging(common_point_of_purchase, _kinds("card", "merchant"), disguised=False),
    "mule_fan_in_fan_out": Staging(mule_fan_in_fan_out, _kinds("card", "account"), disguised=False),
    "cyclic_flow": Staging(cyclic_flow, _kinds("card", "account")),
    "promotion_abuse": Staging(promotion_abuse, _kinds("card", "account", "device", "ip", "email", "address")),
    "refund_abuse": Staging(refund_abuse, _IDENTITY),
    "triangulation": Staging(triangulation, _kinds("card", "device", "ip", "email")),
    "ip_hopping": Staging(ip_hopping, _kinds("card", "device", "ip", "email", "address")),
    "impossible_travel": Staging(impossible_travel, _kinds("card"), earliest=0.05, disguised=False),
    "lockstep": Staging(lockstep, _kinds("card", "account", "device", "email")),
    "cash_out_burst": Staging(cash_out_burst, _kinds("card", "device", "ip", "merchant")),
    "card_cycling": Staging(card_cycling, _kinds("card", "account", "device", "ip", "email")),
}
