"""A circuit breaker for each rule: one that suddenly fires on a large share of its anchors is muted for a while.

A field that a sender leaves empty, a deploy that declines everything: then a rule says of everybody what it should
say of a few, and its rings would bury all others. The breaker knows event time and counts, and nothing else, so
that a replay in the same batches mutes the same. It has the usual three states (M. Nygard, Release It!, 2007):
closed; open until some time; then on trial, where much less opens it again, and for longer. What a rule does at
present is counted by anchors, not by time, so that a flood shows in a stream of any pace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

#: The half-life of what a rule does at present, in times the anchors of the settings.
_RECENT = 2

#: The half-life of what a rule usually does, event time.
_USUAL_MS = 24 * 3_600_000

#: A rule counts as quiet on this many anchors before it was first run, so that it has a norm from the start.
_PRIOR_ANCHORS = 1_000

#: On trial a rule is muted again by this part of the anchors that it takes otherwise.
_TRIAL = 0.1

#: Each time in a row a rule is muted for twice as long, up to so many times.
_MOST_DOUBLINGS = 4


@dataclass(frozen=True)
class BreakerSettings:
    """A rule is muted for ``mute_ms`` (event time) when it fires on many anchors, by all of three measures.

    They are more than ``anchors``, more than ``share`` of those that were touched, and more than ``times_norm``
    times the rule's usual share.
    """

    share: float = 0.5
    anchors: int = 100
    times_norm: float = 5.0
    mute_ms: int = 15 * 60_000


class Turn(NamedTuple):
    """A rule's turn in a batch: of how many touched anchors it was asked, and on how many it fired."""

    version: int
    tested: int
    fired: int


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a rule as its breaker sees it at an event ``time`` (ms); the counts of anchors decay.

    ``muted_until`` is when it is tried again, and ``mutes`` how often in a row it has been muted.
    """

    version: int
    time: int = 0
    recently_tested: float = 0.0
    recently_fired: float = 0.0
    usually_tested: float = 0.0
    usually_fired: float = 0.0
    muted_until: int = 0
    mutes: int = 0

    def is_muted(self, now: int) -> bool:
        """Whether the rule is left out at ``now``; event time never goes back."""
        return max(now, self.time) < self.muted_until

    def after(self, now: int, turn: Turn, settings: BreakerSettings) -> Breaker:
        """The breaker after the rule's turn: with ``mutes`` raised if that was too much."""
        now = max(now, self.time)
        half_life = _RECENT * settings.anchors
        recent, usual = 2.0 ** (-turn.tested / half_life), 2.0 ** ((self.time - now) / _USUAL_MS)
        # As if the anchors of this turn had come one by one: of many only the last count.
        weight = (1.0 - recent) * half_life / math.log(2) / max(1, turn.tested)
        tested = recent * self.recently_tested + weight * turn.tested
        fired = recent * self.recently_fired + weight * turn.fired
        usually_tested, usually_fired = usual * self.usually_tested, usual * self.usually_fired
        norm = usually_fired / (usually_tested + _PRIOR_ANCHORS)
        many = settings.anchors * (_TRIAL if self.mutes else 1.0)
        share = max(settings.share, settings.times_norm * norm)
        # A flood shows in a large batch by itself, and in small ones after some.
        if any(f > many and f > share * t for t, f in ((turn.tested, turn.fired), (tested, fired))):
            length_ms = settings.mute_ms * 2 ** min(self.mutes, _MOST_DOUBLINGS)
            return Breaker(
                version=self.version,
                time=now,
                usually_tested=usually_tested,
                usually_fired=usually_fired,
                muted_until=now + length_ms,
                mutes=self.mutes + 1,
            )
        return Breaker(
            version=self.version,
            time=now,
            recently_tested=tested,
            recently_fired=fired,
            usually_tested=usually_tested + turn.tested,
            usually_fired=usually_fired + turn.fired,
            muted_until=self.muted_until,
            mutes=0 if tested > settings.anchors else self.mutes,
        )


class Breakers(msgspec.Struct, frozen=True):
    """The breakers by rule id, as of one moment; the next moment's are others."""

    settings: BreakerSettings
    states: Mapping[str, Breaker] = {}

    def of(self, rule_id: str, version: int) -> Breaker:
        """A rule's breaker; another version of a rule begins anew."""
        known = self.states.get(rule_id)
        return known if known is not None and known.version == version else Breaker(version)

    def after(self, now: int, turns: Mapping[str, Turn]) -> Breakers:
        """The breakers after the turns of some rules."""
        changed = {
            rule_id: self.of(rule_id, turn.version).after(now, turn, self.settings)
            for rule_id, turn in turns.items()
        }
        return Breakers(self.settings, {**self.states, **changed})

    def muted(self, now: int) -> dict[str, int]:
        """Which rules are left out at ``now``, and until when (ms)."""
        return {rule_id: state.muted_until for rule_id, state in self.states.items() if state.is_muted(now)}
