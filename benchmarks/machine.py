"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import msgspec

_PACKAGES = ("arcadedb-embedded", "neo4j", "confluent-kafka", "ringwatch")


class Machine(msgspec.Struct, frozen=True):
    """What figures depend on; ``load`` is the load average of the last minute, before the measurement began."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    load: float

    @classmethod
    def here(cls) -> Machine:
        """This one, now."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        return cls(
            processor=_processor(),
            cores=os.cpu_count() or 1,
            memory_gib=round(memory, 1),
            system=platform.platform(),
            python=platform.python_version(),
            packages={name: version(name) for name in _PACKAGES},
            load=round(os.getloadavg()[0], 2),
        )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
