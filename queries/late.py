"""Late events: a transaction that arrives behind its entity's newest one changes what later touches see.

So the touches up to one window after it are read back from the graph, to be tested again. Accounts are tied by
their identifiers and devices: a late event at an e-mail, phone or address concerns every account that has it, and
one at a device every account whose cards used it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from graph.driver import Graph
from graph.schema import HOUR_MS

#: No more touches than this are tested again for one stretch of late events at one entity.
MAX_TOUCHES = 1_000

_IN_TIME = "t.time > row.after AND t.time <= row.until"
_OF_ACCOUNT = f"MATCH (x)-[:OWNS]->(:Card)-[:MADE]->(t:Transaction) WHERE t.account = x.id AND {_IN_TIME} "


def _at_place(label: str) -> str:
    return (
        f"MATCH (x:{label} {{id: row.id}}) "
        "WITH row, CASE WHEN x.last_seen < row.until THEN x.last_seen ELSE row.until END AS until "
        "UNWIND range(row.after / $hour_ms, until / $hour_ms) AS hour "
        f"MATCH (t:Transaction {{{label.lower()}_hour: row.id + '|' + toString(hour)}}) "
        f"USING INDEX SEEK t:Transaction({label.lower()}_hour) "
        f"WHERE {_IN_TIME} WITH row.id AS id, t"
    )


def _of_holders(label: str, concerned: str) -> str:
    holders = f"MATCH (i:{label} {{id: row.id}})<-[:HAS]-(x:Account) WHERE i.is_hub = false "
    return f"{holders}{_OF_ACCOUNT} WITH {concerned} AS id, t"


#: For rules anchored at a label: label of the late entity → the concerned anchors' transactions t in
#: (after, until] of one row {id, after, until}.
_CONCERNED: dict[str, dict[str, str]] = {
    "Account": {
        "Account": f"MATCH (x:Account {{id: row.id}}) {_OF_ACCOUNT} WITH row.id AS id, t",
        **{label: _of_holders(label, "x.id") for label in ("Address", "Email", "Phone")},
        "Device": (
            "MATCH (i:Device {id: row.id})<-[:USED]-(:Card)<-[:OWNS]-(x:Account) WHERE i.is_hub = false "
            f"{_OF_ACCOUNT} WITH x.id AS id, t"
        ),
    },
    "Card": {
        "Card": f"MATCH (:Card {{id: row.id}})-[:MADE]->(t:Transaction) WHERE {_IN_TIME} WITH row.id AS id, t"
    },
    **{label: {label: _at_place(label)} for label in ("Device", "IP", "Merchant")},
    **{label: {label: _of_holders(label, "row.id")} for label in ("Address", "Email", "Phone")},
}


def later_touches(
    graph: Graph, anchor: str, late: Mapping[str, Mapping[str, Sequence[int]]], window_ms: int
) -> dict[str, dict[int, int]]:
    """The touches of anchors of one label that lie in (t, t + window] of a late event t which concerns them.

    ``late`` is label → entity id → sorted late times (epoch ms). The result is anchor id → touch → how many ms
    before it the nearest such late event was.
    """
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for label, concerned in _CONCERNED[anchor].items():
        causes = late.get(label, {})
        rows = [
            {"id": entity_id, "after": after, "until": until}
            for entity_id, times in sorted(causes.items())
            for after, until in _stretches(times, window_ms)
        ]
        query = (
            f"UNWIND $rows AS row CALL {{ WITH row {concerned} "
            "WITH DISTINCT id, t.time AS time ORDER BY time, id LIMIT $limit RETURN id, time } "
            "RETURN row.id AS cause, id, time"
        )
        for row in graph.read(query, rows=rows, limit=MAX_TOUCHES, hour_ms=HOUR_MS) if rows else ():
            times, touch = causes[row["cause"]], row["time"]
            distance = touch - times[bisect_left(times, touch) - 1]
            if distance <= window_ms:
                nearest = found[row["id"]]
                nearest[touch] = min(distance, nearest.get(touch, distance))
    return dict(found)


def _stretches(times: Iterable[int], window_ms: int) -> list[tuple[int, int]]:
    """The windows (t, t + window] of sorted times, those that overlap joined."""
    joined: list[tuple[int, int]] = []
    for time in times:
        if joined and time <= joined[-1][1]:
            joined[-1] = (joined[-1][0], time + window_ms)
        else:
            joined.append((time, time + window_ms))
    return joined
