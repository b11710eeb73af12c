"""Error responses with `Retry-After`, also for unknown paths and methods, and a log of outages."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daguerre.engine.interface import EngineStats
from daguerre.errors import (
    MAX_RETRY_AFTER_S,
    ConflictError,
    DaguerreError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    UnavailableError,
)
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.h11_connection import REASON_HEADER
from daguerre.server.http.logs import ThrottledLogger
from daguerre.validation import suggestion

LOADING_RETRY_AFTER_S = 5
_OTHER_API = re.compile(
    r"(/v1)?/(images/(edits|variations)|(chat/)?completions|responses|embeddings|moderations"
    r"|audio/\w+|videos|messages)|/sdapi/.*|/api/(generate|chat|tags)|(/openai|/v1)?/deployments/.*"
)
_ONLY_IMAGES = "; this server only generates images, with POST /v1/images/generations"
MAX_REASON_CHARS = 120
RECENT_S = 30.0

logger = logging.getLogger(__name__)


def error_body(error: DaguerreError) -> bytes:
    """The error object as ASCII JSON, which is valid even if the message quotes invalid text."""
    fields = {
        "code": error.status,
        "message": error.message,
        "type": error.type,
        "param": error.param,
    }
    return json.dumps({"error": fields}).encode("ascii")


def error_response(error: DaguerreError, headers: Mapping[str, str] | None = None) -> Response:
    """The response of `error`, with `WWW-Authenticate` and `Retry-After` where they apply."""
    all_headers = {**(headers or {}), REASON_HEADER: reason_phrase(error.message)}
    if error.status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    if error.status == ConflictError.status:
        # OpenAI's clients would retry a 409, in vain.
        all_headers["x-should-retry"] = "false"
    if error.retry_after_s is not None:
        all_headers["Retry-After"] = str(clamp_retry_after(error.retry_after_s))
    return Response(error_body(error), error.status, all_headers, "application/json")


def reason_phrase(message: str) -> str:
    """The first words of a message in printable ASCII, for clients that show nothing else."""
    text = re.sub(r"[^\x21-\x7e]+", " ", message.encode("ascii", "replace").decode()).strip()
    if len(text) <= MAX_REASON_CHARS:
        return text
    return text[: MAX_REASON_CHARS + 1].rpartition(" ")[0] or text[:MAX_REASON_CHARS]


def clamp_retry_after(seconds: float) -> int:
    """A value of `Retry-After`: whole seconds from 1 to 59."""
    return min(max(math.ceil(seconds), 1), MAX_RETRY_AFTER_S)


def retry_after_s(stats: EngineStats) -> int:
    """Estimated time until the accepted jobs are finished, in seconds."""
    return clamp_retry_after(stats.backlog_s) if stats.is_ready else LOADING_RETRY_AFTER_S


class OutageLog:
    """Log of the causes of 503s, which clients do not see; throttled by message."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        new_log = partial(ThrottledLogger, logger, "%d outages: %s: %s: %s", logging.ERROR, clock)
        self._logs: dict[str, ThrottledLogger] = defaultdict(new_log)
        self._clock, self._recorded_s = clock, dict[str, float]()  # message -> last time

    def record(self, error: DaguerreError) -> None:
        """Logs an outage. An error without a cause, such as a full queue, is none."""
        cause = error.__cause__
        if isinstance(error, UnavailableError) and cause is not None:
            first, _, _ = str(cause).strip().partition("\n")  # without an SQL statement's values
            self._logs[error.message].log(error.message, type(cause).__name__, first)
            self._recorded_s[error.message] = self._clock()

    def recent(self) -> list[str]:
        """The messages of the outages of the last `RECENT_S`."""
        since_s = self._clock() - RECENT_S
        return sorted(message for message, at_s in self._recorded_s.items() if at_s >= since_s)


def unrouted_response(request: Request, error: HTTPException, paths: Collection[str]) -> Response:
    """The response if no endpoint matches the path or the method."""
    path, sent = request.scope["path"], request.scope["raw_path"].decode("ascii")
    allowed = sorted(dict(error.headers or {}).get("Allow", "").split(", "))
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join([*allowed, "OPTIONS"])})
    quoted = quote_for_message(sent)
    if error.status_code == 405:
        methods = ", ".join(allowed)
        message = f"{request.method[:20]} is not allowed on {quoted}; allowed: {methods}"
        return error_response(MethodNotAllowedError(message), {"Allow": methods})
    if error.status_code == 404:
        hint = _ONLY_IMAGES if _OTHER_API.fullmatch(path) else suggestion(path, paths)
        message = f"the path {quoted} does not exist{hint}"
        return error_response(NotFoundError(message))
    return error_response(InvalidRequestError(error.detail))
