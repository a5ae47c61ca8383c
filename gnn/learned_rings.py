"""Rings out of scores: payments that are likely fraud and hang together by what few honest people share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gnn.explanation import Explanation
from gnn.features import in_words, node_of
from gnn.live_graph import LiveGraph, Named, Payment
from graph.events import Entity
from graph.schema import HOUR_MS
from queries.spec import Finding, Measure, Member

#: What findings out of scores carry in place of a rule's id.
RULE = "learned"
_VERSION = 1

#: Payments that are further apart do not make one ring.
_SPAN_MS = 24 * HOUR_MS
_MOST_PAYMENTS = 200

#: What strangers share says nothing.
_NO_TIE = "merchant"
_PLACES = ("IP", "Address")


@dataclass(frozen=True)
class RingCriteria:
    """Payments of a ``min_risk`` (a probability) or more, of at least ``min_owners`` different owners.

    One such payment says little. That several owners' hang together by what is not shared by strangers says more:
    of the groups that this gave on three simulated streams (seeds 931 to 933) 52 of 59 were of rings.
    """

    min_risk: float = 0.1
    min_owners: int = 3


def hanging_together(
    graph: LiveGraph, scored: Iterable[Payment], criteria: RingCriteria, is_hub: Callable[[Named], bool]
) -> Iterator[list[Payment]]:
    """Groups of risky payments around those that were scored, each in the order of time; hubs tie nobody."""
    seen: set[Payment] = set()
    for start in scored:
        if start in seen or not _is_risky(start, criteria):
            continue
        group, frontier = {start}, deque([start])
        while frontier and len(group) < _MOST_PAYMENTS:
            payment = frontier.popleft()
            for entity in _ties(graph, payment, is_hub):
                near = [
                    other
                    for other in graph.of(entity)
                    if other not in group
                    and _is_risky(other, criteria)
                    and abs(other.time - payment.time) <= _SPAN_MS
                ]
                group.update(near)
                frontier.extend(near)
        seen |= group
        if len({graph.owner(payment) for payment in group}) >= criteria.min_owners:
            yield sorted(group, key=lambda one: (one.time, one.transaction.transaction_id))


def finding_of(
    graph: LiveGraph,
    group: Sequence[Payment],
    criteria: RingCriteria,
    is_hub: Callable[[Named], bool],
    explain: Callable[[Payment], Explanation],
    version: str,
) -> Finding | None:
    """A group as a finding of a model's ``version``, explained by its riskiest payment; None if none tie it."""
    sharers: dict[Named, set[str]] = {}
    for payment in group:
        for entity in _ties(graph, payment, is_hub):
            sharers.setdefault(entity, set()).add(graph.owner(payment))
    core = sorted(node_of(*entity) for entity, owners in sharers.items() if len(owners) > 1)
    if not core:
        return None
    owners = {graph.owner(payment) for payment in group}
    members = {Entity("Card", payment.transaction.card) for payment in group}
    members |= {Entity("Account", account) for one in group if (account := one.transaction.account) is not None}
    risks = [payment.risk or 0.0 for payment in group]
    riskiest = max(group, key=lambda one: one.risk or 0.0)
    anchors = [entity for entity in core if entity.label not in _PLACES] or core
    return Finding(
        rule=RULE,
        rule_version=_VERSION,
        severity="high",
        anchor=Entity("Card", group[-1].transaction.card),
        time=group[-1].time,
        identity=tuple(anchors[0]),
        members=tuple(
            [Member(label, entity_id, "core") for label, entity_id in core]
            + [Member(label, entity_id, "member") for label, entity_id in sorted(members.difference(core))]
        ),
        evidence=tuple(sorted(payment.transaction.transaction_id for payment in group)),
        measures=(
            Measure(
                "risk",
                round(sum(risks) / len(risks), 4),
                criteria.min_risk,
                "how likely its payments are fraud, on average, each above the threshold by itself",
            ),
            Measure("owners", len(owners), criteria.min_owners, "owners of these payments"),
            Measure("payments", len(group), None, "payments that hang together by what their owners share"),
        ),
        parameters={"min_risk": criteria.min_risk, "min_owners": criteria.min_owners},
        part="model",
        notes=(f"model {version}", *_in_words(riskiest, explain(riskiest))),
    )


def _in_words(payment: Payment, explanation: Explanation) -> Iterator[str]:
    """Which neighbours and which features mattered, for a person."""
    riskiest = payment.transaction.transaction_id
    yield f"its riskiest payment, {riskiest}, is fraud with probability {explanation.risk:.2f}"
    for reason in explanation.entities:
        yield f"without its {reason.name} that would be {reason.without:.2f}"
    for reason in explanation.features:
        yield f"{in_words(reason.name, reason.value)}; if that were not known it would be {reason.without:.2f}"


def _is_risky(payment: Payment, criteria: RingCriteria) -> bool:
    return payment.risk is not None and payment.risk >= criteria.min_risk


def _ties(graph: LiveGraph, payment: Payment, is_hub: Callable[[Named], bool]) -> Iterator[Named]:
    for entity in graph.entities(payment.transaction):
        if entity[0] != _NO_TIE and not is_hub(entity):
            yield entity
