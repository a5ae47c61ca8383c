"""The engines that tests run on.

A test that asks for a graph, or for where one answers, runs on the embedded engine and on the oldest Neo4j that
Ringwatch supports; what speaks to an engine itself, in ``tests/graph``, on every release; and what is no engine's
own on one of them, by :func:`on`.
"""

from __future__ import annotations

import pytest

#: Fixture by engine; the first is what Ringwatch uses when nothing else is said.
ENGINES = {"arcadedb": "embedded", "neo4j-5.26": "neo4j_526", "neo4j-2026": "neo4j_2026"}

#: One release of each engine.
USUAL = ("arcadedb", "neo4j-5.26")


def on(*engines: str) -> pytest.MarkDecorator:
    """Run a test on these engines and no others."""
    return pytest.mark.parametrize("engine_name", engines, indirect=True)
