"""Times as senders spell them, read into UTC epoch milliseconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from graph.errors import BadEvent, ConfigurationError
from streaming.scalars import read_number
from streaming.words import is_nothing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
EARLIEST_MS = (datetime(1990, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
"""No card payment that anybody still streams is older than 1990."""
_SECONDS_BELOW = 10**11  # as seconds this is the year 5138, as milliseconds 1973
_ABSURD = 10**16

#: As the CF conventions write time coordinates: data sets that hide when they began count from there.
_COUNTED = re.compile(r"(days|hours|minutes|seconds|milliseconds) since (\S.*)")


class Instants:
    """Reads times, and refuses those that cannot be true now.

    ``time_format`` (as for ``strptime``) says how strings are spelled; without one they are RFC 3339 or epoch
    numbers. One like ``hours since 2025-01-01`` says what numbers count. A time without an offset is UTC. ``now``
    is the wall clock in epoch milliseconds.

    Raises:
        ConfigurationError: the format is neither.
    """

    def __init__(self, time_format: str | None, now: Callable[[], int]) -> None:
        self._counted = None if time_format is None else _counted(time_format)
        if time_format is not None and self._counted is None:
            try:
                datetime.strptime(datetime.now(UTC).strftime(time_format), time_format)  # noqa: DTZ007
            except (ValueError, re.error) as error:
                raise ConfigurationError(f"the time format {time_format!r} is not valid: {error}") from None
        self._time_format = time_format if self._counted is None else None
        self._now = now

    def read_event_time(self, value: Any) -> int | None:
        """When it happened: between 1990 and a day from now."""
        time_ms = self._read(value)
        if time_ms is not None and time_ms < EARLIEST_MS:
            raise BadEvent("implausible_time", "is before 1990 (is it counted from some day?)")
        return time_ms

    def read_account_created(self, value: Any) -> int | None:
        """When the account was opened; what is older than 1990 counts as 1990, for banks are older than that."""
        time_ms = self._read(value)
        return time_ms if time_ms is None else max(time_ms, EARLIEST_MS)

    def _read(self, value: Any) -> int | None:
        if isinstance(value, str):
            time_ms = None if is_nothing(value) else self._read_string(value.strip())
        elif isinstance(value, datetime):
            time_ms = _since_epoch(value)
        else:
            time_ms = self._from_number(read_number(value))
        if time_ms is not None and time_ms > self._now() + _DAY_MS:
            raise BadEvent("implausible_time", "is more than a day from now")
        return time_ms

    def _read_string(self, text: str) -> int | None:
        try:
            if self._time_format is not None:
                return _since_epoch(datetime.strptime(text, self._time_format))  # noqa: DTZ007
            if text[4:5] == "-":
                return _since_epoch(datetime.fromisoformat(text.upper()))
            number = read_number(text)
        except ValueError:
            raise BadEvent("bad_time", "has not the expected format") from None
        except BadEvent:
            raise BadEvent("bad_time", "is neither RFC 3339 nor an epoch") from None
        return self._from_number(number)

    def _from_number(self, number: Decimal | None) -> int | None:
        if number is None or number.is_nan():
            return None
        if not -_ABSURD < number < _ABSURD:
            raise BadEvent("implausible_time", "is too far away")
        if self._counted is not None:
            unit, origin_ms = self._counted
            return origin_ms + int(number * (unit // timedelta(milliseconds=1)))
        return int(number * 1000) if -_SECONDS_BELOW < number < _SECONDS_BELOW else int(number)


def _counted(time_format: str) -> tuple[timedelta, int] | None:
    """What numbers count, and from when on (epoch ms), if that is what a time format says."""
    said = _COUNTED.fullmatch(time_format)
    if said is None:
        return None
    unit, origin = said.groups()
    try:
        return timedelta(**{unit: 1}), _since_epoch(datetime.fromisoformat(origin))
    except ValueError:
        raise ConfigurationError(f"the time format {time_format!r} names no date: try 2025-01-01") from None


def _since_epoch(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000
