"""Spans of requests, in memory: names, parents, attributes, status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from daguerre.errors import InvalidRequestError, QueueFullError
from daguerre.params import ImageParams, Timings
from daguerre.server.http.request_context import RequestContext
from daguerre.server.tracing.spans import Tracing
from daguerre.storage.resources import Resource

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
PATH = "/v1/images/generations"
PARAMS = ImageParams("flat", "a secret prompt", negative_prompt="hidden", seed=7)
RESOURCE = Resource("id", "DIFFUSION", "flat", None, 1, "inf-abcd")


def scope(path: str = PATH, method: str = "POST", *headers: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "https",
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }


def spans_of(
    request: dict[str, Any], provider: TracerProvider | None = None, **fields: object
) -> tuple[dict[str, ReadableSpan], RequestContext]:
    """Name -> span of a request that ends with these fields of its context, and the context.

    `accepted` and `file_started` are in seconds after its start.
    """
    exporter = InMemorySpanExporter()
    provider = provider or TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace = Tracing(provider).start(request)
    context = RequestContext("req-1", request["method"], "203.0.113.9", trace=trace)
    context.route, context.path, context.resource = PATH, request["path"], RESOURCE
    for name, value in fields.items():
        setattr(context, name, value)
    if context.accepted is not None:
        context.accepted += context.started
    if context.file_started is not None:
        context.file_started += context.started
        context.ended = context.file_started + 1
    if trace:
        trace.end(context)
    return {span.name: span for span in exporter.get_finished_spans()}, context


def image_fields() -> dict[str, object]:
    timings = Timings(queue_ms=1, encode_ms=2, denoise_ms=30, decode_ms=4)
    return {
        "status": 200,
        "params": PARAMS,
        "num_steps": 4,
        "timings": timings,
        "accepted": 0.01,
        "file_started": 0.1,
        "file_ms": 5.0,
    }


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes)


def test_image() -> None:
    """A request has a server span, whose children are its stages in chronological order."""
    spans, _ = spans_of(scope(), **image_fields())
    *stages, root = spans.values()
    assert [span.name for span in stages] == [
        *("admission", "queue", "encode", "denoise", "decode", "file")
    ]
    assert root.name == f"POST {PATH}" and root.kind is SpanKind.SERVER and root.parent is None
    assert all(span.parent == root.context for span in stages)
    assert root.status.status_code is StatusCode.UNSET
    assert all((span.end_time or 0) >= (span.start_time or 0) > 0 for span in spans.values())
    assert (root.start_time or 0) <= min(span.start_time or 0 for span in stages)
    assert (root.end_time or 0) > max(span.end_time or 0 for span in stages)
    assert attributes(root) == {
        "url.scheme": "https",
        "url.path": PATH,
        "network.protocol.version": "1.1",
        "http.request.method": "POST",
        "http.route": PATH,
        "http.response.status_code": 200,
        "client.address": "203.0.113.9",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "daguerre",
        "gen_ai.output.type": "image",
        "gen_ai.request.model": "flat",
        "gen_ai.request.seed": 7,
        "daguerre.request_id": "req-1",
        "daguerre.resource": "DIFFUSION",
        "daguerre.size": "1024x1024",
        "daguerre.steps": 4,
    }


def test_parent() -> None:
    """A `traceparent` is the parent, and the response names the trace and the new span."""
    spans, context = spans_of(scope(PATH, "POST", ("traceparent", TRACEPARENT)), status=200)
    [root] = spans.values()
    assert root.parent and f"{root.parent.span_id:016x}" == PARENT_ID
    assert f"{root.context.trace_id:032x}" == TRACE_ID
    assert context.trace and context.log_fields()["trace_id"] == TRACE_ID
    assert context.trace.response_header == f"00-{TRACE_ID}-{root.context.span_id:016x}-01"


@pytest.mark.parametrize(
    "sent",
    [
        ["hello"],
        [TRACEPARENT.replace("00-", "ff-", 1)],
        [TRACEPARENT.upper()],
        ["00-" + "0" * 32 + f"-{PARENT_ID}-01"],
        [TRACEPARENT, TRACEPARENT.replace("4bf9", "4bfa")],
    ],
)
def test_invalid_parent(sent: list[str]) -> None:
    """A malformed `traceparent`, or several, count as none."""
    headers = [("traceparent", value) for value in sent]
    spans, _ = spans_of(scope(PATH, "POST", *headers), status=200)
    [root] = spans.values()
    assert root.parent is None and f"{root.context.trace_id:032x}" != TRACE_ID


def test_unsampled_parent() -> None:
    """A parent that is not sampled gets no spans, but its trace ID is logged."""
    header = ("traceparent", TRACEPARENT[:-1] + "0")
    spans, context = spans_of(scope(PATH, "POST", header), **image_fields())
    assert spans == {} and context.log_fields()["trace_id"] == TRACE_ID
    assert context.trace and context.trace.response_header.endswith("-00")


def test_not_sampled() -> None:
    """A sampler that drops the request makes no spans."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    assert spans_of(scope(), provider, **image_fields())[0] == {}


def test_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OTEL_SDK_DISABLED, a request has no trace."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    spans, context = spans_of(scope(), status=200)
    assert spans == {} and context.trace is None and "trace_id" not in context.log_fields()


def test_refusal() -> None:
    """A refusal by the server is an error of the request and of its admission."""
    error = QueueFullError("64 jobs are queued; 'a secret prompt' is not accepted")
    spans, _ = spans_of(scope(), status=503, error=error, params=PARAMS)
    assert set(spans) == {"admission", f"POST {PATH}"}
    for span in spans.values():
        assert span.status.status_code is StatusCode.ERROR and span.status.description is None
        assert attributes(span)["error.type"] == "QueueFullError"


def test_failure_after_the_admission() -> None:
    """A failure of an accepted job is an error of the request, not of its admission."""
    fields = {"status": 503, "error": QueueFullError("x"), "params": PARAMS, "accepted": 1.0}
    spans, _ = spans_of(scope(), **fields)
    assert "error.type" not in attributes(spans["admission"])
    assert spans["admission"].status.status_code is StatusCode.UNSET


def test_error_of_the_client() -> None:
    """An error of the client has its type, and no status, as the conventions require."""
    error = InvalidRequestError("prompt is 'a secret prompt'", param="prompt")
    spans, _ = spans_of(scope(), status=400, error=error)
    [root] = spans.values()
    assert attributes(root)["error.type"] == "InvalidRequestError"
    assert attributes(root)["daguerre.param"] == "prompt"
    assert root.status.status_code is StatusCode.UNSET


def test_disconnect() -> None:
    """A client that disconnected received no status."""
    [root] = spans_of(scope())[0].values()
    assert attributes(root)["error.type"] == "ClientDisconnect"
    assert "http.response.status_code" not in attributes(root)


def test_unknown_method_and_path() -> None:
    """The name of a span is never a word of the client."""
    spans, _ = spans_of(scope("/x" * 5000, "BREW"), status=405, route="other", resource=None)
    [root] = spans.values()
    assert root.name == "HTTP" and attributes(root)["http.request.method"] == "_OTHER"
    assert not {"http.route", "daguerre.resource"} & set(attributes(root))
    assert len(str(attributes(root)["url.path"])) == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes(path: str) -> None:
    """Probes and scrapes have no trace."""
    spans, context = spans_of(scope(path, "GET"), status=200)
    assert spans == {} and context.trace is None


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    yield
