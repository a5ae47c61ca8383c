"""Connected components of a graph whose edges are forgotten when they have not been seen for a while.

Sets are joined as in union by size, with every member naming its set (the weighted-union heuristic: Galler and
Fisher, CACM 1964; Cormen et al., "Introduction to Algorithms", ch. 21): a node changes its set O(log n) times
while edges are only added. Forgetting edges walks through the components that lost one, and no others.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Set

from graph.events import Entity


class Components:
    """Which entities hang together by the edges that are held; a function of these edges and of nothing else."""

    def __init__(self) -> None:
        self._near: dict[Entity, dict[Entity, int]] = {}
        self._home: dict[Entity, set[Entity]] = {}
        #: One (time, ends) for each edge, which may have been seen again since that time or been removed.
        self._due: list[tuple[int, Entity, Entity]] = []

    def __contains__(self, entity: Entity) -> bool:
        return entity in self._home

    def __len__(self) -> int:
        """How many edges are held, those removed with an entity still among them until their time is over."""
        return len(self._due)

    def add(self, one: Entity, other: Entity, time: int) -> None:
        """See an edge between two different entities at a time (epoch ms); the latest time counts."""
        near = self._near.setdefault(one, {})
        known = near.get(other)
        if known is not None:
            if time > known:
                near[other] = self._near[other][one] = time
            return
        near[other] = time
        self._near.setdefault(other, {})[one] = time
        heapq.heappush(self._due, (time, one, other))
        self._join(one, other)

    def expire(self, before: int) -> None:
        """Forget the edges that were last seen before a time, and the entities that none holds any more."""
        due, torn = self._due, []
        while due and due[0][0] < before:
            _, one, other = due[0]
            seen = self._near.get(one, {}).get(other)
            if seen is not None and seen >= before:
                heapq.heapreplace(due, (seen, one, other))
                continue
            heapq.heappop(due)
            if seen is not None:
                self._cut(one, other)
                torn += [one, other]
        self._part(torn)

    def remove(self, entity: Entity) -> None:
        """Forget an entity with all its edges."""
        torn = [entity, *self._near.get(entity, ())]
        for other in torn[1:]:
            self._cut(entity, other)
        self._part(torn)

    def component(self, entity: Entity) -> Set[Entity]:
        """Everything that an entity hangs together with, itself included; not to be changed."""
        return self._home.get(entity) or {entity}

    def _join(self, one: Entity, other: Entity) -> None:
        home = self._home
        large, small = home.setdefault(one, {one}), home.setdefault(other, {other})
        if large is small:
            return
        if len(large) < len(small):
            large, small = small, large
        large |= small
        for entity in small:
            home[entity] = large

    def _cut(self, one: Entity, other: Entity) -> None:
        for near, far in ((one, other), (other, one)):
            del self._near[near][far]
            if not self._near[near]:
                del self._near[near]

    def _part(self, torn: Iterable[Entity]) -> None:
        """Find out anew what hangs together in the components of entities that lost an edge."""
        seen: set[Entity] = set()
        for start in torn:
            if start in seen:
                continue
            if start not in self._near:
                self._home.pop(start, None)
                continue
            part = self._reach(start)
            seen |= part
            for entity in part:
                self._home[entity] = part

    def _reach(self, start: Entity) -> set[Entity]:
        reached, ahead = {start}, deque([start])
        while ahead:
            for entity in self._near[ahead.popleft()]:
                if entity not in reached:
                    reached.add(entity)
                    ahead.append(entity)
        return reached
