"""The promoted model of a registry, as a running process follows it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from gnn.registry import Registry
from graph.errors import ConfigurationError, RingwatchError, Unavailable

log = logging.getLogger(__name__)

#: How often the registry is asked whether another model has been promoted.
_ASK_EVERY_S = 10.0
#: After it was asked in vain, so many times as long as that took: whoever asks has a stream to go on with.
_LONGER_THAN_IT_TOOK = 10


class PromotedModel:
    """``version`` and ``folder`` are those of the latest promoted model that could be fetched, if any could.

    ``trouble`` is why that is not the model that is promoted now, if it is not.
    """

    def __init__(self, registry: Registry, cache: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._cache = cache
        self._clock = clock
        self._ask_at = clock()
        self.version: str | None = None
        self.folder: Path | None = None
        self.trouble: RingwatchError | None = None

    def refresh(self) -> bool:
        """Ask the registry, if it was not asked just now; returns whether another model is promoted.

        A registry that is away or empty, or a model that is damaged, changes nothing, and is said once.
        """
        begun = self._clock()
        if begun < self._ask_at:
            return False
        taken, before, self.trouble, pause_s = False, self.trouble, None, _ASK_EVERY_S
        try:
            taken = self._take()
        except RingwatchError as error:
            self.trouble = error
            pause_s = max(pause_s, _LONGER_THAN_IT_TOOK * (self._clock() - begun))
            if not _is_the_same(error, before):
                log.warning("model_not_taken", extra={"why": str(error)})
        self._ask_at = self._clock() + pause_s
        return taken

    def _take(self) -> bool:
        promoted = self._registry.promoted()
        if promoted is None:
            raise ConfigurationError(f"no model is promoted in {self._registry.address}")
        if promoted == self.version:
            return False
        self.folder = self._registry.fetch(promoted, self._cache)
        self.version = promoted
        log.info("model_taken", extra={"version": promoted})
        return True


def _is_the_same(trouble: RingwatchError, before: RingwatchError | None) -> bool:
    """Whether it is the trouble of before; what keeps a service away is said in other words each time."""
    return str(trouble) == str(before) or (isinstance(trouble, Unavailable) and isinstance(before, Unavailable))
