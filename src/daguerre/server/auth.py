"""Who is asking: the key in the Authorization header, and what it opens.

Reads headers only, so a stranger's body is never touched. Keys are compared and kept by
`daguerre.resources`; this module neither stores nor shows one.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from daguerre.errors import AccessDenied, AuthenticationFailed
from daguerre.resources import Resource, ResourceStore
from daguerre.server.errors import shown

_HOW = "send the header 'Authorization: Bearer <key>' with the key of your model resource"


def authenticate(headers: Headers, resources: ResourceStore) -> Resource:
    """The resource whose key was sent. Raises `AuthenticationFailed`."""
    resource = resources.authenticate(_bearer_key(headers))
    if resource is None:
        raise AuthenticationFailed(
            f"the key is unknown, or it was rotated or revoked; {_HOW}; 'daguerre config' shows it"
        )
    return resource


def check_access(resource: Resource, model: str) -> None:
    if model != resource.model:
        raise AccessDenied(
            f"you do not have access to that model: {shown(model)} was asked for,"
            f" and this key is for {shown(resource.model)}",
            param="model",
        )


def _bearer_key(headers: Headers) -> str:
    sent = headers.getlist("authorization")
    if not sent:
        raise AuthenticationFailed(f"no key was sent; {_HOW}")
    if len(sent) > 1:
        raise AuthenticationFailed(f"{len(sent)} Authorization headers were sent; send one")
    words = sent[0].split()
    if len(words) != 2 or words[0].lower() != "bearer":
        raise AuthenticationFailed(f"the Authorization header is no Bearer token; {_HOW}")
    return words[1]
