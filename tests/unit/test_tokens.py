"""Tokens: the same value always to the same token, and nothing else to it."""

from __future__ import annotations

import multiprocessing
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import ConfigurationError
from streaming.card_numbers import mask
from streaming.tokens import KEY_VARIABLE, CardTokenizer, load_card_key

VISA = "4242424242424242"
MASTERCARD = "5555555555554444"
tokenizer = CardTokenizer(b"a key of sixteen bytes, or more")


@pytest.mark.parametrize(
    "spelling",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "4242\u00a04242\u00a04242\u00a04242",
        "4242424242424242.0",
        "４２４２４２４２４２４２４２４２",
    ],
)
def test_a_card_number_is_the_same_however_it_is_spelled(spelling: str) -> None:
    assert tokenizer.card(spelling) == tokenizer.card(VISA)


def test_a_valid_card_number_leaves_its_bin_and_nothing_more() -> None:
    token = tokenizer.card(MASTERCARD)
    assert token.bin == "555555"
    assert re.fullmatch(r"hmac:[a-z2-7]{32}", token.token)


@pytest.mark.parametrize("value", ["424242******4242", "tok_1a2b3c", "4242424242424241", "58", "hmac:", "Карта"])
def test_what_is_no_valid_card_number_is_hashed_and_leaves_no_bin(value: str) -> None:
    token = tokenizer.card(value)
    assert token.token.startswith("hmac:")
    assert value.removeprefix("hmac:") not in token.token or value == "hmac:"
    assert token.bin is None


def test_a_token_stays_what_it_is() -> None:
    token = tokenizer.card(VISA).token
    assert tokenizer.card(token) == (token, None)
    assert tokenizer.email("hmac:Ab12") == "hmac:Ab12"
    assert tokenizer.phone(token) == token


@pytest.mark.parametrize("disguise", [f"hmac:{VISA}", "hmac:4242 4242 4242 4242"])
def test_a_clear_number_that_calls_itself_a_token_is_hashed_all_the_same(disguise: str) -> None:
    token = tokenizer.card(disguise).token
    assert token != disguise
    assert "4242" not in token


def test_kinds_and_keys_hash_apart() -> None:
    same = "a@example.com"
    tokens = {tokenizer.card(same).token, tokenizer.email(same), tokenizer.phone(same), tokenizer.text(same)}
    other = CardTokenizer(b"another key of sixteen bytes")
    assert len(tokens | {other.card(same).token}) == 5


def test_an_email_has_one_token_in_any_case_and_a_phone_in_any_spelling() -> None:
    assert tokenizer.email(" Ada@Example.COM ") == tokenizer.email("ada@example.com")
    assert tokenizer.phone("+1 (415) 555-2671") == tokenizer.phone("0014155552671")


@given(st.text(min_size=1))
def test_no_token_holds_what_a_mask_would_hide(value: str) -> None:
    token = tokenizer.text(value.encode("utf-8", "replace").decode()) if value else "hmac:"
    assert mask(token) == token


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        CardTokenizer(b"short")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "ringwatch" / "card.key"


def test_the_variable_comes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sixteen bytes or more")
    assert load_card_key(allow_user_file=True) == b"sixteen bytes or more"
    assert not home.exists()


def test_without_a_key_there_is_one_clear_line(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE) as refusal:
        load_card_key(allow_user_file=False)
    assert "\n" not in str(refusal.value)


def test_the_file_is_made_once_for_this_user_alone(home: Path) -> None:
    key = load_card_key(allow_user_file=True)
    assert len(key) == 64
    assert load_card_key(allow_user_file=True) == key
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert list(home.parent.iterdir()) == [home]


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    load_card_key(allow_user_file=True)
    home.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_card_key(allow_user_file=True)


def test_a_file_that_cannot_be_made_is_a_configuration_error(home: Path) -> None:
    home.parent.write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        load_card_key(allow_user_file=True)


def _load(_: int) -> bytes:
    return load_card_key(allow_user_file=True)


def test_processes_that_start_at_once_agree_on_the_key(home: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert len(set(pool.map(_load, range(32), chunksize=1))) == 1
