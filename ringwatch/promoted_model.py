"""The promoted model of a registry, as a running process follows it."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from gnn.registry import Registry
from graph.errors import ConfigurationError, RingwatchError

log = logging.getLogger(__name__)

#: How often the registry is asked whether another model has been promoted.
_ASK_EVERY_S = 10.0


class PromotedModel:
    """``version`` and ``folder`` are those of the latest promoted model that could be fetched, if any could.

    ``trouble`` is why that is not the model that is promoted now, if it is not.
    """

    def __init__(self, registry: Registry, cache: Path) -> None:
        self._registry = registry
        self._cache = cache
        self._ask_at = 0.0
        self.version: str | None = None
        self.folder: Path | None = None
        self.trouble: RingwatchError | None = None

    def refresh(self) -> bool:
        """Ask the registry, if it was not asked just now; returns whether another model is promoted.

        A registry that is away, or a model that is damaged, changes nothing.
        """
        if time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + _ASK_EVERY_S
        self.trouble = None
        try:
            promoted = self._registry.promoted()
            if promoted is None:
                raise ConfigurationError(f"no model is promoted in {self._registry.address}")
            if promoted == self.version:
                return False
            self.folder = self._registry.fetch(promoted, self._cache)
        except RingwatchError as error:
            log.warning("model_not_taken", extra={"why": str(error)})
            self.trouble = error
            return False
        self.version = promoted
        log.info("model_taken", extra={"version": promoted})
        return True
