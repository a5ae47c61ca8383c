"""Late events: a transaction that arrives behind its entity's newest one changes what later touches see.

So the touches up to one window after it are read back from the graph, to be tested again. Accounts are tied by
their identifiers and devices: a late event at an e-mail, phone or address concerns every account that has it,
one at a device every account whose cards used it, and one at an account, which may name none of them, those that
share one with it; and by transfers, so that one at an account concerns those that its money may have reached
since. Cards are tied by devices and IPs, and by where they were together: a late event at a merchant that is no
hub concerns those that paid there at the time; and those that were called fraud by the merchants at which they
paid: a late event or a label of one concerns the labels of the others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from graph.driver import Graph
from graph.schema import HOUR_MS

#: No more touches than this are tested again for one stretch of late events at one entity.
MAX_TOUCHES = 1_000

#: One query asks about no more stretches than this, which bounds what it holds in memory.
_MAX_CAUSES = 200

#: Of the accounts that share identifiers with one that has late events, no more than this are concerned.
_MAX_RELATIVES = 50

#: Money that comes late is followed for so many transfers, each time to no more accounts than this.
_TRANSFERS = 3
_RECEIVERS = 50

#: No more cards than this were at a merchant together with a late one.
_VISITORS = 200

_BOUNDS = {
    "limit": MAX_TOUCHES,
    "relatives": _MAX_RELATIVES,
    "receivers": _RECEIVERS,
    "visitors": _VISITORS,
    "hour_ms": HOUR_MS,
}

_IN_TIME = "t.time > row.after AND t.time <= row.until"
_OF_CARD = f"MATCH (x)-[:MADE]->(t:Transaction) WHERE {_IN_TIME} "
_OF_ACCOUNT = f"MATCH (x)-[:OWNS]->(:Card)-[:MADE]->(t:Transaction) WHERE t.account = x.id AND {_IN_TIME} "

#: From an account x to those that share an identifier with it.
_RELATED = (
    "CALL { WITH x MATCH (x)-[:HAS]->(i)<-[:HAS]-(y:Account) WHERE i.is_hub = false "
    "RETURN DISTINCT y ORDER BY y.id LIMIT $relatives } WITH row, y AS x "
)

#: From an account x to those that it sent money to.
_SENT_ON = (
    "CALL { WITH row, x MATCH (x)-[s:SENT]->(y:Account) "
    "WHERE s.last_seen > row.after - $hour_ms AND s.first_seen <= row.until AND y.is_hub = false "
    "RETURN y ORDER BY s.first_seen, y.id LIMIT $receivers } WITH DISTINCT row, y AS x LIMIT $receivers "
)


def _at_hours(bucket: str) -> str:
    """From an entity x to its transactions t, by its hours."""
    return (
        "WITH row, x, CASE WHEN x.last_seen < row.until THEN x.last_seen ELSE row.until END AS until "
        "UNWIND range(row.after / $hour_ms, until / $hour_ms) AS hour "
        f"MATCH (t:Transaction {{{bucket}: x.id + '|' + toString(hour)}}) "
        f"USING INDEX SEEK t:Transaction({bucket}) WHERE {_IN_TIME} "
    )


def _at_place(label: str) -> str:
    return f"MATCH (x:{label} {{id: row.id}}) {_at_hours(f'{label.lower()}_hour')}WITH x.id AS id, t"


def _of_accounts() -> str:
    """What an account paid and received, what its relatives paid, and what its money may have reached since."""
    received = f"WITH row, x WHERE x.senders > 0 {_at_hours('counterparty_hour')}"
    parts = [
        _OF_ACCOUNT,
        f"{_RELATED}{_OF_ACCOUNT}",
        *(_SENT_ON * hops + received for hops in range(_TRANSFERS + 1)),
    ]
    account = "WITH row MATCH (x:Account {id: row.id})"
    united = " UNION ALL ".join(f"{account} {part}RETURN x.id AS id, t" for part in parts)
    return f"CALL {{ {united} }} WITH id, t"


#: From a merchant m to the cards x that paid there within an hour or so of the late events.
_VISITED_BY = (
    "UNWIND range(row.after / $hour_ms - 1, row.last / $hour_ms + 1) AS hour "
    "MATCH (u:Transaction {merchant_hour: m.id + '|' + toString(hour)}) "
    "USING INDEX SEEK u:Transaction(merchant_hour) "
    "MATCH (u)<-[:MADE]-(x:Card) WITH DISTINCT row, x ORDER BY x.id LIMIT $visitors "
)


#: The labels of those that were called fraud, as card x was, and paid where it did.
_OF_FRAUDS = (
    "MATCH (x)-[:PAID]->(m:Merchant) WHERE x.fraud_since IS NOT NULL AND m.hub_since > row.after "
    "MATCH (m)<-[:PAID]-(y:Card) WHERE y.fraud_since IS NOT NULL MATCH (y)<-[:OF]-(l:Label) "
    "UNWIND [l.time, y.fraud_since] AS time WITH row, y AS x, {time: time} AS t WHERE "
    f"{_IN_TIME} "
)


def _of_cards() -> str:
    """What a card paid, what those paid who were with it at the late events' merchants, and labels of frauds."""
    card = "WITH row MATCH (x:Card {id: row.id})"
    merchants = (
        "MATCH (x)-[:MADE]->(u:Transaction) WHERE u.time >= row.after AND u.time <= row.last "
        "MATCH (u)-[:AT]->(m:Merchant) WHERE m.is_hub = false WITH DISTINCT row, m "
    )
    parts = [_OF_CARD, f"{merchants}{_VISITED_BY}{_OF_CARD}", _OF_FRAUDS]
    united = " UNION ALL ".join(f"{card} {part}RETURN x.id AS id, t.time AS time" for part in parts)
    return f"CALL {{ {united} }} WITH id, {{time: time}} AS t"


