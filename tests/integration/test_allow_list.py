"""The allow-list, in the graph and in what reaches rings, on every engine."""

from __future__ import annotations

import msgspec
import pytest

from graph.driver import Graph
from graph.events import Entity
from queries.spec import Finding, Member
from streaming.allow_list import Allowed, AllowList, AllowListStore

OFFICE = Entity("IP", "198.51.100.7")
CARD = Entity("Card", "hmac:c1")
END = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def entry(entity: Entity = OFFICE, until: int = END) -> Allowed:
    return Allowed(entity, "an office", "network team", until)


def finding(*cores: Entity, time: int = END - 1) -> Finding:
    members = [Member(*core, "core") for core in cores] + [
        Member("Card", f"hmac:c{n}", "member") for n in range(3)
    ]
    return Finding(
        rule="shared_ip",
        rule_version=1,
        severity="low",
        anchor=cores[0],
        time=time,
        identity=("i",),
        members=tuple(sorted(members)),
        evidence=("t",),
    )


def test_entries_are_kept_changed_and_removed(graph: Graph) -> None:
    store = AllowListStore(graph)
    store.add(entry())
    store.add(entry(CARD))
    store.add(entry(OFFICE, END + 1))
    assert store.all() == [entry(CARD), entry(OFFICE, END + 1)]
    assert store.remove(OFFICE)
    assert not store.remove(OFFICE)
    assert store.all() == [entry(CARD)]


def test_a_worker_reads_the_list_again_after_some_seconds(graph: Graph) -> None:
    clock = Clock()
    listed = AllowList(graph, clock)
    assert not listed.refresh()
    AllowListStore(graph).add(entry())
    clock.now += 1
    assert not listed.refresh()
    clock.now += 1
    assert listed.refresh()
    assert listed.allowed(END - 1) == [OFFICE]
    clock.now += 2
    assert not listed.refresh()


@pytest.fixture
def listed(graph: Graph) -> AllowList:
    AllowListStore(graph).add(entry())
    AllowListStore(graph).add(entry(CARD))
    listed = AllowList(graph)
    listed.refresh()
    return listed


def test_a_finding_that_nothing_else_holds_together_is_dropped(listed: AllowList) -> None:
    assert listed.screen(finding(OFFICE)) is None
    assert listed.screen(finding(OFFICE, time=END)) == finding(OFFICE, time=END)


def test_an_allowed_entity_is_no_member_and_no_bridge(listed: AllowList) -> None:
    device = Entity("Device", "d")
    found = finding(device, OFFICE)
    screened = listed.screen(found)
    assert screened is not None
    left = tuple(member for member in found.members if member.entity not in (OFFICE, CARD))
    assert screened == msgspec.structs.replace(found, members=left)


def test_other_findings_are_left_alone(listed: AllowList) -> None:
    other = msgspec.structs.replace(finding(Entity("IP", "203.0.113.1")), members=(Member("IP", "x", "core"),))
    assert listed.screen(other) is other
