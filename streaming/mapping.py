"""The names of our fields, and which of a sender's names feed them (``--map ours=theirs``)."""

from __future__ import annotations

from collections.abc import Iterable

from graph.errors import ConfigurationError
from graph.events import Transaction
from streaming.secret_fields import is_secret_name

FIELDS = tuple(name for name in Transaction.__struct_fields__ if name != "digest")


def parse_mapping(items: Iterable[str]) -> dict[str, str]:
    """``["card=user_id", "account=user_id,device=fingerprint"]`` as our names to theirs.

    Raises:
        ConfigurationError: an item is not ours=theirs, ours is unknown or given twice, theirs is a secret.
    """
    mapping: dict[str, str] = {}
    for item in (part for text in items for part in text.split(",")):
        ours, separator, theirs = (part.strip() for part in item.partition("="))
        if not (ours and separator and theirs):
            raise ConfigurationError(f"--map takes ours=theirs, not {item!r}")
        if ours not in FIELDS:
            raise ConfigurationError(f"--map {item}: there is no field {ours!r}; ours are {', '.join(FIELDS)}")
        if mapping.get(ours, theirs) != theirs:
            raise ConfigurationError(f"--map feeds {ours!r} from both {mapping[ours]!r} and {theirs!r}")
        if is_secret_name(theirs):
            raise ConfigurationError(f"--map {item}: a verification code, a PIN or a track is never read")
        mapping[ours] = theirs
    return mapping
