"""Authentication by API key. It reads only headers, so it precedes the body."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request

from daguerre.errors import AccessDeniedError, AuthenticationError, UnavailableError
from daguerre.protocol.messages import quote_for_message
from daguerre.storage.api_keys import Resource, ResourceStore

DATABASE_TIMEOUT_S = 10.0
_ADVICE = "send the header 'Authorization: Bearer <key>' with the key of your model resource"


class Authenticator:
    """Finds the model resource of a request's key."""

    def __init__(self, resources: ResourceStore) -> None:
        self._resources = resources

    async def authenticate(self, request: Request) -> Resource:
        """The resource of the key. Raises `AuthenticationError`, or `UnavailableError` if the
        database does not respond."""
        resource = await self._find(_bearer_key(request.headers))
        if resource is None:
            raise AuthenticationError(
                f"the key is unknown, rotated or revoked; {_ADVICE}; 'daguerre config' prints it"
            )
        return resource

    async def _find(self, key: str) -> Resource | None:
        # A local file takes 0.1 ms, less than a thread. A remote database may block.
        if self._resources.is_local:
            return self._resources.authenticate(key)
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                return await asyncio.to_thread(self._resources.authenticate, key)
        except TimeoutError as error:
            raise UnavailableError(
                f"the database did not respond within {DATABASE_TIMEOUT_S:g} s"
            ) from error


def check_access(resource: Resource, model: str) -> None:
    """Raises `AccessDeniedError` if the key is for another model."""
    if model != resource.model:
        raise AccessDeniedError(
            f"you do not have access to that model: the request is for {quote_for_message(model)},"
            f" the key for {quote_for_message(resource.model)}",
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
