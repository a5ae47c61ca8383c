"""Settings: which layer wins, and one clear line for everything that can be wrong."""

from __future__ import annotations

import logging
import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from graph.errors import ConfigurationError
from graph.writer import WriterSettings
from ringwatch.settings import Settings, load
from streaming.ring_settings import RingSettings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docker" / "ringwatch.toml"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no variables but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith("RINGWATCH_"):
            monkeypatch.delenv(name)


def write(text: str, name: str = "ringwatch.toml") -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def refusal(config: Path | None = None, **flags: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(config, flags)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_without_anything_the_defaults_hold() -> None:
    assert load() == Settings()


def test_flags_win_over_variables_and_variables_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('[stream]\nbatch_size = 1\nbatch_ms = 1\nlateness_s = 1\n[graph]\naddress = "bolt://a"\n')
    monkeypatch.setenv("RINGWATCH_STREAM_BATCH_MS", "2")
    monkeypatch.setenv("RINGWATCH_STREAM_LATENESS_S", "2")
    settings = load(flags={"stream.lateness_s": 3, "graph.address": None, "retention_days": 3})
    assert settings.stream.model_dump() == {"batch_size": 1, "batch_ms": 2, "lateness_s": 3}
    assert settings.graph.address == "bolt://a"  # a flag that is None was not given
    assert settings.retention_days == 3


def test_a_named_file_takes_the_place_of_the_default_one() -> None:
    write("retention_days = 1")
    assert load(write("retention_days = 2", "other.toml")).retention_days == 2


def test_the_documented_variables_have_exactly_these_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_GRAPH_USER", "ada")
    monkeypatch.setenv("RINGWATCH_GRAPH_PASSWORD", "secret-1")
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "secret-2")
    monkeypatch.setenv("RINGWATCH_DEAD_LETTERS_LIMIT_SHARE", "0.25")
    settings = load()
    assert settings.graph.user == "ada"
    assert settings.graph.password is not None
    assert settings.graph.password.get_secret_value() == "secret-1"
    assert settings.card_key is not None
    assert settings.card_key.get_secret_value() == "secret-2"
    assert settings.dead_letters.limit_share == 0.25


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_CARD_KEY", "")
    assert load().card_key is None


def test_every_setting_can_be_given_as_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        section = getattr(Settings(), name)
        if not isinstance(section, BaseModel):
            monkeypatch.setenv(f"RINGWATCH_{name.upper()}", "7")
            continue
        assert field.annotation is not None
        for key, value in type(section).model_fields.items():
            given = {"client": "{}", "disabled": "[]", "parameters": "{}", "level": "debug", "format": "json"}
            given |= {"enabled": "false", "min_owners": "8", "min_risk": "0.7"}
            text = given.get(key, "1" if value.annotation in (int, float) else "8")
            monkeypatch.setenv(f"RINGWATCH_{name}_{key}".upper(), text)
    settings = load()
    assert settings.retention_days == 7
    for name in Settings.model_fields:
        section = getattr(settings, name)
        if isinstance(section, BaseModel):
            assert section.model_fields_set == set(type(section).model_fields), name


