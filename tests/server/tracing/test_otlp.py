"""The exporter and its variables, with a receiver of OTLP over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import MODEL, PATIENCE_S, running, wait_until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from daguerre.errors import QueueFullError, SettingsError
from daguerre.server.tracing import open_tracing
from daguerre.server.tracing.otlp import open_provider

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Receiver:
    """What a collector has received."""

    def __init__(self) -> None:
        self.resources: list[ResourceSpans] = []
        self.paths: set[str] = set()
        self.headers: dict[str, str] = {}
        self.text = b""

    def spans(self) -> list[Span]:
        scopes = (scope for resource in self.resources for scope in resource.scope_spans)
        return [span for scope in scopes for span in scope.spans]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans() if span.name == name]


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    """A receiver, and its address."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.paths.add(self.path)
            received.headers.update(self.headers.items())
            received.text += body
            received.resources += ExportTraceServiceRequest.FromString(body).resource_spans
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_spans_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector receives the spans of images, streams and refusals, without prompt and key."""
    with receiving() as (received, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=images")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        with running(tmp_path, tracing=True) as server:
            sent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
            fields = {"model": MODEL, "prompt": "confidential"}
            answer = server.post(fields, traceparent=sent)
            assert answer.headers["traceresponse"].startswith(f"00-{TRACE_ID}-")
            streamed = server.post({**fields, "stream": True})
            assert streamed.headers["traceresponse"] and b"completed" in streamed.content
            server.engine.refusal = QueueFullError("confidential")
            assert server.post(fields).status_code == 503
            server.client.get("/readyz")
            root = "POST /v1/images/generations"
            wait_until(lambda: len(received.named(root)) == 3)
            key = server.key
        [first] = [s for s in received.named(root) if s.trace_id.hex() == TRACE_ID]
        assert first.parent_span_id.hex() == "00f067aa0ba902b7"
        children = [s.name for s in received.spans() if s.parent_span_id == first.span_id]
        assert children == ["admission", "queue", "encode", "denoise", "decode", "file"]
        assert len(received.named("denoise")) == 2
        assert len(received.named("admission")) == 3
        assert len(received.spans()) == 6 + 1 + 6 + 1 + 2
        assert received.paths == {"/v1/traces"} and received.headers["x-tenant"] == "images"
        resource = {a.key: a.value.string_value for a in received.resources[0].resource.attributes}
        assert resource["service.name"] == "daguerre"
        assert resource["deployment.environment.name"] == "test"
        assert b"confidential" not in received.text and key.encode() not in received.text
        assert key[:8].encode() not in received.text


def test_malformed_headers_are_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client cannot write to the log with the headers of a trace."""
    sent = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
    with receiving() as (_, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with running(tmp_path, tracing=True) as server:
            for state in ("a secret", "x" * 9000):
                answer = server.client.get("/v1/models", headers={**sent, "tracestate": state})
                assert TRACE_ID in answer.headers["traceresponse"]
            server.client.get("/v1/models", headers={"traceparent": "x" * 900})
    assert [each for each in caplog.records if each.name.startswith("opentelemetry")] == []


def test_last_spans_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the server sends what waits, with the name of the service that is set."""
    with receiving() as (received, url):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/custom")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "pictures")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        with running(tmp_path, tracing=True) as server:
            server.client.get("/v1/models")
            assert received.resources == []
        assert [span.name for span in received.spans()] == ["GET /v1/models"]
        assert received.paths == {"/custom"}
        attributes = received.resources[0].resource.attributes
        assert "pictures" in [each.value.string_value for each in attributes]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is 'grpc'; it must be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "it must be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "such as http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "is 'http://'; it must be an address"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "max_queue_size must be a positive integer"),
    ],
)
def test_bad_variable(name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with which no span would arrive is an error with the variable and the rule."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name[:9]) as caught:
        open_provider()
    assert words in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "variables",
    [
        {"PROTOCOL": "grpc", "TRACES_PROTOCOL": "http/protobuf"},
        {"ENDPOINT": "localhost:4317", "TRACES_ENDPOINT": "http://localhost:4318/v1/traces"},
        {"PROTOCOL": "", "TRACES_PROTOCOL": "", "ENDPOINT": "", "TRACES_ENDPOINT": ""},
    ],
)
def test_variables_that_do_not_count(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable for traces comes before the general one, and an empty one is not set."""
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    open_provider().shutdown()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry, the error names the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    monkeypatch.delitem(sys.modules, "daguerre.server.tracing.otlp")
    with pytest.raises(SettingsError, match=r"pip install 'daguerre\[otel\]'"):
        open_tracing()


def test_off_imports_nothing(tmp_path: Path) -> None:
    """Without the setting, no module of OpenTelemetry is imported."""
    code = """
import sys
from pathlib import Path
from conftest import FakeEngine
from daguerre.config import Settings
from daguerre.server.app import create_app
from daguerre.storage.resources import ResourceStore
settings = Settings(home=Path(sys.argv[1]))
create_app(settings, FakeEngine(), ResourceStore.open("", settings.data_dir()))
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
