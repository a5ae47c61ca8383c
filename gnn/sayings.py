"""What people say of payments, kept back until the moment at which it becomes known."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from graph.events import Label, Transaction

#: A payment and what was said of it.
Told = tuple[Transaction, Sequence[Label]]


def heard_at(time: int, transaction: Transaction) -> int:
    """When a payment is known for something that is said of a time: not before it has happened."""
    return max(time, transaction.event_time + 1)


class Sayings:
    """The first accusation of each payment; a payment that is accused twice is one fraud."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, str, Transaction]] = []
        self._accused: set[str] = set()

    def tell(self, transaction: Transaction, labels: Iterable[Label]) -> None:
        """Hear what was, or will have been, said of a payment."""
        times = [label.time for label in labels if label.verdict == "fraud"]
        if times and transaction.transaction_id not in self._accused:
            self._accused.add(transaction.transaction_id)
            known_at = heard_at(min(times), transaction)
            heapq.heappush(self._waiting, (known_at, transaction.transaction_id, transaction))

    def known_by(self, time: int) -> Iterator[tuple[Transaction, int]]:
        """Who has become known as a fraud until a time (epoch ms), and when; each is told once."""
        while self._waiting and self._waiting[0][0] <= time:
            known_at, _, accused = heapq.heappop(self._waiting)
            yield accused, known_at
