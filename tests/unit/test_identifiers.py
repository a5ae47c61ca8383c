"""Identifiers: one spelling each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import BadEvent
from streaming.identifiers import (
    normalise_device,
    normalise_email,
    normalise_ip,
    normalise_phone,
    normalise_text,
)


@pytest.mark.parametrize(
    ("given_form", "one_form"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("732758368.8", "732758368.8"),
        ("2609570161", "2609570161"),
        ("10.0.0.256", "10.0.0.256"),
        ("proxy", "proxy"),
    ],
)
def test_an_ip_address_has_one_form_and_anything_else_is_kept(given_form: str, one_form: str) -> None:
    assert normalise_ip(given_form) == one_form


@pytest.mark.parametrize(
    ("given_form", "one_form"),
    [
        ("+1 (415) 555-2671", "+14155552671"),
        ("001 415 555 2671", "+14155552671"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("020 7946 0958", "02079460958"),
        ("(415) 555-2671", "4155552671"),
        ("+999", "999"),
        ("unknown", "unknown"),
    ],
)
def test_a_phone_number_has_one_form_and_no_country_is_guessed(given_form: str, one_form: str) -> None:
    assert normalise_phone(given_form) == one_form


def test_an_email_is_its_mailbox() -> None:
    assert normalise_email("Ada.L+x @Example.com") == "ada.l@example.com"
    assert normalise_email("Ada.L+x@googlemail.com") == normalise_email("adal@gmail.com") == "adal@gmail.com"
    assert normalise_email("+x@example.com") == "+x@example.com"
    assert normalise_email("No Address+1") == "noaddress+1"


@pytest.mark.parametrize("domain", ["gmail.com", "Yahoo.co.UK", "mail.example.info"])
def test_a_domain_is_nobody_s_mailbox(domain: str) -> None:
    assert normalise_email(domain) is None
    assert normalise_email(f"ada@{domain}")


@pytest.mark.parametrize(
    "kind", ["Windows", "windows 10", "iOS Device", "Mac OS X 10_15_7", "Android 7", "mobile"]
)
def test_a_kind_of_device_is_no_device(kind: str) -> None:
    assert normalise_device(kind) is None


@pytest.mark.parametrize("device", ["d1", "windows-7f3a", "android1", "tablet", "mobile 3", "SM-G960F"])
def test_a_device_is_kept_as_it_is(device: str) -> None:
    assert normalise_device(device) == device


def test_text_is_trimmed_composed_and_on_one_line() -> None:
    assert normalise_text(" 1 Main\r\n St\u00a0\t5 ") == "1 Main St 5"
    assert normalise_text("Cafe\u0301") == "Café"
    assert normalise_text(" \n ") is None


@pytest.mark.parametrize("text", ["a\0b", "\x1b[31mred", "\x7f", "\ud800"])
def test_control_characters_are_refused(text: str) -> None:
    with pytest.raises(BadEvent, match="control characters"):
        normalise_text(text)


@given(st.text(), st.sampled_from([normalise_device, normalise_email, normalise_ip, normalise_phone]))
def test_normalising_twice_changes_nothing(text: str, normalise: Callable[[str], str | None]) -> None:
    once = normalise(text)
    assert once is None or normalise(once) == once
