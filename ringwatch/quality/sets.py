"""The sets that models are measured on, and how each is split; none of them is part of the repository.

    remix      the public e-commerce fraud set with each of its real rings moved, as a block, by a random number of
               days: as it stands all its rings fall in early January, and no split by time has one in its test
               part. A ring is what was bought on one device within a minute of signup
    ringjan    the same set's January as it is: eight days to learn from, the rest to be measured on
    handbook   the Fraud Detection Handbook's simulated history: a month to warm up, three months to learn from,
               a week for complaints to come in, and the rest to be measured on

The gap between signup and purchase is no feature in any of them: in the e-commerce set everybody who buys within a
minute is a fraudster, and nobody else's data will do them that favour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gnn.recipe import Recipe
from graph.errors import ConfigurationError
from graph.events import Label, Transaction
from ringwatch.labelled_history import LabelledHistory
from streaming.codec import Codec
from streaming.tokens import CardTokenizer

_DAY_MS = 86_400_000
#: How long after a transaction its label is known.
KNOWN_AFTER = timedelta(days=7)

_ECOMMERCE = "fraud_ecommerce_30k.csv.gz"
_HANDBOOK = "handbook_1754155.parquet"
#: The draw that the bar was measured on, as its counts and those of the simplest scores show.
_REMIX_SEED, _REMIX_DAYS = 7, 300
_RUSH_MS = 60_000
#: A smaller network than elsewhere, for fewer rounds: a million payments are to be done within hours on one core.
_HANDBOOK_RECIPE = Recipe(fan_out=(8, 2), hidden=32, epochs=4, patience=2, honest_per_fraud=5)
#: Tokens of public data need no secret.
_KEY = b"public data sets"

Events = tuple[list[Transaction], list[Label]]


@dataclass(frozen=True)
class QualitySet:
    """A set: its file, how its events are read, which rows (by time, epoch ms) are for what, seeds, the recipe."""

    name: str
    file: str
    read: Callable[[Path], Events]
    split: Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]]
    seeds: tuple[int, ...]
    recipe: Recipe = field(default_factory=Recipe)


def quality_sets(data: Path, names: list[str]) -> Iterator[QualitySet]:
    """The sets of these names whose files are in a folder.

    Raises:
        ConfigurationError: there is no set of a name, or its file is missing.
    """
    for name in names:
        if name not in SETS:
            raise ConfigurationError(f"there is no set {name!r}; there are {', '.join(SETS)}")
        if not (data / SETS[name].file).is_file():
            raise ConfigurationError(f"{data} has no file {SETS[name].file}, which the set {name} is made of")
        yield SETS[name]


def _ecommerce(data: Path, **more: str) -> Events:
    mapping = {
        **more,
        "transaction_id": "user_id",
        "card": "user_id",
        "account": "user_id",
        "event_time": "purchase_time",
        "amount": "purchase_value",
        "device": "device_id",
        "ip": "ip_address",
    }
    return _events(data / _ECOMMERCE, mapping, "class", "%m/%d/%Y %H:%M")


def _handbook(data: Path) -> Events:
    mapping = {
        "transaction_id": "TRANSACTION_ID",
        "event_time": "TX_DATETIME",
        "amount": "TX_AMOUNT",
        "card": "CUSTOMER_ID",
        "merchant": "TERMINAL_ID",
    }
    return _events(data / _HANDBOOK, mapping, "TX_FRAUD", None)


def _events(path: Path, mapping: dict[str, str], column: str, time_format: str | None) -> Events:
    codec = Codec(CardTokenizer(_KEY), mapping, time_format)
    history = LabelledHistory(codec, str(path))
    return list(history.transactions()), list(history.labels_of_column(column, "1", KNOWN_AFTER))


def _january(data: Path) -> Events:
    transactions, labels = _ecommerce(data)
    february = _epoch_ms(2015, 2)
    kept = [t for t in transactions if t.event_time < february]
    ids = {t.transaction_id for t in kept}
    return kept, [label for label in labels if label.subject.id in ids]


def _remix(data: Path) -> Events:
    transactions, labels = _ecommerce(data, account_created="signup_time")
    shift = _shifts(transactions)
    moved = [
        msgspec.structs.replace(t, event_time=t.event_time + shift.get(t.transaction_id, 0), account_created=None)
        for t in transactions
    ]
    told = [msgspec.structs.replace(one, time=one.time + shift.get(one.subject.id, 0)) for one in labels]
    return sorted(moved, key=lambda t: t.event_time), told


def _shifts(transactions: list[Transaction]) -> dict[str, int]:
    """How far (ms, whole days) the transactions of each real ring are moved."""
    rings: defaultdict[str, list[str]] = defaultdict(list)
    for t in transactions:
        if t.device and t.account_created is not None and t.event_time - t.account_created <= _RUSH_MS:
            rings[t.device].append(t.transaction_id)
    days = np.random.default_rng(_REMIX_SEED).integers(0, _REMIX_DAYS, len(rings))
    return {
        name: int(number) * _DAY_MS
        for number, device in zip(days, sorted(rings), strict=True)
        for name in rings[device]
    }


def _by_share(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cut = int(0.7 * len(times))
    return np.arange(cut), np.arange(cut, len(times))


def _by_eight_days(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cut = int(np.searchsorted(times, _epoch_ms(2015, 1) + 8 * _DAY_MS))
    return np.arange(cut), np.arange(cut, len(times))


def _by_month(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    start = times[0] // _DAY_MS * _DAY_MS
    begin, end, test = (int(np.searchsorted(times, start + day * _DAY_MS)) for day in (30, 121, 128))
    return np.arange(begin, end), np.arange(test, len(times))


def _epoch_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000


SETS = {
    one.name: one
    for one in (
        QualitySet("remix", _ECOMMERCE, _remix, _by_share, (0, 1, 2)),
        QualitySet("ringjan", _ECOMMERCE, _january, _by_eight_days, (0, 1, 2)),
        QualitySet("handbook", _HANDBOOK, _handbook, _by_month, (0,), _HANDBOOK_RECIPE),
    )
}
