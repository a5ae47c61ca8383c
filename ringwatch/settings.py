"""What can be set, and from where: a TOML file, then ``RINGWATCH_*`` variables, then flags; the later ones win.

A variable is named after its section and key: ``user`` in ``[graph]`` is ``RINGWATCH_GRAPH_USER``, and a key
outside any section, like ``card_key``, is ``RINGWATCH_CARD_KEY``. Lists and tables are JSON there. Settings never
change once loaded, and no secret is ever printed.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from graph.errors import ConfigurationError
from graph.writer import WriterSettings
from streaming.dense_block import DensitySettings

#: Read when it is there and no other file is named.
DEFAULT_FILE = Path("ringwatch.toml")

_PREFIX = "RINGWATCH_"
_CAPS = WriterSettings().hub_caps
_DENSITY = DensitySettings()

#: Properties of the Kafka client that carry Ringwatch's promises, and those that have a place of their own.
_FIXED_PROPERTIES = {
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "partition.assignment.strategy",
    "transactional.id",
}

Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the settings file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_credentials(address: str) -> str:
    if urlsplit(address).username is not None:
        raise PydanticCustomError("secret", "credentials go in graph.user and graph.password, not in the address")
    return address


class GraphSection(Section):
    """Where the graph is; an embedded one has credentials of its own."""

    address: Annotated[str, AfterValidator(_without_credentials)] = "embedded"
    user: str = "neo4j"
    password: SecretStr | None = None
    database: str | None = None


class StreamSection(Section):
    """A batch closes at ``batch_size`` events or after ``batch_ms``; later than ``lateness_s`` counts as late."""

    batch_size: Positive = 2000
    batch_ms: Positive = 100
    lateness_s: Annotated[int, Field(ge=0)] = 300


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a parameter is a number")
    return value


class RulesSection(Section):
    """Rules beside the shipped ones, rules switched off, and parameters set by rule id and name.

    A rule may take ``budget_factor`` times the budget of its header before its anchors are put off.
    """

    folder: Path | None = None
    disabled: frozenset[str] = frozenset()
    parameters: dict[str, dict[str, Annotated[int | float, BeforeValidator(_number)]]] = {}
    budget_factor: Annotated[float, Field(gt=0)] = 20.0


class BreakerSection(Section):
    """A rule that suddenly fires on a large share of its anchors is muted for ``mute_minutes`` of event time.

    That is on more than ``anchors``, on more than ``share`` of those touched, and ``times_norm`` its usual share.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    anchors: Positive = 100
    times_norm: Annotated[float, Field(ge=1)] = 5.0
    mute_minutes: Positive = 15


class HubsSection(Section):
    """Above how many neighbours (an account: senders to it) an entity connects too many to be evidence."""

    account: Positive = _CAPS["Account"]
    address: Positive = _CAPS["Address"]
    device: Positive = _CAPS["Device"]
    email: Positive = _CAPS["Email"]
    ip: Positive = _CAPS["IP"]
    merchant: Positive = _CAPS["Merchant"]
    phone: Positive = _CAPS["Phone"]


class RingsSection(Section):
    """Event time: a ring expires ``expiry_days`` after its last finding; a dismissal holds ``dismissal_days``."""

    expiry_days: Positive = 30
    dismissal_days: Positive = 30


def _flattened(properties: Any) -> Any:
    """``sasl.mechanism = "PLAIN"`` without quotes nests in TOML; librdkafka wants flat names and strings."""
    if not isinstance(properties, dict):
        return properties
    flat = dict(_leaves(properties))
    if fixed := sorted(_FIXED_PROPERTIES & flat.keys()):
        raise ValueError(f"{', '.join(fixed)} cannot be set here: Ringwatch's delivery promises rest on it")
    return flat


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            yield prefix + key, str(value).lower()
        else:
            yield prefix + key, str(value) if isinstance(value, int | float) else value


class DensitySection(Section):
    """The search for rings that no rule names: when a block is dense, and how many transactions it holds.

    A payment counts half after ``half_life_s`` of event time; a block has ``min_owners`` different owners or more.
    """

    enabled: bool = True
    half_life_s: Positive = _DENSITY.half_life_ms // 1000
    min_density: Annotated[float, Field(gt=0)] = _DENSITY.min_density
    min_owners: Annotated[int, Field(ge=2)] = _DENSITY.min_owners
    max_transactions: Positive = 100_000


