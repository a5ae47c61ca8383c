"""What a writer knows of relationships that it has refreshed: enough not to send what would change nothing."""

from __future__ import annotations

from graph.rows import Spans, widen
from graph.schema import HOUR_MS, RELATIONSHIPS, Relationship

#: Relationships that were refreshed together, and how far each reaches.
Refreshed = dict[Relationship, Spans]

#: What is known of a relationship is not trusted when it ended this much before the newest event: retention, this
#: worker's or another's, may have deleted it since.
_TRUSTED_MS = HOUR_MS
_LIMIT = 500_000


class KnownSpans:
    """The spans (epoch ms) of relationships of the last hour, by event time; at most so many of each kind."""

    def __init__(self) -> None:
        self._spans: Refreshed = {relationship: {} for relationship in RELATIONSHIPS}
        self._newest = 0
        self._swept = 0

    def __len__(self) -> int:
        return sum(map(len, self._spans.values()))

    def covers(self, relationship: Relationship, pair: tuple[str, str], span: tuple[int, int]) -> bool:
        """Whether a relationship is known to begin and end outside this span."""
        known = self._trusted(relationship, pair)
        return known is not None and known[0] <= span[0] and span[1] <= known[1]

    def remember(self, refreshed: Refreshed, newest: int) -> None:
        """Take in what was written; ``newest`` is the time of the newest event."""
        self._newest = max(self._newest, newest)
        self._sweep()
        for relationship, spans in refreshed.items():
            known = self._spans[relationship]
            if len(known) + len(spans) > _LIMIT:
                known.clear()
            for pair, span in spans.items():
                if self._trusted(relationship, pair) is None:
                    known[pair] = span
                else:
                    widen(known, pair, span)

    def _trusted(self, relationship: Relationship, pair: tuple[str, str]) -> tuple[int, int] | None:
        known = self._spans[relationship].get(pair)
        return known if known is not None and known[1] >= self._newest - _TRUSTED_MS else None

    def _sweep(self) -> None:
        """Now and then, let go of what is not trusted any more."""
        if self._newest - self._swept < _TRUSTED_MS:
            return
        self._swept = self._newest
        oldest = self._newest - _TRUSTED_MS
        for relationship, known in self._spans.items():
            self._spans[relationship] = {pair: span for pair, span in known.items() if span[1] >= oldest}
