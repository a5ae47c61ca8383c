"""Labels in the graph: verdicts on transactions, cards and rings, and what follows from them.

A ``Label`` node holds what one source says of one subject: its latest word counts, and of two at the same time
the graver, so that the order in which they arrive does not matter. It points (``OF``) at its subject and, where
that is a transaction, at the card that made it too; ``at`` is then when that was. ``fraud_since`` is when its
source first said fraud. A label may come before its transaction: then it ``waits``.

What follows is written at the subjects, whatever came first: at a transaction ``verdict`` and ``verdict_time``,
the latest word over all sources; at a card ``fraud_since`` (when one of its transactions, or itself, was first
called fraud), ``cleared_since`` (when nothing of it was called fraud any more; no property while something is)
and ``fraud_labels`` (how many of its labels ever said so).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graph.driver import Row, Tx
from graph.errors import BadEvent
from graph.events import Label, Transaction, Verdict
from graph.rows import answer
from graph.schema import HOUR_MS

_KNOWN_RINGS = "UNWIND $ids AS id MATCH (r:Ring {id: id}) RETURN collect(r.id) AS rows"

_HOLD = (
    # Setting a property, even to what it is, takes the node's lock.
    "UNWIND $rows AS row MERGE (l:Label {id: row.id}) "
    "ON CREATE SET l.kind = row.kind, l.subject = row.subject, l.hour = row.hour, l.waits = row.waits "
    "SET l.source = row.source RETURN collect([row.id, l.verdict, l.time, l.fraud_since]) AS rows"
)
_SAY = (
    "UNWIND $rows AS row MATCH (l:Label {id: row.id}) "
    "SET l.verdict = row.verdict, l.time = row.time, l.fraud_since = row.fraud_since "
    "FOREACH (_ IN CASE WHEN l.hour IS NULL THEN [] ELSE [1] END | SET l.hour = row.hour)"
)
_ANY_WAITS = "MATCH (l:Label {waits: true}) RETURN l.id LIMIT 1"
_AWAITED = (
    "UNWIND $ids AS id MATCH (l:Label {subject: id}) WHERE l.waits AND l.kind = 'Transaction' "
    "RETURN collect([id, l.time, l.fraud_since]) AS rows"
)
_SAID = (
    "UNWIND $ids AS id MATCH (l:Label {subject: id}) WHERE l.kind = 'Transaction' "
    "RETURN collect([id, l.time, l.fraud_since]) AS rows"
)
_CARDS = "UNWIND $ids AS id MATCH (t:Transaction {id: id})<-[:MADE]-(c:Card) RETURN collect([id, c.id]) AS rows"
_LINK_TRANSACTIONS = (
    "UNWIND $ids AS id MATCH (t:Transaction {id: id})<-[:MADE]-(c:Card) "
    "MATCH (l:Label {subject: id}) WHERE l.kind = 'Transaction' "
    "MERGE (l)-[:OF]->(t) MERGE (l)-[:OF]->(c) SET l.at = t.time REMOVE l.waits, l.hour"
)
_LINK_CARDS = (
    "UNWIND $ids AS id MATCH (c:Card {id: id}) MATCH (l:Label {subject: id}) WHERE l.kind = 'Card' "
    "MERGE (l)-[:OF]->(c)"
)
_LINK_RINGS = (
    "UNWIND $ids AS id MATCH (r:Ring {id: id}) MATCH (l:Label {subject: id}) WHERE l.kind = 'Ring' "
    "MERGE (l)-[:OF]->(r)"
)
_OF_CARDS = (
    "UNWIND $ids AS id MATCH (:Card {id: id})<-[:OF]-(l:Label) "
    "RETURN collect([id, l.kind, l.subject, l.source, l.verdict, l.time, l.fraud_since]) AS rows"
)
_JUDGE_TRANSACTIONS = (
    "UNWIND $rows AS row MATCH (t:Transaction {id: row.id}) "
    "SET t.verdict = row.verdict, t.verdict_time = row.verdict_time"
)
_JUDGE_CARDS = (
    "UNWIND $rows AS row MATCH (c:Card {id: row.id}) "
    "SET c.fraud_since = row.fraud_since, c.cleared_since = row.cleared_since, c.fraud_labels = row.fraud_labels"
)


class Saying(NamedTuple):
    """What one source says of one subject: its latest word, and when it first said fraud (epoch ms, or None)."""

    source: str
    verdict: Verdict
    time: int
    fraud_since: int | None

    @classmethod
    def of(cls, label: Label) -> Saying:
        """What a single label says."""
        return cls(label.source, label.verdict, label.time, label.time if label.verdict == "fraud" else None)

    def merged(self, other: Saying) -> Saying:
        """Both together, in whatever order."""
        latest = last_word((self, other))
        since = [one.fraud_since for one in (self, other) if one.fraud_since is not None]
        return latest._replace(fraud_since=min(since, default=None))


def last_word(sayings: Iterable[Saying]) -> Saying:
    """The latest; of several at the same time fraud before legitimate, then the first source by name."""
    return min(sayings, key=lambda saying: (-saying.time, saying.verdict != "fraud", saying.source))


class CardStanding(NamedTuple):
    """What a card's labels come to, as its node says it."""

    fraud_since: int | None
    cleared_since: int | None
    fraud_labels: int

    @classmethod
    def of(cls, subjects: Iterable[Sequence[Saying]]) -> CardStanding:
        """From what is said of the card and of its transactions, subject by subject."""
        sayings = list(subjects)
        accused = [one for said in sayings for one in said if one.fraud_since is not None]
        words = [last_word(said) for said in sayings]
        cleared = bool(accused) and all(word.verdict == "legitimate" for word in words)
        return cls(
            fraud_since=min((one.fraud_since for one in accused if one.fraud_since is not None), default=None),
            cleared_since=max(word.time for word in words) if cleared else None,
            fraud_labels=len(accused),
        )


