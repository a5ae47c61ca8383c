"""What a runner tells of its rules, to whoever counts."""

from __future__ import annotations

from queries.spec import Rule


class Observer:
    """Is told what becomes of rules, by whatever thread ran them; this one does nothing with it."""

    def ran(self, rule: Rule, seconds: float, anchors: int, findings: int | None) -> None:
        """A rule was run on so many anchors; one that failed has no findings (``None``)."""
