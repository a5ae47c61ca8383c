"""What a registry writes down: versions, what was decided about them, and what is promoted."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal, TypeVar

import msgspec

from graph.errors import ConfigurationError

Record = TypeVar("Record", bound=msgspec.Struct)

Action = Literal["promoted", "declined", "rolled back"]


class AlertBudget(msgspec.Struct, frozen=True):
    """What the highest-scored ``share`` of the transactions held."""

    share: float
    recall: float
    precision: float


class Measured(msgspec.Struct, frozen=True):
    """How a contender did on the transactions that its training run had set aside."""

    average_precision: float
    interval: tuple[float, float]
    brier: float
    budgets: list[AlertBudget]


class Moment(msgspec.Struct, frozen=True):
    """What scores at one moment, and all that competed for it."""

    promoted: str
    contenders: dict[str, Measured]


class CardExcerpt(msgspec.Struct, frozen=True):
    """What a version takes from its model's card."""

    snapshot_digest: str
    complaint_days: int
    learned_until: int
    moments: dict[str, Moment]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it was registered. Times are epoch ms, ``files`` are SHA-256 by path.

    ``snapshot_digest`` is of the manifest of what it learned from, until ``learned_until``.
    """

    name: str
    registered_at: int
    snapshot_digest: str
    complaint_days: int
    learned_until: int
    moments: dict[str, Moment]
    files: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse paths that lead out of the folder that they are fetched into."""
        for path in map(PurePosixPath, self.files):
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{path} is no path within a model")


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about a version, by whom, when (epoch ms) and why."""

    version: str
    action: Action
    reason: str
    by: str | None
    at: int


class Standing(msgspec.Struct, frozen=True):
    """Which versions are promoted, each over the one before it, and all decisions, oldest first."""

    promoted: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def current(self) -> str | None:
        """The version that is used, if any."""
        return self.promoted[-1] if self.promoted else None


def encoded(record: msgspec.Struct) -> bytes:
    """A record as JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decoded(content: bytes, kind: type[Record], name: str) -> Record:
    """The record in JSON.

    Raises:
        ConfigurationError: ``name`` is none of this kind.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{name} is damaged: {error}") from error