def unknown_rings(tx: Tx, labels: Iterable[Label]) -> list[tuple[Label, BadEvent]]:
    """The labels that name a ring which is not in the graph: there is nothing that they could wait for."""
    of_rings = [label for label in labels if label.subject.label == "Ring"]
    known = set(answer(tx, _KNOWN_RINGS, ids=_subjects(of_rings))) if of_rings else set()
    return [
        (label, BadEvent("unknown_ring", "ring_id names a ring that is not in the graph"))
        for label in of_rings
        if label.subject.id not in known
    ]


def hold(tx: Tx, labels: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """Store labels; returns those that change what their source says, and those that do not."""
    if not labels:
        return [], []
    by_id = {label.id: label for label in labels}
    rows = [_row(by_id[label_id]) for label_id in sorted(by_id)]
    held = {
        label_id: Saying(by_id[label_id].source, verdict, time, since)
        for label_id, verdict, time, since in answer(tx, _HOLD, rows=rows)
        if verdict is not None
    }
    news: list[Label] = []
    repeated: list[Label] = []
    said = dict(held)
    for label in labels:
        saying = Saying.of(label)
        merged = saying.merged(said[label.id]) if label.id in said else saying
        (repeated if merged == said.get(label.id) else news).append(label)
        said[label.id] = merged
    tx.run(
        _SAY,
        rows=[
            {"id": label_id, "hour": said[label_id].time // HOUR_MS, **said[label_id]._asdict()}
            for label_id in sorted({label.id for label in news})
        ],
    )
    return news, repeated


class Concerned(NamedTuple):
    """What labels are about: the transactions that get one, and by card when it is touched (epoch ms)."""

    transactions: set[str]
    cards: dict[str, set[int]]


def concerned(
    tx: Tx, labels: Sequence[Label], transactions: Sequence[Transaction], *, again: bool = False
) -> Concerned:
    """What these labels, and those that waited for these transactions, are about.

    ``again`` takes up the labels that waited no more, since all of this was written before.
    """
    said: list[tuple[str, int]] = [
        (one.subject.id, one.time) for one in labels if one.subject.label == "Transaction"
    ]
    made_by = {t.transaction_id: t.card for t in transactions}
    if made_by and (again or tx.run(_ANY_WAITS)):
        for transaction_id, *times in answer(tx, _SAID if again else _AWAITED, ids=sorted(made_by)):
            said += [(transaction_id, time) for time in times if time is not None]
    if elsewhere := sorted({transaction_id for transaction_id, _ in said} - made_by.keys()):
        made_by |= dict(answer(tx, _CARDS, ids=elsewhere))
    found = Concerned(set(), defaultdict(set))
    for transaction_id, time in said:
        if transaction_id in made_by:
            found.transactions.add(transaction_id)
            found.cards[made_by[transaction_id]].add(time)
    for label in labels:
        if label.subject.label == "Card":
            found.cards[label.subject.id].add(label.time)
    return found


def attach(tx: Tx, labels: Sequence[Label], about: Concerned) -> dict[str, CardStanding]:
    """Let labels point at what they are about and write what follows; returns how the cards stand now."""
    if about.transactions:
        tx.run(_LINK_TRANSACTIONS, ids=sorted(about.transactions))
    for label, statement in (("Card", _LINK_CARDS), ("Ring", _LINK_RINGS)):
        if ids := _subjects(one for one in labels if one.subject.label == label):
            tx.run(statement, ids=ids)
    return judge(tx, sorted(about.cards)) if about.cards else {}


def judge(tx: Tx, cards: Sequence[str]) -> dict[str, CardStanding]:
    """Write what the labels of these cards come to, at them and at their transactions."""
    found: dict[str, defaultdict[tuple[str, str], list[Saying]]] = {card: defaultdict(list) for card in cards}
    for card, kind, subject, *saying in answer(tx, _OF_CARDS, ids=cards):
        found[card][kind, subject].append(Saying(*saying))
    words = {
        subject: last_word(said)
        for subjects in found.values()
        for (kind, subject), said in subjects.items()
        if kind == "Transaction"
    }
    tx.run(
        _JUDGE_TRANSACTIONS,
        rows=[
            {
                "id": transaction_id,
                "verdict": words[transaction_id].verdict,
                "verdict_time": words[transaction_id].time,
            }
            for transaction_id in sorted(words)
        ],
    )
    standings = {card: CardStanding.of(subjects.values()) for card, subjects in found.items()}
    tx.run(_JUDGE_CARDS, rows=[{"id": card, **standings[card]._asdict()} for card in cards])
    return standings


def hours_of(labels: Iterable[Label]) -> set[int]:
    """The hours at which labels may expire by themselves, for retention."""
    return {label.time // HOUR_MS for label in labels if label.subject.label != "Ring"}


def _row(label: Label) -> Row:
    kind, subject = label.subject
    return {
        "id": label.id,
        "kind": kind,
        "subject": subject,
        "source": label.source,
        "hour": None if kind == "Ring" else label.time // HOUR_MS,
        "waits": True if kind == "Transaction" else None,
    }


def _subjects(labels: Iterable[Label]) -> list[str]:
    return sorted({label.subject.id for label in labels})
