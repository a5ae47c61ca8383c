"""One spelling for each identifier, so that equal things meet in one node of the graph.

An identifier that does not have the expected form is kept as it is: a sender's opaque ids are ids too.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import phonenumbers

from graph.errors import BadEvent
from streaming.words import is_nothing

_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_DOMAIN = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,4}")

#: What names a kind of device and not one of that kind: an operating system with or without a version, or a form.
_KIND_OF_DEVICE = re.compile(
    r"(android|chrome ?os|ios|ipad|ipados|iphone|linux|mac|mac ?os|mac ?os x|windows|windows phone)"
    r"( device)?([ /][\d._]+)?|desktop|mobile",
    re.IGNORECASE,
)


def normalise_text(text: str) -> str | None:
    """Trimmed, every run of white space one space, composed (NFC); None if that says nothing.

    Raises:
        BadEvent: it holds control characters or lone surrogates.
    """
    text = " ".join(text.split())
    if not text.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise BadEvent("bad_value", "holds control characters")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return None if is_nothing(text) else text


def normalise_email(text: str) -> str | None:
    """The mailbox: in lower case, without spaces, without a tag (``+shop``), at Gmail without dots.

    What providers deliver to one mailbox is one, as MaxMind's minFraud has it; a tag costs nothing to invent. None
    for a domain alone, which is everybody's.
    """
    text = text.replace(" ", "").lower()
    if _DOMAIN.fullmatch(text):
        return None
    local, at, domain = text.rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}{at}{domain}"


def normalise_device(text: str) -> str | None:
    """As it is; None for a kind of device, which many have."""
    return None if _KIND_OF_DEVICE.fullmatch(text) else text


def normalise_phone(text: str) -> str:
    """``+`` and digits (E.164) for a number with its country code, otherwise the digits as they are.

    No country is guessed: a national number equals only the same national number.
    """
    number = re.sub(r"^\s*00(?=\s*[1-9])", "+", text)
    if number.lstrip().startswith("+"):
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            pass
        else:
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return "".join(str(int(digit)) for digit in text if digit.isdecimal()) or text


def normalise_ip(text: str) -> str | None:
    """The shortest form of an IPv4 or IPv6 address, IPv4 where IPv6 only wraps it; anything else as it is.

    None for 0.0.0.0 and ::, which stand for no address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if address.is_unspecified else str(address)
