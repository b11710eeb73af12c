"""Every error that a caller can receive, with its HTTP status and the `type` of the contract.

A message states the value received and what is allowed; `param` names the field.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

MAX_RETRY_AFTER_S = 59


class DaguerreError(Exception):
    """Base of all errors; can be pickled, also with its keywords."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        rebuild = partial(type(self), param=self.param, retry_after_s=self.retry_after_s)
        return rebuild, (self.message,)


class InvalidRequestError(DaguerreError):
    """A field, a header or the body is invalid; the message names it and what is allowed."""

    status = 400
    type = "invalid_request_error"


class NotFoundError(InvalidRequestError):
    """The path, the model or the image does not exist, or its signed URL has expired."""

    status = 404


class MethodNotAllowedError(InvalidRequestError):
    """The path exists, but not with this method."""

    status = 405


class RequestTimeoutError(InvalidRequestError):
    """The head or the body did not arrive in time."""

    status = 408


class ConflictError(InvalidRequestError):
    """The Idempotency-Key was used with a different request."""

    status = 409


class PreconditionFailedError(InvalidRequestError):
    """`If-Match` does not name the file's entity tag."""

    status = 412


class BodyTooLargeError(InvalidRequestError):
    """The body is over the size limit."""

    status = 413


class RangeNotSatisfiableError(InvalidRequestError):
    """The requested range is outside of the file."""

    status = 416


class AuthenticationError(DaguerreError):
    """The API key is missing or unknown."""

    status = 401
    type = "authentication_error"


class AccessDeniedError(DaguerreError):
    """The API key belongs to another model, whether or not the requested one exists."""

    status = 403
    type = "authorization_error"


class RateLimitError(DaguerreError):
    """Too many requests; `Retry-After` says when to try again."""

    status = 429
    type = "rate_limit_error"


class ConcurrencyLimitError(RateLimitError):
    """The key has too many requests in progress."""


class UnavailableError(DaguerreError):
    """The server cannot handle the request now; `Retry-After` says when to try again."""

    status = 503


class QueueFullError(UnavailableError):
    """The queue is full."""


class QueueTooLongError(QueueFullError):
    """The request cannot finish before its deadline, behind the jobs in the queue."""


class NotReadyError(UnavailableError):
    """The model is loading, or the server is shutting down."""


class DeadlineExceededError(DaguerreError):
    """The image was not finished within the deadline of the request."""

    status = 504


class InternalError(DaguerreError):
    """A server fault. The message contains the request ID, never a traceback."""


class SettingsError(DaguerreError):
    """A flag, an environment variable or the data directory is invalid; never sent to clients."""


def one_line(error: BaseException) -> str:
    """The error's class and the start of its message, without the stack that a runtime may add."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