def _of_visitors() -> str:
    """What those paid who were at the merchant at the time."""
    merchant = "MATCH (m:Merchant {id: row.id}) WHERE m.is_hub = false WITH row, m "
    return f"{merchant}{_VISITED_BY}{_OF_CARD}WITH x.id AS id, t"


def _of_holders(label: str, concerned: str) -> str:
    holders = f"MATCH (i:{label} {{id: row.id}})<-[:HAS]-(x:Account) WHERE i.is_hub = false "
    return f"{holders}{_OF_ACCOUNT} WITH {concerned} AS id, t"


#: For rules anchored at a label: label of the late entity → the concerned anchors' transactions (or labels) t in
#: (after, until] of one row {id, after, last, until}, whose late events lie in [after, last].
_CONCERNED: dict[str, dict[str, str]] = {
    "Account": {
        "Account": _of_accounts(),
        **{label: _of_holders(label, "x.id") for label in ("Address", "Email", "Phone")},
        "Device": (
            "MATCH (i:Device {id: row.id})<-[:USED]-(:Card)<-[:OWNS]-(x:Account) WHERE i.is_hub = false "
            f"{_OF_ACCOUNT} WITH x.id AS id, t"
        ),
    },
    "Card": {
        "Card": _of_cards(),
        "Merchant": _of_visitors(),
        **{
            label: (
                f"MATCH (i:{label} {{id: row.id}})<-[:USED]-(x:Card) WHERE i.is_hub = false {_OF_CARD}"
                "WITH x.id AS id, t"
            )
            for label in ("Device", "IP")
        },
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
            {"id": entity_id, "after": first, "last": last, "until": last + window_ms}
            for entity_id, times in sorted(causes.items())
            for first, last in _stretches(times, window_ms)
        ]
        query = (
            f"UNWIND $rows AS row CALL {{ WITH row {concerned} "
            "WITH DISTINCT id, t.time AS time ORDER BY time, id LIMIT $limit RETURN id, time } "
            "RETURN row.id AS cause, id, time"
        )
        answers = (
            answer
            for start in range(0, len(rows), _MAX_CAUSES)
            for answer in graph.read(query, rows=rows[start : start + _MAX_CAUSES], **_BOUNDS)
        )
        for row in answers:
            times, touch = causes[row["cause"]], row["time"]
            distance = touch - times[bisect_left(times, touch) - 1]
            if distance <= window_ms:
                nearest = found[row["id"]]
                nearest[touch] = min(distance, nearest.get(touch, distance))
    return dict(found)


def _stretches(times: Iterable[int], window_ms: int) -> list[tuple[int, int]]:
    """The first and last of sorted times whose windows (t, t + window] overlap."""
    joined: list[tuple[int, int]] = []
    for time in times:
        if joined and time <= joined[-1][1] + window_ms:
            joined[-1] = (joined[-1][0], time)
        else:
            joined.append((time, time))
    return joined