class ScoresSection(Section):
    """Learned scores: where models are registered, and when risky payments that hang together make a ring.

    That is payments of a probability of ``min_risk`` or more, of ``min_owners`` different owners or more.
    """

    models: str | None = None
    min_risk: Annotated[float, Field(gt=0, lt=1)] = 0.1
    min_owners: Annotated[int, Field(ge=2)] = 3


class KafkaSection(Section):
    """The consumer group, and librdkafka's own properties (``[kafka.client]``), for TLS and SASL for example."""

    group: str = "ringwatch"
    client: Annotated[dict[str, SecretStr], BeforeValidator(_flattened)] = {}

    def properties(self) -> dict[str, Any]:
        """The client's properties in clear, for it alone; it logs where Ringwatch logs."""
        clear = {name: value.get_secret_value() for name, value in self.client.items()}
        return {"logger": logging.getLogger("librdkafka"), **clear}


class TelemetrySection(Section):
    """Where ``/metrics``, ``/livez`` and ``/readyz`` are served; nowhere without a port."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None


class DeadLettersSection(Section):
    """Ringwatch stops when more than ``limit_share`` of the last ``window`` events had to be dead-lettered."""

    limit_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    window: Positive = 10_000


class LogSection(Section):
    """``auto`` is readable text on a terminal, and JSON, one object per line, elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Settings(BaseSettings):
    """All settings. Made directly, they are the defaults and what is passed; :func:`load` reads the rest."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=_PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
    )

    card_key: SecretStr | None = None
    retention_days: Positive = 90
    resolution_ms: Annotated[int, Field(ge=1, le=60_000)] = 60_000  # rules allow for a minute
    graph: GraphSection = GraphSection()
    stream: StreamSection = StreamSection()
    rules: RulesSection = RulesSection()
    breaker: BreakerSection = BreakerSection()
    hubs: HubsSection = HubsSection()
    rings: RingsSection = RingsSection()
    density: DensitySection = DensitySection()
    scores: ScoresSection = ScoresSection()
    kafka: KafkaSection = KafkaSection()
    telemetry: TelemetrySection = TelemetrySection()
    dead_letters: DeadLettersSection = DeadLettersSection()
    log: LogSection = LogSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed: the layers are laid in :func:`load`, in plain sight."""
        return (init_settings,)

    def writer(self) -> WriterSettings:
        """What the graph writer needs of these."""
        caps = {label: getattr(self.hubs, label.lower()) for label in _CAPS}
        return WriterSettings(resolution_ms=self.resolution_ms, hub_caps=caps)


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings: the file, over it the environment, over that the flags.

    Without ``config``, ``./ringwatch.toml`` is read if it exists. ``flags`` are by dotted key (``graph.address``);
    one that is ``None`` was not given.

    Raises:
        ConfigurationError: a file that cannot be read, an unknown key or a wrong value; one line says which.
    """
    values = _merged(_read(config), _Environment(Settings)())
    for key, value in (flags or {}).items():
        if value is not None:
            values = _merged(values, _nested(key, value))
    try:
        return Settings(**values)
    except ValidationError as error:
        # Without the cause: it quotes values, and a value may be a secret.
        raise ConfigurationError("; ".join(map(_explained, error.errors(include_url=False)))) from None


class _Environment(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            names = (n for n, text in os.environ.items() if n.upper().startswith(_PREFIX) and text == value)
            raise ConfigurationError(f"{next(names)} must be JSON: {error}") from None


def _read(config: Path | None) -> dict[str, Any]:
    path = config or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise ConfigurationError(f"the settings file {config} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"the settings file {path} cannot be read: {error}") from error


def _nested(key: str, value: Any) -> dict[str, Any]:
    section, _, rest = key.partition(".")
    return {section: _nested(rest, value) if rest else value}


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _explained(error: ErrorDetails) -> str:
    """One error in words: the key, the variable that set it, and the value unless it may be a secret."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if (variable := _PREFIX + "_".join(path[:2]).upper()) in os.environ:
        key = f"{key} ({variable})"
    model: Any = Settings
    for name in path:
        fields = model.model_fields
        if name not in fields:
            return f"{key} is not a setting; there are {', '.join(fields)}"
        annotation = fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    message = error["msg"].removeprefix("Value error, ")
    secret = error["type"] == "secret" or "SecretStr" in str(annotation)
    return f"{key}: {message}" if secret else f"{key} = {error['input']!r}: {message}"
