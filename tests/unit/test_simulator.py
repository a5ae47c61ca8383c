"""The simulated stream: its truth is true, it is the same everywhere, and it belongs to nobody."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graph.errors import ServiceError
from ringwatch.simulation import Simulation, write
from ringwatch.simulation.records import TYPOLOGIES, Event, HonestGroup, Ring
from ringwatch.simulation.rhythm import arrivals, hour_and_weekday, rfc3339
from ringwatch.simulation.stream import START
from ringwatch.simulation.values import TEST_BINS, pan

COUNT = 40_000
DAY_MS = 86_400_000
RESERVED_NETWORKS = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15", "2001:db8::/32")
]


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(COUNT, seed=7, fraud_rate=0.02)


@pytest.fixture(scope="module")
def arrived(simulation: Simulation) -> list[Event]:
    """Everything, in order of arrival, redeliveries included."""
    return list(simulation.events())


@pytest.fixture(scope="module")
def events(arrived: list[Event]) -> list[Event]:
    """Every payment once, in order of event time."""
    return sorted((event for event in arrived if not event.redelivered), key=lambda event: event.time)


@pytest.fixture(scope="module")
def rings(simulation: Simulation) -> list[Ring]:
    return list(simulation.rings())


def degrees(events: list[Event], of: str, by: str) -> Counter[str]:
    """How many different values of ``by`` the honest events show beside each value of ``of``."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        one, other = getattr(event.payment, of), getattr(event.payment, by)
        if event.ring is None and one is not None and other is not None:
            seen[one].add(other)
    return Counter({value: len(others) for value, others in seen.items()})


