"""What a runner tells of its rules, to whoever counts."""

from __future__ import annotations

from collections.abc import Mapping

from queries.spec import Rule


class Observer:
    """Is told what becomes of rules, by whatever thread ran them; this one does nothing with it."""

    def ran(self, rule: Rule, seconds: float, anchors: int, findings: int) -> None:
        """A rule was run on so many anchors, and found so much."""

    def failed(self, rule: Rule) -> None:
        """A rule failed on some anchors, which are not tested."""

    def muted(self, rule: Rule, anchors: int) -> None:
        """A muted rule was not run on so many anchors, or what it found there was withheld."""

    def put_off(self, rule: Rule, anchors: int) -> None:
        """A rule's time was spent before so many anchors."""

    def caught_up(self, rule: Rule, anchors: int) -> None:
        """So many anchors that had been put off were worked off."""

    def standing(self, muted: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        """How things stand: who is muted until when (ms), and how many anchors wait for which rule."""
