"""Small histories of the test's own: random ones, and ones with bursts to be learned."""

from __future__ import annotations

import random
from pathlib import Path

from gnn.dataset import Dataset, load_dataset
from gnn.snapshot import write_snapshot
from graph.events import Entity, Label, Transaction, Verdict

DAY_MS = 86_400_000
START = 1_700_000_000_000


def random_history(seed: int, count: int) -> tuple[list[Transaction], list[Label]]:
    """Few entities, ties in time, long silences, gaps: whatever windows can trip over."""
    chance = random.Random(seed)

    def some(prefix: str, most: int) -> str | None:
        return chance.choice([None, *(f"{prefix}{number}" for number in range(most))])

    time, transactions, labels = START, [], []
    for number in range(count):
        steps = (0, 1000, 60_000, 200_000, 3_600_000, DAY_MS, 5 * DAY_MS)
        time += chance.choice(steps[:3] if chance.random() < 0.7 else steps)
        if chance.random() < 0.01:
            time += chance.choice([40, 400]) * DAY_MS
        transactions.append(
            Transaction(
                transaction_id=f"t{number}",
                event_time=time,
                card=f"c{chance.randrange(5)}",
                amount=chance.randrange(-5, 1000),
                digest="",
                currency=chance.choice(["EUR", "USD"]),
                status=chance.choice(["approved", "declined"]),
                channel=chance.choice([None, "pos", "ecommerce"]),
                device=some("d", 4),
                ip=some("i", 3),
                merchant=some("m", 3),
                account_created=chance.choice([None, time - 100_000_000]),
            )
        )
        if chance.random() < 0.2:
            verdict = chance.choice(["fraud", "legitimate"])
            labels.append(
                label(f"t{number}", verdict == "fraud", time + chance.choice([-DAY_MS, -1, 0, 1000, 3 * DAY_MS]))
            )
    return transactions, labels


def bursts(seed: int, count: int = 3000) -> tuple[list[Transaction], list[Label]]:
    """Honest cards with a device each, many of them new; rings of six new cards on one device within ten minutes.

    A ring's first payment looks like any newcomer's. Complaints come in after a day.
    """
    chance = random.Random(seed)
    transactions, labels = [], []
    for number in range(count):
        card = chance.randrange(count)
        transactions.append(_payment(f"h{number}", chance.randrange(60 * DAY_MS), f"c{card}", f"d{card}", chance))
    for ring in range(count // 40):
        start = chance.randrange(60 * DAY_MS)
        for number in range(6):
            time = start + number * 90_000
            transactions.append(_payment(f"r{ring}-{number}", time, f"rc{ring}-{number}", f"rd{ring}", chance))
            labels.append(label(f"r{ring}-{number}", True, START + time + DAY_MS))
    return transactions, labels


def label(transaction_id: str, fraud: bool, known_at: int) -> Label:
    """One word on one transaction."""
    verdict: Verdict = "fraud" if fraud else "legitimate"
    return Label(subject=Entity("Transaction", transaction_id), verdict=verdict, source="test", time=known_at)


def dataset_of(history: tuple[list[Transaction], list[Label]], folder: Path) -> Dataset:
    """The snapshot of a history, loaded."""
    write_snapshot(*history, folder, origin="test")
    return load_dataset(folder)[0]


def _payment(transaction_id: str, time: int, card: str, device: str, chance: random.Random) -> Transaction:
    return Transaction(
        transaction_id=transaction_id,
        event_time=START + time,
        card=card,
        amount=chance.randrange(500, 20_000),
        digest="",
        currency="EUR",
        device=device,
        merchant=f"m{chance.randrange(20)}",
    )
