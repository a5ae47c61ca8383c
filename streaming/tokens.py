"""Keyed hashes in the place of card numbers, e-mail addresses and phone numbers.

A token is ``hmac:`` and 32 characters of base 32 (160 bits of HMAC-SHA256). Base 32 rather than hexadecimal,
since a hexadecimal token now and then holds a run of digits that a mask, or a scan for card numbers, takes for
one. The kinds hash apart: an e-mail and a device of the same text have different tokens.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from graph.errors import ConfigurationError
from streaming.card_numbers import holds_long_number, is_luhn_valid, read_card_digits
from streaming.identifiers import normalise_email, normalise_phone

KEY_VARIABLE = "RINGWATCH_CARD_KEY"
SHORTEST_KEY_BYTES = 16
_PREFIX = "hmac:"


class CardToken(NamedTuple):
    """What is left of a card: its token, and its BIN where it was a PAN."""

    token: str
    bin: str | None


class CardTokenizer:
    """Hashes with one key, the same value always to the same token; a token stays what it is.

    Values are expected to be normalised text of bounded length (:func:`normalise_text`).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY_BYTES:
            raise ConfigurationError(
                f"the card key is too short: {KEY_VARIABLE} needs {SHORTEST_KEY_BYTES} bytes or more"
            )
        self._key = key

    def card(self, text: str) -> CardToken:
        """Any card value; spelled with separators or without, a PAN is the same. Luhn-valid ones leave a BIN."""
        if (digits := read_card_digits(text)) is None:
            return CardToken(self._token("card", text), None)
        return CardToken(self._token("card", digits), digits[:6] if is_luhn_valid(digits) else None)

    def email(self, text: str) -> str | None:
        """An e-mail address, in any case; None for a domain alone."""
        if _is_token(text):
            return text
        mailbox = normalise_email(text)
        return None if mailbox is None else self._token("email", mailbox)

    def phone(self, text: str) -> str:
        """A phone number, in any spelling with its country code."""
        return text if _is_token(text) else self._token("phone", normalise_phone(text))

    def text(self, text: str) -> str:
        """A token in the place of any other value that turned out to hold a card number."""
        return self._token("text", text)

    def _token(self, purpose: str, text: str) -> str:
        if _is_token(text):
            return text
        digest = hmac.digest(self._key, f"{purpose}\0{text}".encode(), "sha256")
        return _PREFIX + base64.b32encode(digest[:20]).decode().lower()


def _is_token(text: str) -> bool:
    """Whether the sender has hashed this already; ``hmac:`` before a clear number does not make it a token."""
    return text.startswith(_PREFIX) and len(text) > len(_PREFIX) and not holds_long_number(text)


def load_card_key(*, allow_user_file: bool) -> bytes:
    """The key from ``RINGWATCH_CARD_KEY``, or else (if allowed) from a file of this user's, made when missing.

    Raises:
        ConfigurationError: there is no key, or the file can be read by others, or cannot be made.
    """
    if key := os.environ.get(KEY_VARIABLE):
        return key.encode("utf-8", "surrogateescape")
    if not allow_user_file:
        raise ConfigurationError(
            f"set {KEY_VARIABLE} to a secret of {SHORTEST_KEY_BYTES} bytes or more (the same on every worker): "
            "only the embedded graph may use a key of its own"
        )
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = settings / "ringwatch" / "card.key"
    try:
        if not path.exists():
            _make_key(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationError(f"others can read the card key: run chmod 600 {path}")
        return path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep a card key in {path} ({error.strerror}): set {KEY_VARIABLE}"
        ) from error


def _make_key(path: Path) -> None:
    """Write a new key whole or not at all; of several processes at once, all end up with the same file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(descriptor)
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was first, and its key is the one
    finally:
        draft.unlink()
