"""Fields that must never be kept: the card's verification code, its PIN and its magnetic track.

PCI DSS 3.3.1 forbids keeping them after authorisation, encrypted or not, so an event that carries one is
rejected and leaves only its position and its reason. What *says something about* such a field
(``cvv_result``, ``pin_verified``) is no secret.
"""

from __future__ import annotations

import re
from functools import lru_cache

from graph.errors import BadEvent

_NAME = (
    r"(?:(?:card|payment|cc)[_\- ]?)?(?:"
    r"(?:cvv|cvc|cav)2?(?:[_\- ]?(?:code|number|value))?|csc|cvn|cvd"
    r"|(?:card[_\- ]?)?(?:security|verification)[_\- ]?(?:code|value)"
    r"|pin(?:[_\- ]?(?:block|code|number))?"
    r"|(?:mag(?:netic|stripe)?[_\- ]?)?track[_\- ]?[123]?(?:[_\- ]?(?:data|equivalent))?"
    r")"
)
_WHOLE_NAME = re.compile(rf"(?:.*[.\]/])?{_NAME}", re.IGNORECASE | re.DOTALL)
_IN_TEXT = re.compile(rf"(?<![a-z0-9]){_NAME}[\\\"'\s]*[:=>]", re.IGNORECASE)
_LONGEST_NAME = 64  # characters; of a longer path only the end can be a name
_ESCAPE = re.compile(r"\\u00([0-7][0-9a-f])", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name carries a secret, in any case and with the usual separators."""
    return _is_secret(name[-_LONGEST_NAME:])


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return _WHOLE_NAME.fullmatch(name.strip()) is not None


def holds_secret(value: object) -> bool:
    """Whether a secret's name stands anywhere in a decoded JSON value, however deep."""
    pending = [value]
    while pending:
        match pending.pop():
            case dict() as fields:
                if any(is_secret_name(str(name)) for name in fields):
                    return True
                pending += fields.values()
            case list() | tuple() as items:
                pending += items
    return False


def mentions_secret(raw: bytes) -> bool:
    """Whether bytes that nobody could decode seem to carry a secret: rather too often than too seldom."""
    text = raw.replace(b"\0", b"").decode("utf-8", "replace")
    return _IN_TEXT.search(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)) is not None


def secret_field() -> BadEvent:
    """The refusal of an event that carries a secret; it names neither the field nor its value."""
    return BadEvent("secret_field", "the event carries a cvv, a PIN or track data", secret=True)
