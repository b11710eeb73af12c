"""Every error that a caller can meet, with the HTTP status and the type the contract gives it.

    DaguerreError
    ├── InvalidRequest            400  invalid_request_error
    │   ├── NotFound              404
    │   ├── MethodNotAllowed      405
    │   ├── BodyTimeout           408
    │   ├── Conflict              409
    │   ├── BodyTooLarge          413
    │   └── RangeNotSatisfiable   416
    ├── AuthenticationFailed      401  authentication_error
    ├── AccessDenied              403  authorization_error
    ├── RateLimited               429  rate_limit_error       retry_after_s
    ├── Unavailable               503  server_error           retry_after_s
    │   ├── QueueFull
    │   └── NotReady
    ├── DeadlineExceeded          504  server_error
    ├── InternalError             500  server_error
    └── SettingsError             (never on the wire: one line on the terminal, exit status 2)

A message says what was sent and what is allowed; `param` names the field. Knows nothing of HTTP
but the numbers, and imports nothing of the package.
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
    status = 400
    type = "invalid_request_error"


class NotFoundError(InvalidRequestError):
    status = 404


class MethodNotAllowedError(InvalidRequestError):
    status = 405


class RequestTimeoutError(InvalidRequestError):
    status = 408


class ConflictError(InvalidRequestError):
    """An Idempotency-Key that came with another request before."""

    status = 409


class BodyTooLargeError(InvalidRequestError):
    status = 413


class RangeNotSatisfiableError(InvalidRequestError):
    status = 416


class AuthenticationError(DaguerreError):
    status = 401
    type = "authentication_error"


class AccessDeniedError(DaguerreError):
    status = 403
    type = "authorization_error"


class RateLimitError(DaguerreError):
    status = 429
    type = "rate_limit_error"


class UnavailableError(DaguerreError):
    status = 503


class QueueFullError(UnavailableError):
    """As many jobs wait as the engine takes."""


class NotReadyError(UnavailableError):
    """The model is still loading, or the server is draining."""


class DeadlineExceededError(DaguerreError):
    status = 504


class InternalError(DaguerreError):
    """A fault of ours; the message carries the request id, never a traceback."""


class SettingsError(DaguerreError):
    """A flag, an environment variable or the data folder is wrong; says what to do about it."""
