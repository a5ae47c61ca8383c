"""The driver, on every engine: what is tried again, and what is not."""

from __future__ import annotations

import pytest

from graph.driver import Graph
from graph.errors import ServiceError, Unavailable


def test_a_read_that_wants_more_memory_than_there_is_is_refused_at_once(graph: Graph) -> None:
    """Tried again and again it would stop the stream: nothing but asking about less helps."""
    hoard = (
        "UNWIND range(1, $size) AS i WITH i % 10 AS k, collect(toString(i) + $padding) AS held "
        "RETURN sum(size(held)) AS size"
    )
    with pytest.raises(ServiceError) as refusal:
        graph.read(hoard, size=5_000_000, padding="x" * 400)
    assert not isinstance(refusal.value, Unavailable)
    assert graph.read(hoard, size=1_000, padding="x") == [{"size": 1_000}]
