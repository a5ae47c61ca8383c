"""Metrics, liveness and readiness over HTTP: ``/metrics``, ``/livez`` and ``/readyz``.

What is measured is listed in :mod:`streaming.metrics`; what is healthy is decided in :mod:`ringwatch.health`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from threading import Thread

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, GCCollector, MetricsHandler, ProcessCollector

from graph.errors import ConfigurationError
from ringwatch.health import Health
from streaming.metrics import Metrics


@dataclass(frozen=True)
class Telemetry:
    """The instruments of this process and its health; ``port`` is where they are served, if they are."""

    metrics: Metrics
    health: Health
    port: int | None

    @classmethod
    @contextmanager
    def start(cls, host: str, port: int | None) -> Iterator[Telemetry]:
        """Serve on ``host`` and ``port`` until the block ends.

        Port 0 takes any free port; ``None`` records nothing and serves nothing.

        Raises:
            ConfigurationError: the address cannot be served on.
        """
        health = Health()
        if port is None:
            yield cls(Metrics.create(), health, None)
            return
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
        with ExitStack() as stack:
            provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
            stack.callback(provider.shutdown)
            server = stack.enter_context(_server(host, port, _handler(registry, health)))
            thread = Thread(target=server.serve_forever, name="telemetry", daemon=True)
            thread.start()
            stack.callback(server.shutdown)
            yield cls(Metrics.create(provider.get_meter("ringwatch")), health, server.server_port)


def _server(host: str, port: int, handler: type[MetricsHandler]) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"cannot serve telemetry on {host}:{port}: {error}") from error


def _handler(registry: CollectorRegistry, of: Health) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        """Answers 200 when all is well, 503 with the reason when not."""

        health = of

        def do_GET(self) -> None:  # noqa: N802 - http.server's name for it
            match self.path.partition("?")[0]:
                case "/metrics":
                    super().do_GET()
                case "/livez":
                    self._answer(self.health.stuck())
                case "/readyz":
                    self._answer(self.health.unready())
                case _:
                    self.send_error(404)

        def _answer(self, trouble: str | None) -> None:
            body = f"{trouble or 'ok'}\n".encode()
            self.send_response(503 if trouble else 200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    Handler.registry = registry
    return Handler
