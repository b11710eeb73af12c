"""The error object: how a `DaguerreError` becomes the one body that every failure has.

Also the responses for unknown paths and methods, and `OutageLog`, which logs the cause of an outage
that clients do not see.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daguerre.errors import (
    ConflictError,
    DaguerreError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    UnavailableError,
)
from daguerre.protocol.messages import quote_for_message, suggestion

# While a part is out of order every request fails alike: so often the log says why.
OUTAGE_LOG_S = 10.0

logger = logging.getLogger(__name__)


def error_body(error: DaguerreError) -> bytes:
    """ASCII only, so that even a message about broken text is sound JSON."""
    fields = {
        "code": error.status,
        "message": error.message,
        "type": error.type,
        "param": error.param,
    }
    return json.dumps({"error": fields}).encode("ascii")


def error_response(error: DaguerreError, headers: Mapping[str, str] | None = None) -> Response:
    all_headers = dict(headers or {})
    if error.status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    if error.status == ConflictError.status:
        # OpenAI's clients would send the same once more, to be told the same.
        all_headers["x-should-retry"] = "false"
    if error.retry_after_s is not None:
        all_headers["Retry-After"] = str(error.retry_after_s)
    return Response(error_body(error), error.status, all_headers, "application/json")


class OutageLog:
    """One line for what made a part of the server unavailable, at most one in `OUTAGE_LOG_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent_until_s = float("-inf")

    def note(self, error: DaguerreError) -> None:
        """A full queue or a loading model has no cause: that is no fault of any part."""
        cause, now_s = error.__cause__, self._clock()
        if not isinstance(error, UnavailableError) or cause is None or now_s < self._silent_until_s:
            return
        self._silent_until_s = now_s + OUTAGE_LOG_S
        # Of a database's error the later lines are the statement and its values.
        first, _, _ = str(cause).strip().partition("\n")
        logger.error("%s: %s: %s", error.message, type(cause).__name__, first)


def unrouted_response(request: Request, error: HTTPException, paths: Collection[str]) -> Response:
    """The answer where Starlette found no endpoint for this path, or none for this method."""
    path, allowed = request.url.path, sorted(dict(error.headers or {}).get("Allow", "").split(", "))
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join([*allowed, "OPTIONS"])})
    if error.status_code == 405:
        methods = ", ".join(allowed)
        quoted = quote_for_message(path)
        message = f"{request.method[:20]} is not allowed on {quoted}; allowed: {methods}"
        return error_response(MethodNotAllowedError(message), {"Allow": methods})
    if error.status_code == 404:
        return error_response(
            NotFoundError(f"there is no path {quote_for_message(path)}{suggestion(path, paths)}")
        )
    return error_response(InvalidRequestError(error.detail))
