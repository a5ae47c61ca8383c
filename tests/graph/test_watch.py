"""The watch beside a real graph: the same findings however a stream is cut, and after a restart."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from graph import schema
from graph.checkpoints import Checkpoints
from graph.driver import Graph
from graph.events import Entity, Transaction
from graph.history import hubs_among, identifiers_since, transactions_since
from graph.writer import GraphWriter, WriterSettings, Written
from queries.spec import Finding, Member
from streaming.dense_block import DensitySettings
from streaming.detector import BatchMark
from streaming.metrics import Metrics
from streaming.watch import RULE, GraphWatch
from tests.engines import USUAL, on
from tests.services.neo4j import wipe
from tests.transactions import MINUTE, NOON, transaction

pytestmark = on(*USUAL)  # what it asks a graph for, test_history asks of every release

HOUR = 60 * MINUTE
SETTINGS = DensitySettings()


def ring(cards: int = 10) -> list[Transaction]:
    """Cards of different people on two machines, shipping to two drops, with mailboxes of their own."""
    return [
        transaction(
            f"ring {n}",
            f"ring {n}",
            event_time=NOON + n * 3 * MINUTE,
            account=f"account {n}",
            device=f"machine {n % 2}",
            shipping_address=f"drop {n // 2 % 2}",
            email=f"mail {n}",
            ip=f"10.0.0.{n}",
            merchant="shop",
        )
        for n in range(cards)
    ]


def stream(count: int, seed: int) -> list[Transaction]:
    """A ring among households that share addresses, machines and telephones, in order of event time."""
    rng = random.Random(seed)
    honest = []
    for n in range(count):
        person = rng.randrange(40)
        home = person // 4
        honest.append(
            transaction(
                f"{n}",
                f"{person}",
                event_time=NOON + rng.randrange(-4 * HOUR, 3 * HOUR),
                account=None if n % 3 == 0 else f"{person}",
                device=rng.choice([f"phone of {person}", f"tablet of {home}"]),
                email=f"{person}",
                phone=f"{home}",
                ip=f"10.1.0.{home}",
                shipping_address=rng.choice([None, f"home {home}", f"home {rng.randrange(10)}"]),
                merchant=f"shop {rng.randrange(5)}",
                channel="pos" if n % 6 == 0 else "ecommerce",
            )
        )
    return sorted([*ring(14), *honest], key=lambda t: (t.event_time, t.transaction_id))


def watch(graph: Graph, limit: int = 100_000) -> GraphWatch:
    return GraphWatch(graph, SETTINGS, limit, Metrics.create())


def batches(transactions: Sequence[Transaction], size: int) -> Iterator[Sequence[Transaction]]:
    for start in range(0, len(transactions), size):
        yield transactions[start : start + size]


def fed(watch: GraphWatch, writer: GraphWriter, transactions: Sequence[Transaction], size: int) -> list[Finding]:
    return [finding for batch in batches(transactions, size) for finding in watch.observe(writer.write(batch), [])]


def test_a_ring_is_a_finding_like_a_rules(graph: Graph) -> None:
    *_, finding = fed(watch(graph), GraphWriter(graph), ring(), 100)
    assert (finding.rule, finding.anchor, finding.time) == (
        RULE,
        Entity("Card", "hmac:ring 9"),
        NOON + 27 * MINUTE,
    )
    assert {(member.label, member.id) for member in finding.members if member.role == "core"} == {
        *(("Device", f"machine {n}") for n in range(2)),
        *(("Address", f"drop {n}") for n in range(2)),
    }
    assert {member.id for member in finding.members if member.role == "member"} == {
        *(f"hmac:ring {n}" for n in range(10)),
        *(f"account {n}" for n in range(10)),
    }
    assert finding.evidence == tuple(f"ring {n}" for n in range(10))
    assert finding.identity == ("Address", "drop 0")
    measured = {measure.name: (measure.value, measure.threshold) for measure in finding.measures}
    assert measured["owners"] == (10, SETTINGS.min_owners)
    assert measured["density"][0] >= SETTINGS.min_density
    assert finding.burst is not None


def test_the_cut_of_a_stream_changes_no_finding(graph: Graph) -> None:
    transactions = stream(300, 3)
    found = []
    for size in (500, 60, 13):
        wipe(graph)
        schema.apply(graph)
        found.append(fed(watch(graph), GraphWriter(graph), transactions, size))
    assert found[0]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("seed", [3, 8])
def test_a_restarted_worker_says_the_same(graph: Graph, seed: int) -> None:
    writer, first = GraphWriter(graph), watch(graph)
    said_after_restart, said = [], []
    for number, batch in enumerate(batches(stream(400, seed), 30)):
        written = writer.write(batch)
        found = first.observe(written, [])
        if number % 2:
            said += found
            said_after_restart += watch(graph).observe(written, [])
    assert said
    assert said_after_restart == said


def test_a_batch_that_was_written_before_a_crash_is_seen_as_it_was(graph: Graph) -> None:
    checkpoints = Checkpoints(graph, "group", "owner")
    checkpoints.claim(["p"])
    mark = BatchMark(checkpoints, "written", {"p": 10})
    alive = watch(graph).observe(GraphWriter(graph).write(ring(), mark), [])
    again = GraphWriter(graph).write(ring(), mark)
    assert len(again.accepted) == 10
    assert watch(graph).observe(again, []) == alive


def test_what_is_written_again_is_not_counted_again(graph: Graph) -> None:
    one, writer = watch(graph), GraphWriter(graph)
    written = writer.write(ring())
    found = one.observe(written, [])
    held = one._memory
    assert held is not None
    score = one.order(Entity("Device", "machine 0"))
    assert one.observe(writer.write(ring()), []) == []
    again = one.observe(written, [])  # the batch was given up after it was seen, and read again
    assert [finding.evidence for finding in again][-1] == found[-1].evidence
    assert len(held.recent) == 10
    assert one.order(Entity("Device", "machine 0")) == score


def test_a_late_transaction_completes_a_block(graph: Graph) -> None:
    one, writer = watch(graph), GraphWriter(graph)
    *_, late, last = ring(SETTINGS.min_owners + 1)
    early = ring(SETTINGS.min_owners - 1)
    assert fed(one, writer, [*early, *later(last)], 1) == []
    (finding,) = fed(one, writer, [late], 1)
    assert finding.time == last.event_time
    assert late.transaction_id in finding.evidence


def later(last: Transaction) -> list[Transaction]:
    """A purchase by somebody who is in the ring already."""
    return [msgspec.structs.replace(last, transaction_id="again", card="hmac:ring 0", account="account 0")]


def test_a_rules_finding_is_given_the_burst_of_its_members(graph: Graph) -> None:
    one, writer = watch(graph), GraphWriter(graph)
    rng = random.Random(1)
    quiet = [
        transaction(f"{n}", f"{n % 9}", event_time=NOON + n * MINUTE, device=f"d{n % 9}", merchant="shop")
        for n in range(300)
    ]
    fed(one, writer, quiet, 100)
    busy = [
        transaction(f"busy {n}", f"{rng.random()}", event_time=NOON + 5 * HOUR + n, device="bot")
        for n in range(30)
    ]
    members = {name: Member("Device", name, "core") for name in ("bot", "d1")}

    def finding(device: str) -> Finding:
        return Finding(
            rule="some_rule",
            rule_version=1,
            severity="high",
            anchor=members[device].entity,
            time=busy[-1].event_time,
            identity=(device,),
            members=(members[device],),
            evidence=("busy 0",),
        )

    bot, other = one.observe(writer.write(busy), [finding("bot"), finding("d1")])
    assert bot.burst is not None
    assert other.burst is not None
    assert bot.burst > 10 * (1 + other.burst)
    assert one.order(members["bot"].entity) > one.order(members["d1"].entity)
    assert watch(graph).order(members["bot"].entity) == 0


def test_a_hub_ends_what_it_held_together_and_stays_one_after_a_restart(graph: Graph) -> None:
    caps = WriterSettings(hub_caps={**WriterSettings().hub_caps, "Address": 3, "Device": 3})
    writer = GraphWriter(graph, caps)
    one = watch(graph)
    found = fed(one, writer, ring(14), 1)
    assert found
    # The fourth card of each, the last of them card 7, comes too many; a hub is one from the end of its minute on.
    assert max(finding.time for finding in found) <= NOON + 8 * 3 * MINUTE
    written = writer.write([msgspec.structs.replace(ring(15)[-1], event_time=NOON + HOUR)])
    assert one.observe(written, []) == watch(graph).observe(written, []) == []


def test_memory_is_bounded_also_when_it_is_read_back(graph: Graph) -> None:
    transactions = stream(400, 3)
    GraphWriter(graph).write(transactions[:-1])
    one = watch(graph, limit=50)
    one.observe(GraphWriter(graph).write(transactions[-1:]), [])
    assert one._memory is not None
    assert 0 < len(one._memory.recent) <= 50


def test_nothing_accepted_reads_nothing(graph: Graph) -> None:
    one = watch(graph)
    assert one.observe(Written(), []) == []
    assert one._memory is None


def test_the_graph_gives_back_what_ties_a_transaction(graph: Graph) -> None:
    told = ring(5)
    GraphWriter(graph, WriterSettings(hub_caps={**WriterSettings().hub_caps, "Merchant": 3})).write(told)
    back = transactions_since(graph, NOON, 3)
    assert [t.transaction_id for t in back] == ["ring 2", "ring 3", "ring 4"]
    kept = ("event_time", "card", "account", "device", "ip", "merchant", "shipping_address", "status", "channel")
    for given, stored in zip(told[2:], back, strict=True):
        assert [getattr(given, name) for name in kept] == [getattr(stored, name) for name in kept]
    accounts = {Entity("Account", f"account {n}") for n in range(2)}
    assert set(identifiers_since(graph, accounts, NOON)) == {
        (
            Entity("Account", f"account {n}"),
            Entity(label, name),
            *[(NOON + n * 3 * MINUTE) // MINUTE * MINUTE] * 2,
        )
        for n in range(2)
        for label, name in (("Email", f"mail {n}"), ("Address", "drop 0"))
    }
    ends = [Entity("Merchant", "shop"), Entity("Device", "machine 0"), Entity("Merchant", "unknown")]
    ((hub, since),) = hubs_among(graph, ends)
    assert hub == Entity("Merchant", "shop")
    assert since > NOON
