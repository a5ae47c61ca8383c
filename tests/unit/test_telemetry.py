"""Metrics, liveness and readiness, asked for over HTTP as an orchestrator would."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.metrics import Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from graph.errors import ConfigurationError
from ringwatch.health import Health
from ringwatch.telemetry import Telemetry
from streaming.metrics import Levels, Metrics, definitions

ROOT = Path(__file__).parents[2]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    with Telemetry.start("127.0.0.1", 0) as started:
        yield started


def get(telemetry: Telemetry, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{telemetry.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text = get(telemetry, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def record_everything(metrics: Metrics) -> set[str]:
    """Use every instrument once; the names that must then be on the wire."""
    names = set()
    for name, kind, about in definitions():
        labels = dict.fromkeys(about.labels, "x")
        instrument = getattr(metrics, name)
        if kind is Counter:
            instrument.add(1, labels)
            names.add(f"ringwatch_{name}_total")
        elif kind is Histogram:
            instrument.record(0.3, labels)
            names.add(f"ringwatch_{name}_count")
        else:
            instrument.replace({"x": 1.0})
            names.add(f"ringwatch_{name}")
    return names


def test_every_metric_reaches_the_wire_under_its_own_name(telemetry: Telemetry) -> None:
    names = record_everything(telemetry.metrics)
    assert names <= {name for name, _ in samples(telemetry)}


def test_every_metric_says_what_it_means_and_has_few_labels() -> None:
    for name, kind, about in definitions():
        assert kind in (Counter, Histogram, Levels), name
        assert about.meaning.endswith("."), name
        assert len(about.labels) <= 2, name
        assert (kind is Histogram) <= name.endswith("_seconds"), name


def test_every_metric_is_recorded_somewhere() -> None:
    files = [file for package in ("streaming", "ringwatch") for file in (ROOT / package).rglob("*.py")]
    code = "".join(file.read_text("utf-8") for file in files if file.name != "metrics.py")
    assert {name for name, _, _ in definitions() if not re.search(rf"metrics\.{name}\b", code)} == set()


def test_counters_add_up_by_label(telemetry: Telemetry) -> None:
    telemetry.metrics.dead_letters.add(2, {"reason": "not_json"})
    telemetry.metrics.dead_letters.add(3, {"reason": "not_json"})
    telemetry.metrics.dead_letters.add(1, {"reason": "conflict"})
    seen = samples(telemetry)
    assert seen["ringwatch_dead_letters_total", (("reason", "not_json"),)] == 5
    assert seen["ringwatch_dead_letters_total", (("reason", "conflict"),)] == 1


def test_batch_times_fall_into_buckets_of_seconds(telemetry: Telemetry) -> None:
    telemetry.metrics.batch_seconds.record(0.03, {"phase": "write"})
    seen = samples(telemetry)
    assert seen["ringwatch_batch_seconds_bucket", (("le", "0.025"), ("phase", "write"))] == 0
    assert seen["ringwatch_batch_seconds_bucket", (("le", "0.05"), ("phase", "write"))] == 1


def test_the_lag_of_a_lost_partition_is_no_longer_reported(telemetry: Telemetry) -> None:
    telemetry.metrics.lag.replace({"transactions/0": 5, "transactions/1": 7})
    telemetry.metrics.lag.replace({"transactions/1": 6})
    lags = {labels: value for (name, labels), value in samples(telemetry).items() if name == "ringwatch_lag"}
    assert lags == {(("partition", "transactions/1"),): 6}


def test_the_process_itself_is_measured(telemetry: Telemetry) -> None:
    assert samples(telemetry)["process_resident_memory_bytes", ()] > 0


def test_two_may_run_in_one_process(telemetry: Telemetry) -> None:
    with Telemetry.start("127.0.0.1", 0) as other:
        other.metrics.accepted.add(1)
        assert ("ringwatch_accepted_total", ()) in samples(other)
        assert ("ringwatch_accepted_total", ()) not in samples(telemetry)


def test_a_worker_that_starts_is_alive_but_not_ready(telemetry: Telemetry) -> None:
    assert get(telemetry, "/livez") == (200, "ok\n")
    assert get(telemetry, "/readyz") == (503, "starting\n")


def test_a_worker_that_works_is_ready(telemetry: Telemetry) -> None:
    telemetry.health.beat()
    assert get(telemetry, "/livez") == (200, "ok\n")
    assert get(telemetry, "/readyz") == (200, "ok\n")


def test_a_worker_that_waits_for_the_graph_is_alive_but_not_ready(telemetry: Telemetry) -> None:
    telemetry.health.beat()
    telemetry.health.wait("the graph does not answer")
    assert get(telemetry, "/livez") == (200, "ok\n")
    assert get(telemetry, "/readyz") == (503, "the graph does not answer\n")


def test_other_paths_are_not_found(telemetry: Telemetry) -> None:
    assert get(telemetry, "/")[0] == 404


def test_a_silent_loop_is_stuck_and_a_waiting_one_is_not() -> None:
    clock = Clock()
    health = Health(patience_s=60, clock=clock)
    health.beat()
    clock.now += 60
    assert health.stuck() is None
    clock.now += 1
    assert health.stuck() == "no progress for 61 s"
    assert health.unready() == "no progress for 61 s"
    health.wait("the broker does not answer")
    clock.now += 3600
    assert health.stuck() is None
    assert health.unready() == "the broker does not answer"
    health.beat()
    assert health.unready() is None


def test_without_a_port_nothing_is_served_and_measuring_costs_nothing() -> None:
    with Telemetry.start("127.0.0.1", None) as telemetry:
        assert telemetry.port is None
        record_everything(telemetry.metrics)


def test_the_port_is_free_again_afterwards() -> None:
    with Telemetry.start("127.0.0.1", 0) as telemetry:
        port = telemetry.port
    with Telemetry.start("127.0.0.1", port) as telemetry:
        assert get(telemetry, "/livez")[0] == 200


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"cannot serve telemetry on 127.0.0.1:{port}: .*in use"),
            Telemetry.start("127.0.0.1", port),
        ):
            pass
