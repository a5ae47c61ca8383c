"""What people say of payments, kept back until the moment at which it becomes known."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from gnn.features import MEMORY
from graph.events import Label, Transaction

#: A payment and what was said of it.
Told = tuple[Transaction, Sequence[Label]]


def heard_at(time: int, transaction: Transaction) -> int:
    """When a payment is known for something that is said of a time: not before it has happened."""
    return max(time, transaction.event_time + 1)


class Sayings:
    """The first accusation of each payment; a payment that is accused twice is one fraud.

    That one was accused is known for as long as counts reach.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, str, Transaction]] = []
        self._accused: dict[int, set[str]] = {}  # by when it happened, in buckets of memory

    def tell(self, transaction: Transaction, labels: Iterable[Label]) -> None:
        """Hear what was, or will have been, said of a payment."""
        times = [label.time for label in labels if label.verdict == "fraud"]
        if not times:
            return
        accused = self._accused.setdefault(transaction.event_time // MEMORY.bucket_ms, set())
        if transaction.transaction_id not in accused:
            accused.add(transaction.transaction_id)
            known_at = heard_at(min(times), transaction)
            heapq.heappush(self._waiting, (known_at, transaction.transaction_id, transaction))

    def known_by(self, time: int) -> Iterator[tuple[Transaction, int]]:
        """Who has become known as a fraud until a time (epoch ms), and when; each is told once."""
        oldest = time // MEMORY.bucket_ms - MEMORY.buckets
        for bucket in [one for one in self._accused if one < oldest]:
            del self._accused[bucket]  # whoever is accused again after so long counts once more
        while self._waiting and self._waiting[0][0] <= time:
            known_at, _, accused = heapq.heappop(self._waiting)
            yield accused, known_at
