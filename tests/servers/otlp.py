"""A collector on loopback that takes OTLP over HTTP and decodes it with the vendor's own messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override


@dataclass
class Collector:
    """`status` is what it answers; with `hold` it answers nothing until that is set."""

    url: str = ""
    status: int = 200
    hold: threading.Event | None = None
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/v1/traces"):
            request = ExportTraceServiceRequest.FromString(body)
            for told in request.resource_spans:
                self.resources.append(attributes(told.resource))
                for scope in told.scope_spans:
                    self.spans.extend(scope.spans)
        elif path.endswith("/v1/metrics"):
            for each in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in each.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in scope.metrics})
        else:
            raise ValueError(path)

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(told: Any) -> dict[str, Any]:
    found = {}
    for pair in told.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


@contextmanager
def collecting(status: int = 200, hold: threading.Event | None = None) -> Generator[Collector]:
    collector = Collector(status=status, hold=hold)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({k.lower(): v for k, v in self.headers.items()})
            collector.take(self.path, body)
            if collector.hold is not None:
                collector.hold.wait()
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            if hold is not None:
                hold.set()
            server.shutdown()
            thread.join()
