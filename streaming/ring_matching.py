"""Whether a finding belongs to a ring: by what holds both, by payments, or by how much of the rare they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graph.events import Entity
from queries.spec import Finding
from streaming.ring_settings import RingSettings
from streaming.ring_state import STRENGTH, STRONG_KINDS, Ring

_IN_ONE_HAND = frozenset({"Device", "Email", "Phone"})
#: Shares are compared to so many: what is exactly half must not depend on the order in which weights were added.
_DIGITS = 9


@dataclass(frozen=True)
class Weights:
    """What the members of a ring weigh by themselves, as long as the ring does not change.

    An entity weighs its kind's strength over log(degree + 5), as in FRAUDAR (Hooi and others, KDD 2016). Its
    degree is the number of others that findings have tied it to: a core to its members, a member to its cores.
    The graph's own would depend on how far the graph had been written when a finding was looked at, and which
    rings there are must not.
    """

    degrees: Mapping[Entity, int]
    total: float

    @classmethod
    def of(cls, ring: Ring) -> Weights:
        """A ring's, by its ties."""
        degrees: dict[Entity, int] = {}
        for tie in ring.ties:
            group = {entity: ring.members[entity].role == "core" for entity in tie.entities()}
            cores = sum(group.values())
            for entity, is_core in group.items():
                degrees[entity] = degrees.get(entity, 0) + (len(group) - cores if is_core else cores)
        return cls(degrees, sum(_weight(entity, degrees.get(entity, 0)) for entity in ring.members))


class Candidate:
    """A finding beside the rings that it may belong to."""

    def __init__(self, finding: Finding, settings: RingSettings) -> None:
        self._settings = settings
        self._evidence = finding.evidence
        self._roles = {member.entity: member.role for member in finding.members}
        cores = sum(role == "core" for role in self._roles.values())
        self._degrees = {
            entity: len(self._roles) - cores if role == "core" else cores for entity, role in self._roles.items()
        }
        self._total = sum(map(_weight, self._degrees.keys(), self._degrees.values()))

    def belongs_to(self, ring: Ring, weigh: Callable[[Ring], Weights]) -> bool:
        """Whether one thing holds both, they rest on the same payments, or share enough, weighted by rarity.

        A strong core of both is such a thing. So is a device, an e-mail address or a phone, whatever part it plays
        in either: it is in one pair of hands, or a hub. (A card or an account may have been stolen twice.) And so
        is a place (an address, also of the network) that is a core of both, together with anything strong:
        strangers share the place, or a stolen card, but hardly both. And so are the payments that either rests on,
        when they are of more than one card or account: what goes to a mule are the takings of stolen accounts.
        Otherwise the share of what is rare decides, by its Jaccard index or its containment.
        """
        roles = self._roles
        shared = [entity for entity in roles if entity in ring.members]
        strong = [entity for entity in shared if entity.label in STRONG_KINDS]
        if any(
            entity.label in _IN_ONE_HAND or roles[entity] == "core" == ring.members[entity].role
            for entity in strong
        ):
            return True
        if strong and self.shares_core(ring):
            return True
        if _are_several(strong) and self._shares_payments(ring):
            return True
        if not any(STRENGTH[entity.label] for entity in shared):
            return False
        weights = weigh(ring)
        own, others = self._degrees, weights.degrees
        common = sum(_weight(entity, max(own[entity], others.get(entity, 0))) for entity in shared)
        of_finding = self._total - sum(_weight(entity, own[entity]) for entity in shared) + common
        of_ring = weights.total - sum(_weight(entity, others.get(entity, 0)) for entity in shared) + common
        jaccard = round(common / (of_finding + of_ring - common), _DIGITS)
        containment = round(common / min(of_finding, of_ring), _DIGITS)
        return jaccard >= self._settings.min_jaccard or containment >= self._settings.min_containment

    def _shares_payments(self, ring: Ring) -> bool:
        """Whether either has the payments of the other, or enough of them."""
        common = sum(key in ring.evidence for key in self._evidence)
        return common >= self._settings.min_containment * min(len(self._evidence), len(ring.evidence))

    def shares_core(self, ring: Ring) -> bool:
        """Whether a core entity that strangers do not share is a core of both."""
        return any(
            role == "core"
            and STRENGTH[entity.label] > 0
            and (known := ring.members.get(entity)) is not None
            and known.role == "core"
            for entity, role in self._roles.items()
        )


def _are_several(entities: Sequence[Entity]) -> bool:
    """Whether they include two of a kind: a card and its account are one owner's."""
    return len({entity.label for entity in entities}) < len(entities)


def _weight(entity: Entity, degree: int) -> float:
    return STRENGTH[entity.label] / math.log(degree + 5)
