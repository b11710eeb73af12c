"""Who is asking: the key in the Authorization header, and what it opens.

Reads headers only, so a stranger's body is never touched. Keys are compared and kept by
`daguerre.storage.api_keys`; this module neither stores nor shows one.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request

from daguerre.errors import AccessDeniedError, AuthenticationError, UnavailableError
from daguerre.protocol.messages import quote_for_message
from daguerre.storage.api_keys import Resource, ResourceStore

DATABASE_TIMEOUT_S = 10.0
_HOW = "send the header 'Authorization: Bearer <key>' with the key of your model resource"


class Authenticator:
    def __init__(self, resources: ResourceStore) -> None:
        self._resources = resources

    async def authenticate(self, request: Request) -> Resource:
        """The resource whose key was sent. Raises `AuthenticationError`."""
        resource = await self._resource(_bearer_key(request.headers))
        if resource is None:
            raise AuthenticationError(
                f"the key is unknown, or it was rotated or revoked; {_HOW}; 'daguerre config' shows"
                " it"
            )
        return resource

    async def _resource(self, key: str) -> Resource | None:
        """A look into the file on this machine takes 0.1 ms, less than a thread; a database
        elsewhere may be slow to answer, or not answer, and must not hold up other requests."""
        if self._resources.is_local:
            return self._resources.authenticate(key)
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                return await asyncio.to_thread(self._resources.authenticate, key)
        except TimeoutError as error:
            raise UnavailableError(
                f"the database of keys did not answer within {DATABASE_TIMEOUT_S:g} s"
            ) from error


def check_access(resource: Resource, model: str) -> None:
    if model != resource.model:
        raise AccessDeniedError(
            f"you do not have access to that model: {quote_for_message(model)} was asked for,"
            f" and this key is for {quote_for_message(resource.model)}",
            param="model",
        )


def _bearer_key(headers: Headers) -> str:
    sent = headers.getlist("authorization")
    if not sent:
        raise AuthenticationError(f"no key was sent; {_HOW}")
    if len(sent) > 1:
        raise AuthenticationError(f"{len(sent)} Authorization headers were sent; send one")
    words = sent[0].split()
    if len(words) != 2 or words[0].lower() != "bearer":
        raise AuthenticationError(f"the Authorization header is no Bearer token; {_HOW}")
    return words[1]
