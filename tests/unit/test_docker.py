"""The image and the compose file, checked without an engine: hadolint, `compose config`, and what they promise."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
TOOLS = Path(sys.executable).parent
SECRETS = {"NEO4J_PASSWORD": "only-for-this-test", "RINGWATCH_CARD_KEY": "only-for-this-test-too"}


def compose(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker compose config` with these variables and no .env file of the developer's own."""
    files = ["--file", str(DOCKER / "compose.yaml"), "--env-file", str(DOCKER / ".env.example")]
    files += ["--profile", "scores"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(
        [str(TOOLS / "docker-compose"), *files, "config", "--format", "json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    result = compose(SECRETS)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["services"]
    return found


def stages() -> list[str]:
    return re.split(r"^FROM ", (DOCKER / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)[1:]


def test_hadolint_has_nothing_to_say() -> None:
    result = subprocess.run(
        [TOOLS / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_no_image_runs_as_root() -> None:
    images = [stage for stage in stages() if "ENTRYPOINT" in stage]
    assert len(images) == 2
    for image in images:
        users = re.findall(r"^USER (.+)$", image, re.MULTILINE)
        assert users
        assert not users[-1].startswith(("root", "0"))


def test_the_image_holds_every_package_and_nothing_of_the_tests() -> None:
    setup = configparser.ConfigParser()
    setup.read(DOCKER.parent / "setup.cfg", "utf-8")
    packages = {name.partition(".")[0] for name in setup["options"]["packages"].split()}
    copied = {line.split()[1] for line in stages()[0].splitlines() if re.match(r"COPY (\w+) \1$", line)}
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert copied == packages
    assert "*" in ignored
    assert {f"!{package}" for package in packages} <= set(ignored)


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_refuses_to_start_without_a_secret_and_names_it(missing: str) -> None:
    result = compose({name: value for name, value in SECRETS.items() if name != missing})
    assert result.returncode != 0
    assert f"required variable {missing} is missing" in result.stderr


def test_the_example_of_secrets_holds_none() -> None:
    lines = (DOCKER / ".env.example").read_text("utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {f"{name}=" for name in SECRETS}


def test_every_published_port_is_on_loopback(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_every_service_is_limited_pinned_and_unprivileged(services: dict[str, Any]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["cpus"], name
        assert limits["memory"], name
        assert not service.get("privileged"), name
        assert "no-new-privileges:true" in service["security_opt"], name
        if "build" not in service:
            assert re.search(r":\d+\.\d+", service["image"]), name


def test_every_service_that_stays_has_a_health_check(services: dict[str, Any]) -> None:
    assert re.search(r"^HEALTHCHECK ", stages()[-1], re.MULTILINE)
    for name, service in services.items():
        if service["restart"] == "unless-stopped":
            assert "healthcheck" in service or "build" in service, name


def test_the_image_answers_where_its_health_check_and_compose_ask(services: dict[str, Any]) -> None:
    served = re.search(r"RINGWATCH_TELEMETRY_PORT=(\d+)", stages()[-1])
    asked = re.search(r"http://127\.0\.0\.1:(\d+)/livez", stages()[-1])
    published = services["ringwatch"]["ports"][0]["target"]
    assert served
    assert asked
    assert served[1] == asked[1] == str(published)


def test_ringwatch_runs_from_topic_to_topic_and_every_topic_is_made(services: dict[str, Any]) -> None:
    flags = dict(part.removeprefix("--").split("=", 1) for part in services["ringwatch"]["command"][1:])
    made = set(re.findall(r"^create (\S+) \d+$", services["topics"]["command"][0], re.MULTILINE))
    used = {flags[name].removeprefix("kafka://kafka:9092/") for name in ("source", "alerts", "dead-letters")}
    assert used == made
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert services["ringwatch"]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert services["ringwatch"]["depends_on"]["neo4j"]["condition"] == "service_healthy"


@pytest.mark.parametrize("service", ["ringwatch", "score"])
def test_ringwatch_knows_every_flag_that_compose_gives_it(services: dict[str, Any], service: str) -> None:
    command, *flags = services[service]["command"]
    help_text = subprocess.run(
        [sys.executable, "-c", "from ringwatch.cli import main; main()", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    ).stdout
    for flag in flags:
        assert flag.partition("=")[0] in help_text


def test_the_graph_gets_the_password_that_ringwatch_uses(services: dict[str, Any]) -> None:
    ringwatch = services["ringwatch"]["environment"]
    assert services["neo4j"]["environment"]["NEO4J_AUTH"] == (
        f"{ringwatch['RINGWATCH_GRAPH_USER']}/{ringwatch['RINGWATCH_GRAPH_PASSWORD']}"
    )
