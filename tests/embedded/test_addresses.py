"""Addresses that cannot be opened, and what is said about them."""

from __future__ import annotations

import pytest

from graph.embedded import open_graph
from graph.errors import ConfigurationError, Unavailable


@pytest.mark.parametrize(
    "address",
    [
        "bolt://neo4j:hidden-word@127.0.0.1:7687",
        "neo4j+s://:hidden-word@graph.example",
        "neo4j:hidden-word@graph.example",
        "bolt://neo4j:hidden-word@[broken",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with (
        pytest.raises(ConfigurationError, match="RINGWATCH_GRAPH_USER") as refusal,
        open_graph(address, user="neo4j", password="hidden-word", patience_s=1),
    ):
        pass
    assert "hidden-word" not in str(refusal.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:7474", "embeded", "bolt:", "bolt://[broken", "bolt://h:port", "embedded:", ""]
)
def test_what_is_no_graph_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError), open_graph(address, user="u", password="p", patience_s=1):
        pass


@pytest.mark.parametrize(("user", "password"), [(None, "p"), ("u", None), (None, None), ("u", "")])
def test_a_server_needs_credentials(user: str | None, password: str | None) -> None:
    with (
        pytest.raises(ConfigurationError, match="RINGWATCH_GRAPH_USER and RINGWATCH_GRAPH_PASSWORD"),
        open_graph("bolt://127.0.0.1:7687", user=user, password=password, patience_s=1),
    ):
        pass


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with (
        pytest.raises(Unavailable),
        open_graph("bolt://127.0.0.1:1", user="u", password="p", patience_s=0.2),
    ):
        pass
