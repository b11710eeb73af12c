"""Every error that a caller can receive, with the HTTP status and the `type` of the contract.

    DaguerreError
    ├── InvalidRequestError           400  invalid_request_error
    │   ├── NotFoundError             404
    │   ├── MethodNotAllowedError     405
    │   ├── RequestTimeoutError       408
    │   ├── ConflictError             409
    │   ├── BodyTooLargeError         413
    │   └── RangeNotSatisfiableError  416
    ├── AuthenticationError           401  authentication_error
    ├── AccessDeniedError             403  authorization_error
    ├── RateLimitError                429  rate_limit_error       retry_after_s
    ├── UnavailableError              503  server_error           retry_after_s
    │   ├── QueueFullError
    │   └── NotReadyError
    ├── DeadlineExceededError         504  server_error
    ├── InternalError                 500  server_error
    └── SettingsError                 (never sent: one terminal line, exit status 2)

A message states the value received and what is allowed; `param` names the field.
"""

from __future__ import annotations

from typing import ClassVar


class DaguerreError(Exception):
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
        return _rebuild, (type(self), self.message, self.param, self.retry_after_s)


def _rebuild(
    cls: type[DaguerreError], message: str, param: str | None, retry_after_s: int | None
) -> DaguerreError:
    return cls(message, param=param, retry_after_s=retry_after_s)


class InvalidRequestError(DaguerreError):
    """A field, a header or the body is invalid; the message names it and what is allowed."""

    status = 400
    type = "invalid_request_error"


class NotFoundError(InvalidRequestError):
    """The path, the model or the link does not exist, or the link has expired."""

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
    """The API key belongs to another model."""

    status = 403
    type = "authorization_error"


class RateLimitError(DaguerreError):
    """Too many requests; `Retry-After` says when to try again."""

    status = 429
    type = "rate_limit_error"


class UnavailableError(DaguerreError):
    """The server cannot handle the request now; `Retry-After` says when to try again."""

    status = 503


class QueueFullError(UnavailableError):
    """The queue is full, or the request cannot finish before its deadline."""


class NotReadyError(UnavailableError):
    """The model is loading, or the server is shutting down."""


class DeadlineExceededError(DaguerreError):
    """The image was not finished within the deadline of the request."""

    status = 504


class InternalError(DaguerreError):
    """A server fault. The message contains the request ID, never a traceback."""


class SettingsError(DaguerreError):
    """A flag, an environment variable or the data directory is invalid; says how to fix it."""
