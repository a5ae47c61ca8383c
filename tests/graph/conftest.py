"""Every release of every engine, where the rest of the suite is content with one of each."""

from __future__ import annotations

import pytest

from tests.engines import ENGINES


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine under test: a key of ``ENGINES``."""
    engine: str = request.param
    return engine
