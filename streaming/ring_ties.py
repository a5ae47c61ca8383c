"""What holds a ring together, and what is left when that has aged.

Every finding ties its members at its time. A ring whose ties fall into parts that share nobody any more has come
apart; merchants do not count, since strangers share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from graph.events import Entity
from queries.spec import Finding
from streaming.ring_state import STRENGTH, Identity, Tie

#: Above this the two oldest ties are folded into one: so large a ring may split less finely, and never wrongly.
MAX_TIES = 100


def identity_of(finding: Finding) -> Identity:
    """What makes two findings the same: the rule, and the values of its identity columns."""
    return (finding.rule, *finding.identity)


def tie_number(identity: Identity) -> int:
    """A number for the tie of an identity, as transactions refer to it: the same wherever the tie goes."""
    return int.from_bytes(hashlib.blake2b(chr(0x1F).join(identity).encode(), digest_size=6).digest())


def bind(ties: list[Tie], finding: Finding) -> None:
    """Let a finding tie its members, or renew the ties that there are."""
    identity = identity_of(finding)
    tie = next((tie for tie in ties if identity in tie.identities), None)
    if tie is None:
        tie = Tie([identity])
        ties.append(tie)
    for member in finding.members:
        links = tie.links.setdefault(member.label, {})
        links[member.id] = max(finding.time, links.get(member.id, finding.time))
    _bound(ties)


def absorb(ties: list[Tie], others: Iterable[Tie]) -> None:
    """Take over the ties of another ring."""
    for other in others:
        same = next((tie for tie in ties if not set(tie.identities).isdisjoint(other.identities)), None)
        if same is None:
            ties.append(other)
        else:
            _fold(same, other)
    _bound(ties)


def oldest_and_newest(ties: Iterable[Tie]) -> tuple[int, int] | None:
    """The times of the link that expires first and of the one that expires last."""
    times = [time for tie in ties for time in tie.times()]
    return (min(times), max(times)) if times else None


def let_go(ties: list[Tie], until: int) -> None:
    """Forget the links of ``until`` and before, and the ties that hold nobody any more."""
    for tie in ties:
        for label, ids in list(tie.links.items()):
            tie.links[label] = {entity_id: time for entity_id, time in ids.items() if time > until}
            if not tie.links[label]:
                del tie.links[label]
    ties[:] = [tie for tie in ties if tie.links]


def cut(ties: list[Tie], entity: Entity) -> None:
    """Let an entity hold nothing together any more."""
    for tie in ties:
        links = tie.links.get(entity.label, {})
        links.pop(entity.id, None)
        if not links:
            tie.links.pop(entity.label, None)
    ties[:] = [tie for tie in ties if tie.links]


def parts(ties: Sequence[Tie]) -> list[list[Tie]]:
    """The ties, grouped by whom they share: more than one group, and the ring has come apart."""
    home = list(range(len(ties)))

    def find(index: int) -> int:
        while home[index] != index:
            home[index] = home[home[index]]
            index = home[index]
        return index

    holder: dict[Entity, int] = {}
    for index, tie in enumerate(ties):
        for entity in tie.entities():
            if STRENGTH[entity.label]:
                home[find(index)] = find(holder.setdefault(entity, index))
    groups: dict[int, list[Tie]] = {}
    for index, tie in enumerate(ties):
        groups.setdefault(find(index), []).append(tie)
    return list(groups.values())


def _bound(ties: list[Tie]) -> None:
    while len(ties) > MAX_TIES:
        ties.sort(key=lambda tie: (max(tie.times()), tie.identities))
        _fold(ties[0], ties.pop(1))


def _fold(tie: Tie, other: Tie) -> None:
    tie.identities += [identity for identity in other.identities if identity not in tie.identities]
    for label, ids in other.links.items():
        links = tie.links.setdefault(label, {})
        for entity_id, time in ids.items():
            links[entity_id] = max(time, links.get(entity_id, time))
