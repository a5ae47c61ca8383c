"""Features of a whole history, as expressions that a database engine works out.

The expressions are Ibis': DuckDB runs them on one machine, and Spark or BigQuery the same ones where a history
outgrows it. Tables are those of a snapshot (:mod:`gnn.snapshot`): ``seq`` numbers transactions in the order of
their time, and a label counts from the moment ``known_at`` on.

What an entity has been through is one table of events: its transactions, the labels of its transactions at the
moments at which they became known, and the passes at which it is looked at again. A windowed count is then what
there had been before the event, less what there had been before the first event of the window's buckets.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from gnn.features import CHANNELS, DAY_MS, KINDS, MEMORY, MONTH, FeatureSet, Window, count_feature, pair_feature
from graph.schema import HOUR_MS

#: At the same millisecond labels come first, then transactions in their order, then a pass.
_LABEL, _TRANSACTION, _PASS = 0, 1, 2


def point_in_time_features(
    transactions: ir.Table, labels: ir.Table, features: FeatureSet, later_ms: int
) -> ir.Table:
    """What is known of each transaction as it arrives, and at a pass over the graph ``later_ms`` after that.

    The columns are ``seq``, ``features.names`` and ``features.later_names``.
    """
    history = _with_meetings(transactions, features)
    found = history.select("seq", *_row_features(history), *(pair_feature(*pair) for pair in features.pairs))
    for kind in features.kinds:
        told = _told(_events(history, labels, kind, features, later_ms), kind, features)
        for moment in (_at_arrival(told, kind, features), _at_pass(told, kind, features)):
            found = found.left_join(moment, "seq").drop("seq_right")
    return found.select("seq", *features.names, *features.later_names)


def _row_features(history: ir.Table) -> list[ir.Value]:
    channel = ibis.coalesce(history.channel.cases(*CHANNELS.items()), 0)
    age_days = (history.time - history.account_created) / DAY_MS
    return [
        (history.amount.abs() + 1).ln().name("amount_log"),
        (history.time // HOUR_MS % 24).name("hour_of_day"),
        (history.time // DAY_MS % 7).name("weekday"),
        age_days.name("account_age_days"),
        channel.name("channel"),
    ]


def _with_meetings(transactions: ir.Table, features: FeatureSet) -> ir.Table:
    """With a flag for each pair of kinds: whether the two were seen together within memory; NULL without both."""
    bucket = transactions.time // MEMORY.bucket_ms
    meetings = {}
    for one, other in features.pairs:
        ids = [KINDS[one], KINDS[other]]
        before = bucket.lag().over(ibis.window(group_by=ids, order_by="seq"))
        recent = (bucket - before <= MEMORY.buckets).cast("int64")
        both = transactions[ids[0]].notnull() & transactions[ids[1]].notnull()
        meetings[pair_feature(one, other)] = ibis.cases((both, ibis.coalesce(recent, 0)))
    return transactions.mutate(**meetings)


def _events(history: ir.Table, labels: ir.Table, kind: str, features: FeatureSet, later_ms: int) -> ir.Table:
    """Everything that happens to the entities of a kind, with the buckets that it falls into."""
    field = KINDS[kind]
    others = [other for other in features.kinds if other != kind]
    of_kind = history.filter(history[field].notnull())
    nothing = {name: ibis.literal(0, "int64") for name in ("transactions", "declined", "fraud", "amount")}
    nothing |= {f"new_{other}": ibis.literal(0, "int64") for other in others}
    meetings = {
        f"new_{other}": ibis.coalesce(1 - of_kind[pair_feature(*_ordered(kind, other, features))], 0).cast("int64")
        for other in others
    }
    happened = of_kind.select(
        "seq", "time", "currency", entity=field, rank=ibis.literal(_TRANSACTION),
        **nothing | {"transactions": ibis.literal(1, "int64"), "amount": of_kind.amount,
                     "declined": (of_kind.status == "declined").cast("int64")} | meetings,
    )  # fmt: skip
    accused = labels.filter(labels.fraud).join(of_kind, "seq")
    told = accused.select(
        "seq", "currency", time=accused.known_at, entity=field, rank=ibis.literal(_LABEL),
        **nothing | {"fraud": ibis.literal(1, "int64")},
    )  # fmt: skip
    asked = of_kind.select(
        "seq", "currency", time=of_kind.time + later_ms, entity=field, rank=ibis.literal(_PASS), **nothing
    )
    events = ibis.union(happened, *(part.select(*happened.columns) for part in (told, asked)))
    widths = {window.bucket_ms for _, window in features.counts(kind)}
    return events.mutate(**{_bucket(width): events.time // width for width in widths})


def _told(events: ir.Table, kind: str, features: FeatureSet) -> ir.Table:
    """All that is counted of an entity at each of its events."""
    measures = {measure for measure, _ in features.counts(kind)}
    paid_at = ibis.cases((events["rank"] == _TRANSACTION, events.time))
    earlier = ibis.window(group_by="entity", order_by=["time", "rank", "seq"], preceding=(None, 1))
    so_far = {_so_far(measure): ibis.coalesce(events[measure].sum().over(earlier), 0) for measure in measures}
    counted = events.mutate(**so_far, before=paid_at.max().over(earlier))
    names = zip(features.counts(kind), features.counts_of(kind), strict=True)
    return counted.select(
        "seq", "rank", "time", "amount", "before",
        **{name: _count(counted, *count) for count, name in names},
        spent=_in_currency(counted, "amount"),
        paid=_in_currency(counted, "transactions"),
    )  # fmt: skip


def _at_arrival(told: ir.Table, kind: str, features: FeatureSet) -> ir.Table:
    told = told.filter(told["rank"] == _TRANSACTION)
    mean = told.spent / told.paid.nullif(0)
    recent = told.time // MEMORY.bucket_ms - told.before // MEMORY.bucket_ms <= MEMORY.buckets
    fraud, seen = (told[count_feature(kind, measure, MONTH)] for measure in ("fraud", "transactions"))
    return told.select(
        "seq", *features.counts_of(kind),
        **{
            f"{kind}_fraud_rate": fraud / seen.nullif(0),
            f"{kind}_idle_s": ibis.cases((recent, (told.time - told.before) / 1000)),
            f"{kind}_amount_mean": mean,
            f"{kind}_amount_ratio": told.amount / mean.nullif(0),
        },
    )  # fmt: skip


def _at_pass(told: ir.Table, kind: str, features: FeatureSet) -> ir.Table:
    told = told.filter(told["rank"] == _PASS)
    return told.select("seq", **{f"later_{name}": told[name] for name in features.counts_of(kind)})


def _count(events: ir.Table, measure: str, window: Window) -> ir.IntegerValue:
    """A measure's sum over what came before an event in its window: so far, less what it was as that began."""
    begun = ibis.range_window(group_by="entity", order_by=_bucket(window.bucket_ms), preceding=(window.buckets, 0))
    so_far = events[_so_far(measure)]
    return (so_far - so_far.min().over(begun)).cast("int64")


def _in_currency(events: ir.Table, measure: str) -> ir.IntegerValue:
    """A measure's sum over what came before an event, within memory and in its currency; it may have fallen."""
    by, bucket = ["entity", "currency"], _bucket(MEMORY.bucket_ms)
    earlier = ibis.window(group_by=[*by, bucket], order_by=["time", "rank", "seq"], preceding=(None, 1))
    buckets = ibis.range_window(group_by=by, order_by=bucket, preceding=(MEMORY.buckets, 1))
    parts: Any = [ibis.coalesce(events[measure].sum().over(each), 0) for each in (earlier, buckets)]
    return (parts[0] + parts[1]).cast("int64")


def _so_far(measure: str) -> str:
    return f"{measure}_so_far"


def _bucket(width_ms: int) -> str:
    return f"bucket_{width_ms}"


def _ordered(one: str, other: str, features: FeatureSet) -> tuple[str, str]:
    first, second = sorted((one, other), key=features.kinds.index)
    return first, second
