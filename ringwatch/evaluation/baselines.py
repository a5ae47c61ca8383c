"""Two baselines on the same stream: a model that sees single transactions, and plain connected components."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import average_precision_score, roc_auc_score

from graph.events import Transaction
from ringwatch.evaluation.found import Reported, Ring
from ringwatch.evaluation.truth import Truth
from streaming.money import to_major

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_TRAINING_SHARE = 0.6
_LINKS = ("device", "ip", "email", "phone", "shipping_address")
_CATEGORIES = ("currency", "status", "channel", "merchant_category", "merchant_country", "merchant")
_SEED = 0
_UNTOLD = (0, False)


class TransactionModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a per-transaction model does on the last part of the stream, after training on the first.

    Each day analysts open its ``budget`` highest scores. ``precision`` is the share of fraud among these;
    ``ring_recall`` the share of the rings active in that part of which at least one fraud was opened, and
    ``rings_majority`` of which at least half were: seeing one payment is not seeing a ring.
    """

    trained_on: int
    known_fraud: int
    tested_on: int
    average_precision: float
    roc_auc: float
    budget: int
    precision: float
    ring_recall: float
    rings_majority: float


def transaction_model(truth: Truth, budget: int) -> TransactionModelFigures | None:
    """Train gradient-boosted trees on single transactions with the labels known by then, and test on what follows.

    ``None`` where the stream has too few known frauds before, or none after, the cut.
    """
    payments = sorted(truth.payments, key=lambda payment: payment.event_time)
    times = np.array([payment.event_time for payment in payments])
    cut = int(len(payments) * _TRAINING_SHARE)
    if not 0 < cut < len(payments):
        return None
    now = int(times[cut])
    known = [_known_fraud(truth, payment, now) for payment in payments[:cut]]
    actual = np.array([payment.transaction_id in truth.fraud for payment in payments[cut:]])
    if sum(known) < 10 or not actual.any():
        return None
    features, categorical = _features(payments, times)
    model = lightgbm.LGBMClassifier(
        n_estimators=300, learning_rate=0.05, num_leaves=31, subsample=0.8, subsample_freq=1,
        random_state=_SEED, deterministic=True, n_jobs=2, verbose=-1,
    )  # fmt: skip
    model.fit(features[:cut], known, categorical_feature=categorical)
    scores = np.asarray(model.predict_proba(features[cut:]))[:, 1]
    opened = _opened(times[cut:], scores, budget)
    seen = Counter(
        truth.ring_of[key] for index in opened if (key := payments[cut + index].transaction_id) in truth.fraud
    )
    late = {payment.transaction_id for payment in payments[cut:]}
    sizes = {ring.ring_id: len(late.intersection(ring.transaction_ids)) for ring in truth.rings}
    active = {ring_id: size for ring_id, size in sizes.items() if size}
    return TransactionModelFigures(
        trained_on=cut,
        known_fraud=sum(known),
        tested_on=len(payments) - cut,
        average_precision=float(average_precision_score(actual, scores)),
        roc_auc=float(roc_auc_score(actual, scores)),
        budget=budget,
        precision=float(actual[opened].mean()) if len(opened) else 0.0,
        ring_recall=sum(seen[ring_id] > 0 for ring_id in active) / len(active),
        rings_majority=sum(2 * seen[ring_id] >= size for ring_id, size in active.items()) / len(active),
    )


def component_rings(truth: Truth, min_cards: int = 3) -> list[Reported]:
    """Connected components of cards that share a device, an address, a mailbox or a phone, as rings.

    Nothing is pruned and nothing ages: this is what the word "ring" means without any of our rules. The larger
    the component, the higher its risk.
    """
    numbers: dict[tuple[str, str], int] = {}
    starts: list[int] = []
    ends: list[int] = []
    for payment in truth.payments:
        card = numbers.setdefault(("card", payment.card), len(numbers))
        for kind in _LINKS:
            if (value := getattr(payment, kind)) is not None:
                starts.append(card)
                ends.append(numbers.setdefault((kind, value), len(numbers)))
    size = len(numbers)
    links = coo_array((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(size, size))
    _, labels = connected_components(links, directed=False)
    members: defaultdict[int, list[Transaction]] = defaultdict(list)
    for payment in truth.payments:
        members[int(labels[numbers["card", payment.card]])].append(payment)
    rings = []
    for label, made in members.items():
        cards = len({payment.card for payment in made})
        if cards >= min_cards:
            first = min(payment.event_time for payment in made)
            ring = Ring(
                ring_id=f"component-{label}",
                transaction_ids=[payment.transaction_id for payment in made],
                first_seen=str(first),
            )
            rings.append(Reported(ring, first, 1 - 1 / cards))
    return sorted(rings, key=lambda one: (one.first_alert, one.ring.ring_id))


def _known_fraud(truth: Truth, payment: Transaction, now: int) -> bool:
    return max(
        (told for told in truth.told_of.get(payment.transaction_id, ()) if told[0] <= now), default=_UNTOLD
    )[1]


def _features(payments: Sequence[Transaction], times: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[int]]:
    """What one transaction shows by itself, and which columns are categories; shape (transactions, features)."""
    columns: list[Iterable[Any]] = [
        [to_major(payment.amount, payment.currency) for payment in payments],
        times // _HOUR_MS % 24,
        times // _DAY_MS % 7,
        [_age_days(payment) for payment in payments],
        [_limit(payment) for payment in payments],
        *([getattr(payment, name) is None for payment in payments] for name in (*_LINKS, "account", "promotion")),
    ]
    numeric = len(columns)
    for name in _CATEGORIES:
        codes: dict[Any, int] = {None: 0}
        columns.append([codes.setdefault(getattr(payment, name), len(codes)) for payment in payments])
    return np.column_stack([np.asarray(column, dtype=float) for column in columns]), list(
        range(numeric, len(columns))
    )


def _age_days(payment: Transaction) -> float:
    created = payment.account_created
    return np.nan if created is None else (payment.event_time - created) / _DAY_MS


def _limit(payment: Transaction) -> float:
    limit = payment.credit_limit
    return np.nan if limit is None else float(to_major(limit, payment.currency))


def _opened(times: NDArray[np.int64], scores: NDArray[np.float64], budget: int) -> NDArray[np.int64]:
    """Indices of each day's ``budget`` highest scores."""
    days = times // _DAY_MS
    order = np.lexsort((-scores, days))
    rank = np.arange(len(order)) - np.searchsorted(days[order], days[order])
    return order[rank < budget]
