"""No column of the simulated stream gives fraud away on its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ringwatch.simulation import Simulation
from ringwatch.simulation.records import Event, Payment

COUNT = 200_000
HIGHEST_AUC = 0.75
#: Fewer fraudulent values than this say more about a ring or two than about a column.
FEWEST_FRAUDS = 80
#: Up to how many values a column's rate of fraud can be learned for each of them from the whole stream.
FEW_VALUES = 100
#: What belongs to somebody: a ring uses its own again, so that past fraud tells its future, as it should.
IDENTITIES = {"card", "account", "account_created", "counterparty", "device", "ip", "email", "phone"}
IDENTITIES |= {"shipping_address", "billing_address"}
#: What a text may count by: a street, a line, an octet, and whatever digits an opaque name has.
NUMBER = re.compile(r"\d+")

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def test_no_single_column_separates_fraud() -> None:
    events = [event for event in Simulation(COUNT, seed=101).events() if not event.redelivered]
    fraud = np.array([event.fraud for event in events])
    found = {name: separation(fraud, scores) for name, scores in views(events, fraud)}
    assert len(found) > 60
    assert {name: auc for name, auc in found.items() if auc >= HIGHEST_AUC} == {}


def test_the_measure_sees_what_separates() -> None:
    fraud = np.arange(1_000) % 10 == 0
    assert separation(fraud, np.where(fraud, 9_999.0, 1.0)) == 1.0
    assert separation(fraud, np.where(fraud, 1.0, 9_999.0)) == 1.0
    assert (
        separation(fraud, np.where(fraud, np.nan, 5.0)) == 0.5
    )  # too few are left, and what is missing is asked apart
    assert separation(fraud, learned(["a" if one else "b" for one in fraud], fraud)) == 1.0
    assert separation(fraud, learned(list(range(1_000)), fraud)) < 0.6
    many = np.arange(4_000) % 10 == 0
    assert separation(many, learned_before([n % 200 for n in range(4_000)], many)) == 1.0


def separation(fraud: Flags, scores: Numbers) -> float:
    """The ROC-AUC of a column in its better direction, among the events that have it."""
    known = ~np.isnan(scores)
    if fraud[known].sum() < FEWEST_FRAUDS:
        return 0.5
    auc = float(roc_auc_score(fraud[known], scores[known]))
    return max(auc, 1.0 - auc)


def views(events: Sequence[Event], fraud: Flags) -> Iterator[tuple[str, Numbers]]:
    """Every column as a scorer without a graph could see it, by name."""
    payments = [event.payment for event in events]
    for column in Payment.__struct_fields__:
        values = [getattr(payment, column) for payment in payments]
        yield f"{column} is missing", np.array([value is None for value in values], float)
        counts = Counter(values)
        yield f"{column}, frequency", np.array([np.nan if v is None else counts[v] for v in values], float)
        yield (
            f"{column}, frequency, missing as none",
            np.array([counts[v] if v is not None else 0 for v in values], float),
        )
        if any(isinstance(value, str) for value in values):
            yield f"{column}, length", np.array([np.nan if v is None else len(v) for v in values], float)
            told = [[] if v is None else NUMBER.findall(v) for v in values]
            for place in range(max(map(len, told))):
                yield (
                    f"{column}, number {place}",
                    np.array([float(n[place]) if place < len(n) else np.nan for n in told]),
                )
        if len(counts) <= FEW_VALUES:
            yield f"{column}, rate", learned(values, fraud)
        elif column not in IDENTITIES:
            yield f"{column}, rate before", learned_before(values, fraud)
        if all(value is None or isinstance(value, (int, float)) for value in values):
            yield column, np.array([np.nan if value is None else value for value in values], float)
    hours = [event.time // 3_600_000 % 24 for event in events]
    yield "time", np.array([event.time for event in events], float)
    yield "hour", np.array(hours, float)
    yield "hour, rate", learned(hours, fraud)
    yield "delay", np.array([event.delay_ms for event in events], float)
    yield "issuer, rate", learned([payment.card[:6] for payment in payments], fraud)
    yield (
        "amount within currency",
        within(
            np.array([payment.amount for payment in payments], float), [payment.currency for payment in payments]
        ),
    )
    yield "age of the account", np.array([age(payment) for payment in payments])


def learned(values: Sequence[Any], fraud: Flags, folds: int = 5) -> Numbers:
    """For each event the rate of fraud that the other folds show for its value, smoothed."""
    _, codes = np.unique(np.array([str(value) for value in values]), return_inverse=True)
    fold = np.random.default_rng(0).integers(0, folds, len(values))
    rates = np.zeros(len(values))
    for held in range(folds):
        seen = fold != held
        all_of = np.bincount(codes[seen], minlength=codes.max() + 1)
        bad = np.bincount(codes[seen], weights=fraud[seen], minlength=codes.max() + 1)
        rates[~seen] = ((bad + 20 * fraud.mean()) / (all_of + 20))[codes[~seen]]
    return rates


def learned_before(values: Sequence[Any], fraud: Flags) -> Numbers:
    """For each event of the second half the rate of fraud that the first half shows for its value, smoothed.

    Between folds of one time a value of which there are few is known by the very ring that it is to tell.
    """
    _, codes = np.unique(np.array([str(value) for value in values]), return_inverse=True)
    half, some = len(values) // 2, codes.max() + 1
    all_of = np.bincount(codes[:half], minlength=some)
    bad = np.bincount(codes[:half], weights=fraud[:half], minlength=some)
    rates: Numbers = ((bad + 20 * fraud[:half].mean()) / (all_of + 20))[codes]
    rates[:half] = np.nan
    return rates


def within(amounts: Numbers, currencies: Sequence[str]) -> Numbers:
    """The rank of each amount among those of its currency, from 0 to 1."""
    ranks, names = np.zeros(len(amounts)), np.array(currencies)
    for currency in set(currencies):
        own = names == currency
        ranks[own] = np.argsort(np.argsort(amounts[own])) / own.sum()
    return ranks


def age(payment: Payment) -> float:
    """Seconds since the account was opened."""
    if payment.account_created is None:
        return float("nan")
    opened = datetime.fromisoformat(payment.account_created)
    return (datetime.fromisoformat(payment.event_time) - opened).total_seconds()
