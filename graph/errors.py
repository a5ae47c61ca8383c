"""What can go wrong, named by what happens next.

    RingwatchError
    ├── ConfigurationError    stop; the user must change something       (exit code 2)
    ├── ServiceError          stop after retries; one clear line         (exit code 1)
    │   └── Unavailable       pause and retry with jitter; nothing is lost
    ├── Ended                 stop; the next start goes on               (exit code 1)
    ├── Fenced                stop this worker: another one owns its partitions now
    └── BadEvent              dead-letter this one event; the stream goes on
        └── Conflict          ... since another event already has its transaction_id

Only these cross a package's border; what libraries raise is translated where they are called.
"""

from __future__ import annotations


class RingwatchError(Exception):
    """Everything that Ringwatch raises on purpose."""


class ConfigurationError(RingwatchError):
    """Wrong use or configuration: the message says what to change."""


class ServiceError(RingwatchError):
    """The graph, the broker or the disk refused, and trying again will not help by itself."""


class Unavailable(ServiceError):
    """The graph or the broker cannot be reached now; the same call may succeed later."""


class Ended(RingwatchError):
    """The graph's engine has died, and this process can reach no other: no call will ever succeed again."""


class Fenced(RingwatchError):
    """Another worker has taken over what this one was writing; nothing was written.

    ``partition`` is the one that is known to be another's.
    """

    def __init__(self, message: str, partition: str | None = None) -> None:
        super().__init__(message)
        self.partition = partition


class BadEvent(RingwatchError):
    """One event that cannot be accepted.

    ``reason`` is a stable word for counting; the message is for a person and never quotes a field's value.
    ``secret`` marks an event whose bytes must not be kept at all (it carries a cvv, pin or track).
    """

    def __init__(self, reason: str, message: str, *, secret: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.secret = secret


class Conflict(BadEvent):
    """The same transaction_id was seen before with different content; the first one stays."""

    def __init__(self) -> None:
        super().__init__("conflict", "transaction_id was seen before with different content")
