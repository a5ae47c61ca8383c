"""The command line on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from graph.driver import Graph
from tests.services.endpoint import Endpoint
from tests.worker import Ringwatch


@pytest.fixture
def ringwatch(tmp_path: Path, graph: Graph, endpoint: Endpoint) -> Iterator[Ringwatch]:
    """The command line on the (empty) graph under test."""
    (tmp_path / "ringwatch.toml").write_text(
        f'[graph]\naddress = "{endpoint.uri}"\ndatabase = "{endpoint.database}"\n'
        "[stream]\nbatch_size = 500\nbatch_ms = 100\n"
    )
    user, password = endpoint.user, endpoint.password
    with closing(Ringwatch(tmp_path, RINGWATCH_GRAPH_USER=user, RINGWATCH_GRAPH_PASSWORD=password)) as commands:
        yield commands
