"""Authentication by API key. It reads only headers, so it precedes the body."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request

from daguerre.errors import AccessDeniedError, AuthenticationError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.request_context import RequestContext
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.rate_limits import RateLimits, Window
from daguerre.storage.resources import Resource, ResourceStore

_ADVICE = "send the header 'Authorization: Bearer <key>' with the key of your model resource"


class Authenticator:
    """Looks up each key in the database, so that a rotation takes effect with the next request."""

    def __init__(
        self, resources: ResourceStore, limits: RateLimits, database: DatabaseThreads
    ) -> None:
        self._resources, self._limits, self._database = resources, limits, database

    async def authenticate(self, request: Request) -> Resource:
        """The resource of the request's key, also set in its `RequestContext`.

        Raises `AuthenticationError`, or `UnavailableError` if the database does not respond.
        """
        key = _bearer_key(request.headers)
        resource, window = await self._database.call(self._look_up, key)
        if resource is None:
            raise AuthenticationError(
                f"the key is unknown, rotated or revoked; {_ADVICE}; 'daguerre config' prints it"
            )
        context = RequestContext.of(request)
        context.resource, context.rate_limit_window = resource, window
        return resource

    def _look_up(self, key: str) -> tuple[Resource | None, Window | None]:
        """The resource of the key, and its window if it has a rate limit."""
        resource = self._resources.authenticate(key)
        if resource is None or resource.requests_per_minute is None:
            return resource, None
        return resource, self._limits.window(resource.id)


def check_access(resource: Resource, model: str) -> None:
    """Raises `AccessDeniedError` if the key is for another model."""
    if model != resource.model:
        raise AccessDeniedError(
            "you do not have access to that model: this key is for model"
            f" {quote_for_message(resource.model)}, not {quote_for_message(model)}",
            param="model",
        )


def _bearer_key(headers: Headers) -> str:
    sent = headers.getlist("authorization")
    if not sent:
        raise AuthenticationError(f"the request has no key; {_ADVICE}")
    if len(sent) > 1:
        raise AuthenticationError(f"the request has {len(sent)} Authorization headers; send one")
    words = sent[0].split()
    if len(words) != 2 or words[0].lower() != "bearer":
        raise AuthenticationError(f"the Authorization header is not a Bearer token; {_ADVICE}")
    return words[1]
