"""State of one request: filled in by the endpoints, then logged, counted and traced."""

from __future__ import annotations

import math
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from daguerre.errors import DaguerreError
from daguerre.params import BatchingMode, ImageParams, JobContext, Timings
from daguerre.storage.rate_limits import Window
from daguerre.storage.resources import Resource

# nginx's status for a client that disconnected: only in the log and the metrics, never sent.
CLIENT_CLOSED_REQUEST = 499
UNROUTED = "other"
VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Other methods are not logged: a client could send a word as long as a request head.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_PATH_CHARS = 200


class RequestTrace(Protocol):
    """The trace of one request; see `daguerre.server.tracing.spans`."""

    @property
    def trace_id(self) -> str: ...

    @property
    def response_header(self) -> str: ...

    def end(self, context: RequestContext) -> None: ...


@dataclass(slots=True)
class RequestContext:
    """State of one request, filled in by the endpoints and logged at its end."""

    request_id: str
    method: str
    client: str = ""  # IP address
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    route: str = UNROUTED
    path: str = ""  # without the query, percent-encoded
    error: DaguerreError | None = None
    status: int = CLIENT_CLOSED_REQUEST
    timeout_s: float = math.inf
    exit_stack: ExitStack = field(default_factory=ExitStack)  # permits, released at the end
    resource: Resource | None = None
    rate_limit_window: Window | None = None  # as last read
    params: ImageParams | None = None
    batching: BatchingMode = "exact"
    num_steps: int = 0
    accepted: float | None = None  # when the engine accepted the job
    timings: Timings | None = None
    file_started: float | None = None  # when there were pixels, or work on a stored image began
    file_ms: float = 0.0
    trace: RequestTrace | None = None  # if tracing is on
    cache: str = ""  # hit or miss if the image store is used

    @classmethod
    def of(cls, request: Request) -> RequestContext:
        context = request.state.context
        assert isinstance(context, cls), "the endpoint has no middleware. This is a bug."
        return context

    def total_s(self) -> float:
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def remaining_s(self) -> float:
        """Time until the deadline."""
        return self.timeout_s - self.total_s()

    def job_context(self, *, wants_progress: bool) -> JobContext:
        assert self.resource, "the request is not authenticated. This is a bug."
        return JobContext(self.resource.id, self.request_id, self.remaining_s(), wants_progress)

    def end_file(self) -> None:
        """Ends the last stage of an image: its file is encoded, and the body is complete."""
        assert self.file_started is not None, "the file has not begun. This is a bug."
        self.file_ms = (time.monotonic() - self.file_started) * 1000

    def stages_ms(self) -> dict[str, float]:
        """Stage -> milliseconds, in chronological order."""
        if (timings := self.timings) is None:
            return {}
        return {
            "queue": timings.queue_ms,
            "encode": timings.encode_ms,
            "denoise": timings.denoise_ms,
            "decode": timings.decode_ms,
            "file": self.file_ms,
        }

    def log_line(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.log_fields().items())

    def log_fields(self) -> dict[str, str | int]:
        """Fields of the log line; neither prompts nor the key."""
        fields: dict[str, str | int] = {
            "request_id": self.request_id,
            "client": self.client or "-",
            "resource": self.resource.alias if self.resource else "-",
            "method": self.method if self.method in METHODS else "-",
            "route": self.route,
            "status": self.status,
            "total_ms": round(self.total_s() * 1000),
        }
        if self.trace:
            fields["trace_id"] = self.trace.trace_id
        if self.route == UNROUTED:
            fields["path"] = self.path[:MAX_PATH_CHARS]
        if self.error:
            fields["error_type"] = type(self.error).__name__
            # Unlike a field's name, text that a client sends as one may have spaces.
            if VALID_ID.fullmatch(self.error.param or ""):
                fields["param"] = str(self.error.param)
        if self.params:
            fields |= {"size": f"{self.params.width}x{self.params.height}", "steps": self.num_steps}
        if self.timings:
            timings = self.timings
            inference_ms = timings.encode_ms + timings.denoise_ms + timings.decode_ms
            fields |= {"queue_ms": round(timings.queue_ms), "inference_ms": round(inference_ms)}
        return fields
