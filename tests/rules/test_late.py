"""Which later touches a late event concerns."""

from __future__ import annotations

from graph.driver import Graph
from graph.writer import GraphWriter
from queries.late import later_touches
from tests.transactions import MINUTE, NOON, transaction

HOUR = 60 * MINUTE


def test_a_late_event_at_an_account_concerns_those_that_share_an_identifier(graph: Graph) -> None:
    GraphWriter(graph).write(
        [
            transaction("p0", "c1", account="p", phone="shared", event_time=NOON),
            transaction("p1", "c1", account="p", event_time=NOON + HOUR),
            transaction("q0", "c2", account="q", phone="shared", event_time=NOON + 2 * HOUR),
            transaction("stranger", "c3", account="x", phone="other", event_time=NOON + HOUR),
            transaction("later", "c2", account="q", event_time=NOON + 4 * HOUR),
        ]
    )
    late = {"Account": {"q": [NOON]}}
    assert later_touches(graph, "Account", late, 3 * HOUR) == {
        "p": {NOON + HOUR: HOUR},
        "q": {NOON + 2 * HOUR: 2 * HOUR},
    }


def test_a_hub_ties_no_accounts(graph: Graph) -> None:
    crowd = [transaction(f"t{n}", f"c{n}", account=f"a{n}", phone="hotline") for n in range(21)]
    GraphWriter(graph).write([*crowd, transaction("next", "c0", account="a0", event_time=NOON + HOUR)])
    assert later_touches(graph, "Account", {"Account": {"a1": [NOON]}}, 2 * HOUR) == {}
    assert later_touches(graph, "Account", {"Account": {"a0": [NOON]}}, 2 * HOUR) == {"a0": {NOON + HOUR: HOUR}}