def luhn_valid(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_exactly_as_many_as_asked_for_in_order_of_arrival(arrived: list[Event], events: list[Event]) -> None:
    assert len(events) == COUNT
    assert len({event.payment.transaction_id for event in events}) == COUNT
    arrivals_ms = [event.arrived for event in arrived]
    assert arrivals_ms == sorted(arrivals_ms)
    assert [event.payment.event_time for event in events] == [rfc3339(event.time) for event in events]


def test_a_few_events_are_late_and_a_few_come_twice(arrived: list[Event], events: list[Event]) -> None:
    late = [event.delay_ms for event in events if event.delay_ms]
    assert 0.002 < len(late) / COUNT < 0.02
    assert min(late) > 0
    assert any(delay > 3_600_000 for delay in late)
    first: dict[str, Event] = {}
    again = []
    for event in arrived:
        if (earlier := first.setdefault(event.payment.transaction_id, event)) is not event:
            assert event.redelivered
            assert (event.payment, event.fraud, event.ring) == (earlier.payment, earlier.fraud, earlier.ring)
            again.append(event)
    assert 0.0005 < len(again) / COUNT < 0.01
    assert len(arrived) == COUNT + len(again)


def test_the_same_seed_makes_the_same_stream_whatever_the_hash_seed() -> None:
    program = (
        "import hashlib, msgspec; from ringwatch.simulation import Simulation; s = Simulation(3000, seed=5); "
        "parts = (*s.events(), *s.truth()); "
        "print(hashlib.sha256(msgspec.json.encode([parts, [s.label(e) for e in s.events()]])).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    first, second = (list(Simulation(2000, seed).events()) for seed in (1, 2))
    assert {event.payment.card for event in first} != {event.payment.card for event in second}


def test_cards_are_valid_numbers_in_test_ranges(events: list[Event]) -> None:
    cards = {event.payment.card for event in events}
    assert all(luhn_valid(card) for card in cards)
    assert {(card[:6], len(card)) for card in cards} <= set(TEST_BINS)
    assert pan(0, 424242424) == "4242424242424242"


def test_identifiers_lie_in_reserved_ranges(events: list[Event]) -> None:
    payments = [event.payment for event in events]
    assert {p.email.split("@")[1] for p in payments if p.email} == {"example.com", "example.org", "example.net"}
    for ip in {p.ip for p in payments if p.ip}:
        assert any(ipaddress.ip_address(ip) in network for network in RESERVED_NETWORKS), ip
    blocks = ("+3319900", "+3326191", "+3335301", "+3346571", "+3353649", "+3363998")
    assert all(p.phone.startswith(blocks) and len(p.phone) == 12 for p in payments if p.phone)


def test_only_cards_look_like_card_numbers(events: list[Event]) -> None:
    for event in events:
        text = msgspec.json.encode(msgspec.structs.replace(event.payment, card="")).decode()
        assert not re.search(
            r"\d(?:[-._/ ]?\d){12}", re.sub(r'"(event_time|account_created)":"[^"]*"', "", text)
        ), text


def test_each_typology_has_rings_and_their_truth_is_in_the_stream(events: list[Event], rings: list[Ring]) -> None:
    assert {ring.typology for ring in rings} == set(TYPOLOGIES)
    by_id = {event.payment.transaction_id: event for event in events}
    for ring in rings:
        own = [by_id[transaction_id] for transaction_id in ring.transaction_ids]
        assert all(event.fraud and event.ring == ring.ring_id for event in own)
        camouflage = [by_id[transaction_id] for transaction_id in ring.camouflage_transaction_ids]
        assert all(not event.fraud and event.ring == ring.ring_id for event in camouflage)
        assert set(ring.members["card"]) == {event.payment.card for event in own}
        shown = {e.payment.device for e in own if e.payment.device}
        assert ring.members.get("device") in (None, sorted(shown))
        assert ring.camouflage == round(len(camouflage) / len(own), 3)
        times = [event.payment.event_time for event in own + camouflage]
        assert (ring.first_seen, ring.last_seen) == (min(times), max(times))
    told = {transaction_id for ring in rings for transaction_id in ring.transaction_ids}
    assert told == {event.payment.transaction_id for event in events if event.fraud}


def test_rings_differ_in_size_duration_and_disguise(rings: list[Ring]) -> None:
    many = list(Simulation(250_000, seed=3, fraud_rate=0.05).rings())
    sizes = sorted(len(ring.members["card"]) for ring in many)
    assert sizes[len(sizes) // 2] < 20
    assert 100 < sizes[-1] <= 420  # cards: each of 200 people may show two
    durations = sorted(instant(ring.last_seen) - instant(ring.first_seen) for ring in many)
    assert durations[0] < 3_600_000
    assert durations[-1] > 20 * DAY_MS
    disguises = sorted(ring.camouflage for ring in many)
    assert disguises[len(disguises) // 5] == 0
    assert disguises[-1] > 1.5
    for typology in TYPOLOGIES:
        alike = [ring for ring in many if ring.typology == typology]
        assert len({len(ring.transaction_ids) for ring in alike}) > 3
        assert len({ring.first_seen for ring in alike}) == len(alike)


def instant(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1_000


def test_later_rings_take_over_what_earlier_ones_used() -> None:
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for ring in Simulation(250_000, seed=3, fraud_rate=0.05).rings():
        for kind in ("device", "ip", "address"):
            for member in ring.members.get(kind, ()):
                holders[member].add(ring.ring_id)
    assert sum(len(found) > 1 for found in holders.values()) > 20


def test_the_fraud_rate_is_met_when_there_is_room_for_it() -> None:
    for rate in (0.003, 0.02, 0.1):
        simulation = Simulation(120_000, seed=1, fraud_rate=rate)
        fraud = sum(len(ring.transaction_ids) for ring in simulation.rings())
        assert rate <= fraud / simulation.transactions < rate * 1.5
    assert not list(Simulation(2_000, seed=1, fraud_rate=0).rings())


def test_it_lasts_as_long_as_it_is_asked_to_and_people_are_no_busier_for_that() -> None:
    def seen(days: int) -> tuple[int, int]:
        events = list(Simulation(40_000, seed=1, days=days).events())
        accounts = Counter(event.payment.account for event in events if event.ring is None)
        people = sum(payments > days / 4 for payments in accounts.values())
        return len({event.time // DAY_MS for event in events}), people

    (short, many), (long, few) = seen(20), seen(180)
    assert (short, long) == (20, 180)
    assert few < many / 4
    assert list(Simulation(5_000, seed=1, days=50).events()) == list(Simulation(5_000, seed=1).events())


def test_a_small_stream_has_a_handful_of_rings_of_several_kinds() -> None:
    for seed in range(1, 4):
        rings = list(Simulation(10_000, seed).rings())
        assert len({ring.typology for ring in rings}) >= 6
        assert sum(len(ring.transaction_ids) for ring in rings) < 500


def test_victims_of_a_takeover_were_there_long_before(events: list[Event], rings: list[Ring]) -> None:
    seen: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.payment.account is not None:
            seen[event.payment.account].append(event)
    takeovers = [ring for ring in rings if ring.typology == "account_takeover_fan_in"]
    victims = [(account, ring) for ring in takeovers for account in ring.members["account"]]
    known = 0
    for account, ring in victims:
        before = [e for e in seen[account] if e.ring != ring.ring_id and e.payment.event_time < ring.first_seen]
        devices = {event.payment.device for event in before}
        assert not devices & set(ring.members["device"])
        opened = {event.payment.account_created or "" for event in before}
        assert all(created < rfc3339(START - 50 * DAY_MS) for created in opened)
        known += bool(before)
    assert known / len(victims) > 0.8


def test_households_offices_carriers_and_hub_merchants_are_there(events: list[Event]) -> None:
    by_address = degrees(events, "billing_address", "account")
    by_device = degrees(events, "device", "account")
    by_ip = degrees(events, "ip", "account")
    by_phone = degrees(events, "phone", "account")
    by_merchant = degrees(events, "merchant", "card")
    assert by_address.most_common(1)[0][1] >= 3
    assert sum(count >= 2 for count in by_device.values()) > 20
    assert sum(count >= 2 for count in by_phone.values()) > 10
    carriers = {ip: n for ip, n in by_ip.items() if ip.startswith("100.")}
    offices = {ip: n for ip, n in by_ip.items() if ip.startswith("172.")}
    assert max(carriers.values()) > 100
    assert max(offices.values()) > 10
    ranked = [count for _, count in by_merchant.most_common()]
    assert ranked[0] > 5 * ranked[len(ranked) // 2]


def test_honest_people_are_declined_refunded_and_incomplete(events: list[Event]) -> None:
    honest = [event.payment for event in events if event.ring is None]
    statuses = Counter(payment.status for payment in honest)
    assert 0.03 < statuses["declined"] / len(honest) < 0.13
    ids = {payment.transaction_id: payment for payment in honest}
    refunds = [payment for payment in honest if payment.status == "refunded"]
    assert refunds
    for refund in refunds:
        original = ids[refund.original_transaction_id or ""]
        assert (original.card, original.amount, original.currency) == (refund.card, refund.amount, refund.currency)
        assert original.event_time < refund.event_time
    assert len({payment.currency for payment in honest}) >= 5
    online = [payment for payment in honest if payment.channel == "ecommerce"]
    for name in ("account", "device", "ip", "email", "phone", "billing_address", "merchant_category"):
        assert 0 < sum(getattr(payment, name) is None for payment in online) < len(online)
    in_person = [payment for payment in honest if payment.channel == "pos"]
    assert any(payment.latitude is not None for payment in in_person)
    assert all(payment.device is None for payment in in_person)


def test_cards_and_accounts_come_up_over_time(events: list[Event]) -> None:
    honest = [event for event in events if event.ring is None]
    half = len(honest) // 2
    early = {event.payment.card for event in honest[:half]}
    assert {event.payment.card for event in honest[half:]} - early
    opened = [e.payment.account_created for e in honest if e.payment.account_created is not None]
    assert rfc3339(START) < max(opened) <= rfc3339(honest[-1].time)


def test_nights_are_quiet() -> None:
    times = list(arrivals(random.Random(1), 20_000, START, 7 * 24))
    assert len(times) == 20_000
    assert times == sorted(times)
    hours = Counter(hour_and_weekday(time)[0] for time in times)
    assert hours[18] > 5 * hours[3]
    assert hour_and_weekday(START) == (0, 2)  # New Year's Day 2025 was a Wednesday


def test_labels_come_later_are_incomplete_and_sometimes_wrong(
    simulation: Simulation, arrived: list[Event], events: list[Event]
) -> None:
    labels = [(event, label) for event in arrived if (label := simulation.label(event)) is not None]
    assert {label.source for _, label in labels} == {"chargeback", "analyst"}
    assert len({event.payment.transaction_id for event, _ in labels}) == len(labels)
    for event, label in labels:
        assert label.time > rfc3339(event.arrived)
        if label.source == "chargeback":
            assert event.payment.status != "declined"
            assert rfc3339(event.time + DAY_MS) <= label.time <= rfc3339(event.arrived + 90 * DAY_MS)
    wrong = [event for event, label in labels if (label.verdict == "fraud") != event.fraud]
    assert 0 < len(wrong) / len(labels) < 0.1
    assert any(not event.fraud and event.payment.status == "approved" for event in wrong)  # friendly fraud
    labelled = sum(event.fraud for event, _ in labels)
    assert 0.3 < labelled / sum(event.fraud for event in events) < 0.9


def test_files_hold_the_stream_the_labels_and_the_truth(tmp_path: Path) -> None:
    simulation = Simulation(2_500, seed=4)
    told: list[int] = []
    write(simulation, tmp_path / "new", told.append)
    assert told == [1_000, 2_000, 2_500]
    found = {path.name: read(path) for path in (tmp_path / "new").iterdir()}
    assert set(found) == {"transactions.jsonl", "labels.jsonl", "rings.jsonl", "honest.jsonl"}
    expected = [json.loads(msgspec.json.encode(event.payment)) for event in simulation.events()]
    assert found["transactions.jsonl"] == expected
    assert None not in [value for line in expected for value in line.values()]
    assert [ring["ring_id"] for ring in found["rings.jsonl"]] == [ring.ring_id for ring in simulation.rings()]
    honest = [group.group_id for group in simulation.truth() if isinstance(group, HonestGroup)]
    assert [group["group_id"] for group in found["honest.jsonl"]] == honest
    times = [label["time"] for label in found["labels.jsonl"]]
    assert times == sorted(times)
    wanted = {event.payment.transaction_id for event in simulation.events() if simulation.label(event)}
    assert {label["transaction_id"] for label in found["labels.jsonl"]} == wanted


def test_a_simulation_that_is_cut_off_leaves_what_was_there(tmp_path: Path) -> None:
    write(Simulation(200, seed=4), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def stop(written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(Simulation(2_500, seed=5), tmp_path, stop)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot write the simulation to"):
        write(Simulation(100, seed=1), tmp_path / "file")


@pytest.mark.parametrize("count", [1, 50, 1_000])
def test_small_simulations_are_whole(count: int) -> None:
    events = list(Simulation(count, seed=1).events())
    assert len({event.payment.transaction_id for event in events}) == count
    assert sum(event.ring is not None and not event.redelivered for event in events) <= count // 4


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Simulation(0, seed=1)
    with pytest.raises(ValueError, match="fraud_rate"):
        Simulation(10, seed=1, fraud_rate=0.5)
    with pytest.raises(ValueError, match="a day at least"):
        Simulation(10, seed=1, days=0)
