"""Components against networkx, whatever is added, forgotten and removed in between."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.events import Entity
from streaming.components import Components

NODES = [Entity(label, str(n)) for label in ("Card", "Device") for n in range(6)]

nodes = st.sampled_from(NODES)
times = st.integers(0, 20)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), nodes, nodes, times),
        st.tuples(st.just("expire"), times),
        st.tuples(st.just("remove"), nodes),
    ),
    max_size=60,
)


def check(components: Components, graph: nx.Graph) -> None:
    for node in NODES:
        expected = nx.node_connected_component(graph, node) if node in graph else {node}
        assert components.component(node) == expected
        assert (node in components) == (node in graph)


@settings(deadline=None)
@given(steps)
def test_components_are_those_of_the_edges_that_are_held(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    components, graph = Components(), nx.Graph()
    for what, *arguments in steps:
        if what == "add":
            one, other, time = arguments
            if one == other:
                continue
            known = graph.get_edge_data(one, other, {"seen": time})["seen"]
            graph.add_edge(one, other, seen=max(known, time))
            components.add(one, other, time)
        elif what == "expire":
            gone = [(one, other) for one, other, seen in graph.edges(data="seen") if seen < arguments[0]]
            graph.remove_edges_from(gone)
            components.expire(arguments[0])
        elif arguments[0] in graph:
            graph.remove_node(arguments[0])
            components.remove(arguments[0])
        graph.remove_nodes_from(list(nx.isolates(graph)))
        check(components, graph)


@settings(deadline=None)
@given(st.lists(st.tuples(nodes, nodes, times).filter(lambda edge: edge[0] != edge[1]), max_size=30), times)
def test_the_order_of_edges_does_not_matter(edges: list[tuple[Entity, Entity, int]], before: int) -> None:
    forwards, backwards = Components(), Components()
    for one, other, time in edges:
        forwards.add(one, other, time)
    for one, other, time in reversed(edges):
        backwards.add(other, one, time)
    for components in (forwards, backwards):
        components.expire(before)
    assert all(forwards.component(node) == backwards.component(node) for node in NODES)


def test_an_edge_seen_again_is_kept_and_costs_no_more_memory() -> None:
    components = Components()
    for time in range(1_000):
        components.add(NODES[0], NODES[6], time)
    components.expire(999)
    assert components.component(NODES[0]) == {NODES[0], NODES[6]}
    assert len(components._due) == 1
    components.expire(1_000)
    assert NODES[0] not in components
    assert not components._near
    assert not components._home


def test_an_expiry_walks_through_no_other_component(monkeypatch: pytest.MonkeyPatch) -> None:
    components, walked = Components(), []
    for n in range(6):
        components.add(Entity("Card", f"old {n}"), Entity("Device", "old"), n)
        components.add(Entity("Card", f"new {n}"), Entity("Device", "new"), 100)
    reach = Components._reach
    monkeypatch.setattr(Components, "_reach", lambda self, start: walked.append(start) or reach(self, start))  # type: ignore[func-returns-value]
    components.expire(3)
    assert walked
    assert {entity.id.split()[0] for entity in walked} == {"old"}
    assert len(components.component(Entity("Device", "old"))) == 4
