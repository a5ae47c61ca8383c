"""Whether a finding belongs to a ring: by what holds both of them, or by how much of the rare they share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from graph.events import Entity
from queries.spec import Finding
from streaming.ring_settings import RingSettings
from streaming.ring_state import STRENGTH, STRONG_KINDS, Ring

_IN_ONE_HAND = frozenset({"Device", "Email", "Phone"})


def belongs(finding: Finding, ring: Ring, settings: RingSettings) -> bool:
    """Whether one thing holds both of them, or they share enough by Jaccard or containment, weighted by rarity.

    A strong core of both is such a thing. So is a device, an e-mail address or a phone, whatever part it plays in
    either: it is in one pair of hands, or a hub. (A card or an account may have been stolen twice.) And so is a
    place (an address, also of the network) that is a core of both, together with anything strong: strangers share
    the place, or a stolen card, but hardly both.

    An entity weighs its kind's strength over log(degree + 5), as in FRAUDAR (Hooi and others, KDD 2016). Its
    degree is the number of others that findings have tied it to: the graph's own would depend on how far the graph
    had been written when the finding was looked at, and which rings there are must not.
    """
    mine = {member.entity: member.role for member in finding.members}
    shared = [entity for entity in mine if entity in ring.members]
    strong = [entity for entity in shared if entity.label in STRONG_KINDS]
    if any(
        entity.label in _IN_ONE_HAND or mine[entity] == "core" == ring.members[entity].role for entity in strong
    ):
        return True
    if strong and shares_core(finding, ring):
        return True
    if not any(STRENGTH[entity.label] for entity in shared):
        return False
    degrees = _degrees(finding, ring)
    common = _weight(shared, degrees)
    of_finding, of_ring = _weight(mine, degrees), _weight(ring.members, degrees)
    jaccard = common / (of_finding + of_ring - common)
    containment = common / min(of_finding, of_ring)
    return jaccard >= settings.min_jaccard or containment >= settings.min_containment


def shares_core(finding: Finding, ring: Ring) -> bool:
    """Whether a core entity that strangers do not share is a core of both."""
    return any(
        member.role == "core"
        and STRENGTH[member.label] > 0
        and (known := ring.members.get(member.entity)) is not None
        and known.role == "core"
        for member in finding.members
    )


def _degrees(finding: Finding, ring: Ring) -> Mapping[Entity, int]:
    """How many others each entity is tied to: a core to its members, a member to its cores."""
    degrees: dict[Entity, int] = {}
    groups = [{entity: ring.members[entity].role == "core" for entity in tie.entities()} for tie in ring.ties]
    for group in groups:
        cores = sum(group.values())
        for entity, is_core in group.items():
            degrees[entity] = degrees.get(entity, 0) + (len(group) - cores if is_core else cores)
    cores = sum(member.role == "core" for member in finding.members)
    for member in finding.members:
        own = len(finding.members) - cores if member.role == "core" else cores
        degrees[member.entity] = max(own, degrees.get(member.entity, 0))
    return degrees


def _weight(entities: Iterable[Entity], degrees: Mapping[Entity, int]) -> float:
    return sum(STRENGTH[entity.label] / math.log(degrees.get(entity, 0) + 5) for entity in entities)
