"""What a model is told of a transaction: the one definition, whichever engine works it out.

A feature says something of a transaction's own fields, or of the history of an entity that it names: counts in
windows that end at a moment, and never anything that happened or became known later. :mod:`gnn.batch_features`
works them out for a whole history with a database engine, :mod:`gnn.live_features` one event after another;
this module refuses to do either.

Windows are made of whole buckets: ``1h`` is the current five minutes, as far as they have gone, and the twelve
before. So an entity's state is bounded however busy it is, and both ways give the same integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import msgspec

from graph.events import Entity
from graph.schema import HOUR_MS

_MINUTE_MS = 60_000
DAY_MS = 24 * HOUR_MS

#: Kind of entity → the transaction's field that names it.
KINDS = {
    "card": "card",
    "account": "account",
    "device": "device",
    "ip": "ip",
    "merchant": "merchant",
    "email": "email",
    "phone": "phone",
    "address": "shipping_address",
}

#: Kind of entity → its node's label.
_LABELS = {
    "card": "Card",
    "account": "Account",
    "device": "Device",
    "ip": "IP",
    "merchant": "Merchant",
    "email": "Email",
    "phone": "Phone",
    "address": "Address",
}

#: Channels as numbers; 0 is none, or another one.
CHANNELS = {"ecommerce": 1, "pos": 2, "atm": 3, "transfer": 4}


@dataclass(frozen=True, eq=False)  # one object each, found by identity on the hot path
class Window:
    """The current bucket and so many before it."""

    name: str
    bucket_ms: int
    buckets: int

    @property
    def reach_ms(self) -> int:
        """How far back it goes at most."""
        return (self.buckets + 1) * self.bucket_ms


HOUR = Window("1h", 5 * _MINUTE_MS, 12)
DAY = Window("1d", HOUR_MS, 24)
WEEK = Window("7d", DAY_MS, 7)
MONTH = Window("30d", DAY_MS, 30)
YEAR = Window("360d", 30 * DAY_MS, 12)

#: What is not seen for so long is forgotten, in every feature.
MEMORY = YEAR

#: Measure → the windows in which an entity's transactions are counted by it: all, those that were declined, those
#: that were called fraud (at the moment at which that became known), those that brought a new neighbour of a kind.
COUNTED = {
    "transactions": (HOUR, DAY, WEEK, MONTH, YEAR),
    "declined": (HOUR, WEEK),
    "fraud": (WEEK, MONTH, YEAR),
    "new": (HOUR, DAY, YEAR),
}

#: What the transaction says by itself.
ROW_FEATURES = ("amount_log", "hour_of_day", "weekday", "account_age_days", "channel")


class FeatureSet(msgspec.Struct, frozen=True):
    """The features of histories that name these kinds of entities; their order is that of every row.

    ``names`` are those at a transaction's arrival; ``later_names`` those of the same entities at a later moment
    (a pass over the graph), when the transaction itself is part of their history.
    """

    kinds: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The kinds of which a transaction may bring two together for the first time."""
        return list(combinations(self.kinds, 2))

    @property
    def names(self) -> list[str]:
        """Names at arrival."""
        return [
            *ROW_FEATURES,
            *(name for kind in self.kinds for name in self.of_entity(kind)),
            *(pair_feature(*pair) for pair in self.pairs),
        ]

    @property
    def later_names(self) -> list[str]:
        """Names at a later pass."""
        return [f"later_{name}" for kind in self.kinds for name in self.counts_of(kind)]

    def names_at(self, *, later: bool) -> list[str]:
        """All that is known of a transaction at its arrival, or at a later pass."""
        return [*self.names, *(self.later_names if later else [])]

    @property
    def label_names(self) -> list[str]:
        """Those of both that depend on labels."""
        return [name for name in self.names_at(later=True) if "_fraud_" in name]

    def counts_of(self, kind: str) -> list[str]:
        """The windowed counts of a kind of entity."""
        return [count_feature(kind, measure, window) for measure, window in self.counts(kind)]

    def counts(self, kind: str) -> list[tuple[str, Window]]:
        """Measures of a kind of entity and their windows; ``new_<kind>`` is one for each other kind."""
        return [
            (name, window)
            for measure, windows in COUNTED.items()
            for name in (self._new(kind) if measure == "new" else [measure])
            for window in windows
        ]

    def _new(self, kind: str) -> list[str]:
        return [f"new_{other}" for other in self.kinds if other != kind]

    def of_entity(self, kind: str) -> list[str]:
        """All that is told of an entity at arrival."""
        return [
            *self.counts_of(kind),
            f"{kind}_fraud_rate",
            f"{kind}_idle_s",
            f"{kind}_amount_mean",
            f"{kind}_amount_ratio",
        ]


def node_of(kind: str, entity_id: str) -> Entity:
    """The node of an entity that features know by its kind and id."""
    return Entity(_LABELS[kind], entity_id)


def count_feature(kind: str, measure: str, window: Window) -> str:
    """The name of a windowed count: ``device_transactions_1h``."""
    return f"{kind}_{measure}_{window.name}"


def pair_feature(one: str, other: str) -> str:
    """The name of the flag (0 or 1) that two entities of a transaction were seen together before."""
    return f"{one}_{other}_met"


def in_words(name: str, value: float) -> str:
    """A feature of a payment and its value, for a person."""
    if name == "amount_log":
        return f"its amount is {math.expm1(value):,.0f} minor units"
    if name in ROW_FEATURES:
        return f"its {name.replace('_', ' ')} is {value:.4g}"
    if name.endswith("_met"):
        one, other, _ = name.split("_")
        return f"its {one} and its {other} were {'seen together before' if value else 'never seen together'}"
    kind, _, rest = name.removeprefix("later_").partition("_")
    if rest in _OF_ENTITY:
        return f"{_OF_ENTITY[rest].format(kind)}: {value:.4g}"
    measure, _, window = rest.rpartition("_")
    new = measure.removeprefix("new_")
    many = _COUNTED_IN_WORDS[measure] if new == measure else f"new {new}{'es' if new == 'address' else 's'}"
    until = " until the pass" if name.startswith("later_") else ""
    return f"{many} at its {kind} within {window}{until}: {value:.0f}"


_COUNTED_IN_WORDS = {"transactions": "payments", "declined": "declined payments", "fraud": "known frauds"}
_OF_ENTITY = {
    "fraud_rate": "known frauds for each payment at its {} within a month",
    "idle_s": "seconds since its {} was seen before",
    "amount_mean": "mean amount at its {}, in minor units",
    "amount_ratio": "its amount as a multiple of the mean at its {}",
}


def feature_set(kinds: Sequence[str]) -> FeatureSet:
    """The features for these kinds, in the one order of :data:`KINDS`."""
    return FeatureSet(tuple(kind for kind in KINDS if kind in kinds))
