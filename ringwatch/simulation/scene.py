"""What rings and honest look-alikes have in common: people, places and times to draw from."""

from __future__ import annotations

import random
from collections.abc import Callable

from ringwatch.simulation.chance import heavy_tailed, lognormal
from ringwatch.simulation.merchants import Merchant
from ringwatch.simulation.places import CITIES, CITY_WEIGHTS, City
from ringwatch.simulation.population import Person, Population
from ringwatch.simulation.records import Event
from ringwatch.simulation.rhythm import DAY_MS, busyness

#: How often another time is drawn because people sleep.
_HESITATIONS = 4


class Scene:
    """A group in the making; every payment of it lies between ``start`` and the simulation's end (epoch ms).

    ``largest`` bounds its size, so that what is under way fits into memory.
    """

    def __init__(self, population: Population, rng: random.Random, *, start: int, largest: int) -> None:
        self.population = population
        self.market = population.market
        self.rng = rng
        self.start = start
        self.events: list[Event] = []
        self._end = population.start + population.span_ms
        self._largest = largest

    def size(self, smallest: int, *, alpha: float = 1.2, payments: float = 2.0) -> int:
        """How many take part: heavy-tailed, and fewer at most where each makes more payments than two or so."""
        largest = int(self._largest * min(1.0, 2.0 / payments))
        return heavy_tailed(self.rng, smallest, max(smallest, largest), alpha=alpha)

    def duration_ms(self, median_ms: float, sigma: float) -> int:
        """How long it goes on, cut at the simulation's end."""
        return max(1, min(int(lognormal(self.rng, median_ms, sigma)), self._end - self.start - 1))

    def times(self, count: int, duration_ms: int) -> list[int]:
        """``count`` ascending times within a duration from the start, denser towards its beginning.

        Where there is time for it, nights are quieter, if not as quiet as everybody's.
        """
        return sorted(self._waking(duration_ms) for _ in range(count))

    def moment(self, time: float) -> int:
        """A time, moved into the simulation: what would come after its end comes in its last hours."""
        if time >= self._end:
            return self._end - 1 - int(self.rng.random() * min(DAY_MS, self._end - self.start - 1))
        return max(self.start, int(time))

    def merchants(self, count: int, *needs: str, codes: frozenset[str] = frozenset()) -> list[Merchant]:
        """Online merchants that collect the named fields."""
        return [self.market.online(self.rng, *needs, codes=codes) for _ in range(count)]

    def city(self) -> City:
        """Some city, where many people live."""
        return self.rng.choices(CITIES, CITY_WEIGHTS)[0]

    def people(self, count: int, fit: Callable[[Person], bool] = lambda _: True) -> list[Person]:
        """Different residents who fit; fewer where there are not as many."""
        wanted = min(count, max(2, self.population.people // 8))
        found: dict[int, Person] = {}
        for _ in range(60 * wanted):
            person = self.population.resident(self.rng, self.start)
            if fit(person):
                found[person.slot] = person
            if len(found) == wanted:
                break
        return list(found.values())

    def _waking(self, duration_ms: int) -> int:
        for _ in range(_HESITATIONS):
            time = self.start + int(duration_ms * self.rng.betavariate(1.0, 1.4))
            if self.rng.random() < busyness(time):
                break
        return time
