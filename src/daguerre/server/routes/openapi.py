"""The contract as an OpenAPI 3.1 document and as a page, made from the code that enforces it.

Statuses and types come from `daguerre.errors`, bodies from `schemas`. Only sentences and the list
of paths are written here. Knows no engine.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from daguerre import __version__
from daguerre.config import Settings
from daguerre.errors import (
    AccessDeniedError,
    AuthenticationError,
    BodyTooLargeError,
    ConflictError,
    DaguerreError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    RangeNotSatisfiableError,
    RateLimitError,
    RequestTimeoutError,
    UnavailableError,
)
from daguerre.imagefile.encoding import FORMATS
from daguerre.server.http.deadline import MIN_TIMEOUT_S, TIMEOUT_HEADER
from daguerre.server.idempotency.header import HEADER, MAX_KEY_CHARS
from daguerre.server.routes import sse
from daguerre.server.routes.openapi_page import CONTENT_SECURITY_POLICY, page
from daguerre.server.routes.openapi_schemas import STRING, reference, schemas

_WHEN: dict[type[DaguerreError], str] = {
    InvalidRequestError: "Bad JSON, or a missing, unknown or wrong field; the message names all.",
    AuthenticationError: "No key, an unknown key or a revoked key.",
    AccessDeniedError: "A good key of another model.",
    NotFoundError: "Unknown path, a model that this server does not serve, or an expired link.",
    RequestTimeoutError: "The request body arrived too slowly.",
    ConflictError: "The Idempotency-Key was used with a different request.",
    BodyTooLargeError: "The request body is too large.",
    RangeNotSatisfiableError: "The range lies outside of the file.",
    RateLimitError: "The key exceeds its rate limit or its limit of concurrent requests.",
    InternalError: "A server error; the message contains the request ID.",
    UnavailableError: "The queue is full, the model is not loaded, or the server is stopping.",
    DeadlineExceededError: "The image was not finished before the request's deadline.",
}
_HEADERS = {
    "x-request-id": "The caller's own id where it sent a plain word of up to 128 characters, else"
    " a new one. On every answer.",
    "x-seed": "The seed that was used.",
    "x-batching-mode": "'throughput' if the same seed may produce different bytes.",
    "server-timing": "Milliseconds in queue, encode, denoise, decode and file.",
    "x-cache": "hit for a file that was made before, miss for one that is made now and kept; where"
    " files are kept.",
    "idempotent-replayed": "true where the Idempotency-Key came before, with the same request.",
    "x-ratelimit-limit-requests": "Requests a minute; where a limit is set.",
    "x-ratelimit-remaining-requests": "Requests left; where a limit is set.",
    "x-ratelimit-reset-requests": "When the oldest request leaves the minute, as in '51s'; where a"
    " limit is set.",
}

_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "description": "The same key with the same request gives the answer of the first for 24 hours.",
    "schema": {**STRING, "minLength": 1, "maxLength": MAX_KEY_CHARS},
}
_TIMEOUT = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "description": "Seconds that the image may take from the arrival of the request; a 504 after"
    " that, and a 503 where the queue is too long for it.",
    "schema": {"type": "number", "minimum": MIN_TIMEOUT_S},
}


class OpenApi:
    def __init__(self, settings: Settings) -> None:
        contract = document(settings)
        self._json = json.dumps(contract, indent=1).encode("ascii")
        self._html = page(contract)

    async def document(self, request: Request) -> Response:
        return Response(self._json, media_type="application/json")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(
            self._html, headers={"content-security-policy": CONTENT_SECURITY_POLICY}
        )


def document(settings: Settings) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "daguerre",
            "version": __version__,
            "description": "Text to image. All paths under /v1 are also served without it.",
        },
        "servers": [{"url": settings.public_base_url()}],
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/": {"get": _get("The playground: a page for people.", None, media_type="text/html")},
        "/v1/images/generations": {"post": _generation()},
        "/v1/images/files/{name}": {"get": _file()},
        "/v1/models": {
            "get": _get("The model that the key opens.", "ModelList", AuthenticationError)
        },
        "/v1/models/{id}": {
            "get": _get(
                "One model.",
                "Model",
                AuthenticationError,
                AccessDeniedError,
                NotFoundError,
            )
            | {"parameters": [{"name": "id", "in": "path", "required": True, "schema": STRING}]}
        },
        "/available-models": {"get": _get("The models that this server has.", "AvailableModels")},
        "/healthz": {"get": _get("Whether the server is alive.", "Status")},
        "/readyz": {"get": _get("Whether it can take work.", "Status", UnavailableError)},
        "/metrics": {"get": _get("Numbers for Prometheus.", None, media_type="text/plain")},
        "/openapi.json": {"get": _get("This document.", None)},
        "/docs": {"get": _get("This document as a page.", None, media_type="text/html")},
    }


def _generation() -> dict[str, Any]:
    headers = {name: {"description": text, "schema": STRING} for name, text in _HEADERS.items()}
    return {
        "summary": "Makes one image.",
        "description": "The body is read as JSON whatever its Content-Type.",
        "parameters": [_IDEMPOTENCY_KEY, _TIMEOUT],
        "requestBody": {"required": True, "content": _json("ImageGenerationRequest")},
        "responses": {
            "200": {
                "description": "The image; with `stream`, a stream of `ServerSentEvent`.",
                "headers": headers,
                "content": _json("ImagesResponse") | _content(sse.MEDIA_TYPE, "ServerSentEvent"),
            },
            **{
                str(error.status): _failure(error)
                for error in _WHEN
                if error is not RangeNotSatisfiableError
            },
        },
    }


def _file() -> dict[str, Any]:
    image: dict[str, Any] = {kind.media_type: {} for kind in FORMATS.values()}
    fixed = {"required": True, "schema": STRING}
    return {
        "summary": "The file behind a link.",
        "description": "The whole address is in the answer to `response_format` `url`; it expires.",
        "security": [],
        "parameters": [
            {"name": "name", "in": "path", **fixed},
            {"name": "expires", "in": "query", **fixed},
            {"name": "signature", "in": "query", **fixed},
        ],
        "responses": {
            "200": {"description": "The file.", "content": image},
            "206": {"description": "A part of it, as `Range` asked.", "content": image},
            "304": {"description": "It is what `If-None-Match` names.", "content": {}},
            "404": _failure(NotFoundError),
            "416": _failure(RangeNotSatisfiableError),
            "503": _failure(UnavailableError),
        },
    }


def _get(
    summary: str,
    schema: str | None,
    *errors: type[DaguerreError],
    media_type: str = "application/json",
) -> dict[str, Any]:
    content = _json(schema) if schema else {media_type: {}}
    return {
        "summary": summary,
        "security": [{"key": []}] if AuthenticationError in errors else [],
        "responses": {
            "200": {"description": summary, "content": content},
            **{str(error.status): _failure(error) for error in errors},
        },
    }


def _failure(error: type[DaguerreError]) -> dict[str, Any]:
    description = f"{HTTPStatus(error.status).phrase}, `{error.type}`. {_WHEN[error]}"
    return {"description": description, "content": _json("Error")}


def _json(schema: str) -> dict[str, Any]:
    return _content("application/json", schema)


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": reference(schema)}}
