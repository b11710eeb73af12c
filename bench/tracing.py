"""The cost of a trace: what a request with an image costs more if tracing is on.

The time is CPU time, so other load affects it little. The spans are encoded, but not sent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from daguerre.params import ImageParams, Timings
from daguerre.server.http.request_context import RequestContext

_NUM_REQUESTS = 4000
_BATCH = 50  # requests between two messages to the collector
_PATH = "/v1/images/generations"
_SCOPE: dict[str, Any] = {
    "method": "POST",
    "path": _PATH,
    "scheme": "http",
    "http_version": "1.1",
    "headers": [(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
}


def cost_ms() -> tuple[float, float]:
    """CPU time of one trace with seven spans, in ms: in the request, and in the sending thread."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    from daguerre.server.tracing.spans import Tracing

    class Encoder:
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Encoder()))
    tracing, request_s, begun_s = Tracing(provider), 0.0, time.process_time()
    for _ in range(_NUM_REQUESTS // _BATCH):
        before_s = time.thread_time()
        for _ in range(_BATCH):
            trace = tracing.start(_SCOPE)
            assert trace is not None
            trace.end(_context())
        request_s += time.thread_time() - before_s
        provider.force_flush()
    total_s = time.process_time() - begun_s
    provider.shutdown()
    return request_s * 1000 / _NUM_REQUESTS, (total_s - request_s) * 1000 / _NUM_REQUESTS


def _context() -> RequestContext:
    context = RequestContext("request", "POST", "127.0.0.1", route=_PATH, path=_PATH, status=200)
    context.params, context.num_steps = ImageParams("model", "a red fox"), 8
    context.timings = Timings(queue_ms=1, encode_ms=2, denoise_ms=60, decode_ms=5)
    context.accepted = context.file_started = context.started
    context.file_ms = 8.0
    context.started -= 0.1
    context.accepted -= 0.09
    return context


def main(arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(prog="python -m bench tracing").parse_args(arguments)
    print("ms of CPU time per request: {:.2f}, and {:.2f} in the sending thread".format(*cost_ms()))
