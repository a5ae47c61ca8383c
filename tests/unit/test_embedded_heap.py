"""How much memory the embedded engine is given when nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.embedded import usual_heap

GIB = 2**30


@pytest.mark.parametrize(
    ("gib", "heap"), [(1, "1024m"), (4, "1024m"), (8, "2048m"), (10, "2560m"), (16, "4096m"), (256, "8192m")]
)
def test_a_quarter_of_the_memory_within_bounds(gib: int, heap: str, tmp_path: Path) -> None:
    assert usual_heap(gib * GIB, tmp_path / "no control group") == heap


@pytest.mark.parametrize(
    ("said", "heap"), [(f"{8 * GIB}\n", "2048m"), ("max\n", "4096m"), (f"{64 * GIB}", "4096m")]
)
def test_a_container_counts_by_its_own_limit(said: str, heap: str, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(said)
    assert usual_heap(16 * GIB, limit) == heap