def test_settings_are_frozen() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.retention_days = 1
    with pytest.raises(ValidationError):
        settings.graph.user = "eve"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retention_days = 0", "retention_days = 0:"),
        ("[stream]\nbatch_size = 'many'", "stream.batch_size = 'many':"),
        ("[stream]\nbach_size = 1", "stream.bach_size is not a setting; there are batch_size,"),
        ("retension_days = 1", "retension_days is not a setting; there are card_key, retention_days,"),
        ("stream = 1", "stream = 1:"),
        ("[rules.parameters.device_farm]\nmin_cards = 'x'", "rules.parameters.device_farm.min_cards = 'x':"),
        ("[telemetry]\nport = 65536", "telemetry.port = 65536:"),
        ("[dead_letters]\nlimit_share = 1.5", "dead_letters.limit_share = 1.5:"),
        ("[kafka.client]\n'group.id' = 'x'", "kafka.client: group.id cannot be set here"),
        ("retention_days = ?", "ringwatch.toml cannot be read: Invalid value (at line 1"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_value(text: str, said: str) -> None:
    write(text)
    assert said in refusal()


def test_all_that_is_wrong_is_said_at_once() -> None:
    write("retention_days = 0\n[stream]\nbatch_ms = 0")
    assert re.fullmatch(r"retention_days = 0: .*; stream\.batch_ms = 0: .*", refusal())


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_STREAM_BATCH_SIZE", "abc")
    assert refusal().startswith("stream.batch_size (RINGWATCH_STREAM_BATCH_SIZE) = 'abc':")


def test_a_variable_that_should_be_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGWATCH_RULES_DISABLED", "card_testing")
    assert refusal().startswith("RINGWATCH_RULES_DISABLED must be JSON:")


def test_a_file_that_is_named_must_be_there_and_be_text() -> None:
    assert refusal(Path("nowhere.toml")) == "the settings file nowhere.toml does not exist"
    assert "cannot be read" in refusal(Path())
    Path("latin.toml").write_bytes(b"# caf\xe9")
    assert "cannot be read" in refusal(Path("latin.toml"))


@pytest.mark.parametrize(
    "text",
    [
        "[graph]\npassword = 83659201",
        "[graph]\npasword = '83659201'",
        "card_key = ['83659201']",
        "[kafka.client]\nsasl.password = ['83659201']",
        "[graph]\naddress = 'bolt://ada:83659201@host'",
    ],
)
def test_no_error_quotes_a_secret(text: str) -> None:
    write(text)
    assert "83659201" not in refusal()


def test_nothing_prints_a_secret() -> None:
    write(
        "card_key = '83659201-card'\n[graph]\npassword = '83659201'\n[kafka.client]\n'sasl.password' = '83659201'"
    )
    settings = load()
    assert "83659201" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_client_properties_are_flat_strings_from_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    write("""
        [kafka.client]
        security.protocol = "SASL_SSL"
        "sasl.username" = "ada"
        socket.timeout.ms = 9000
        socket.keepalive.enable = true
    """)
    monkeypatch.setenv("RINGWATCH_KAFKA_CLIENT", '{"sasl.password": "secret"}')
    assert load().kafka.properties() == {
        "logger": logging.getLogger("librdkafka"),
        "security.protocol": "SASL_SSL",
        "sasl.username": "ada",
        "sasl.password": "secret",
        "socket.timeout.ms": "9000",
        "socket.keepalive.enable": "true",
    }


def test_the_layers_below_have_the_same_defaults() -> None:
    assert Settings().writer() == WriterSettings()
    assert Settings().rings.expiry_days * 86_400_000 == RingSettings().expiry_ms
    assert Settings().rings.dismissal_days * 86_400_000 == RingSettings().dismissal_ms


def test_what_is_set_reaches_the_writer() -> None:
    writer = load(flags={"hubs.ip": 7, "resolution_ms": 1000}).writer()
    assert writer.hub_caps["IP"] == 7
    assert writer.resolution_ms == 1000


def test_the_example_file_holds_every_default() -> None:
    assert load(EXAMPLE) == Settings()
    given = tomllib.loads(EXAMPLE.read_text("utf-8"))
    text = EXAMPLE.read_text("utf-8")
    for name in Settings.model_fields:
        section = getattr(Settings(), name)
        keys = type(section).model_fields if isinstance(section, BaseModel) else [name]
        table = given.get(name, {}) if isinstance(section, BaseModel) else given
        for key in keys:
            assert key in table or re.search(rf"^#.*\b{key}\b", text, re.MULTILINE), f"{name}: {key}"


def test_every_setting_is_used() -> None:
    files = (ROOT / "ringwatch").rglob("*.py")
    code = "".join(file.read_text("utf-8") for file in files if file.name != "settings.py")
    reached_by = {"client": "properties", "hubs": "writer", "resolution_ms": "writer"}
    for name in Settings.model_fields:
        section = getattr(Settings(), name)
        is_table = isinstance(section, BaseModel) and name not in reached_by
        for key in type(section).model_fields if is_table else [name]:
            assert re.search(rf"\.{reached_by.get(key, key)}\b", code), f"nothing reads {name}: {key}"
