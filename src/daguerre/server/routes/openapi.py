"""The contract as an OpenAPI 3.1 document.

Errors are described by `daguerre.errors`, bodies by `openapi_schemas`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from daguerre import errors
from daguerre.errors import DaguerreError
from daguerre.imagefile.encoding import FORMATS
from daguerre.server.http.deadline import MIN_TIMEOUT_S, TIMEOUT_HEADER
from daguerre.server.http.response_headers import RESPONSE_HEADERS
from daguerre.server.idempotency.header import HEADER, MAX_KEY_CHARS
from daguerre.server.routes import sse
from daguerre.server.routes.openapi_schemas import STRING, reference, schemas
from daguerre.version import __version__

# Errors of an image generation: all but those of other paths and methods.
_GENERATION_ERRORS = [
    *(errors.InvalidRequestError, errors.AuthenticationError, errors.AccessDeniedError),
    *(errors.NotFoundError, errors.RequestTimeoutError, errors.ConflictError),
    *(errors.BodyTooLargeError, errors.RateLimitError, errors.InternalError),
    *(errors.UnavailableError, errors.DeadlineExceededError),
]


def document(base_url: str) -> dict[str, Any]:
    """The OpenAPI document of a server at `base_url`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "daguerre",
            "version": __version__,
            "description": "Text-to-image generation. Paths under /v1 also exist without it.",
        },
        "servers": [{"url": base_url}],
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    unauthenticated, other_model = errors.AuthenticationError, errors.AccessDeniedError
    model = _get("One model.", _json("Model"), unauthenticated, other_model, errors.NotFoundError)
    operations = {
        "/": _get("The playground.", {"text/html": {}}),
        "/v1/images/files/{name}": _file(),
        "/v1/models": _get("The model of the key.", _json("ModelList"), unauthenticated),
        "/v1/models/{id}": model | {"parameters": [_parameter("id", "path")]},
        "/available-models": _get("All models of this server.", _json("AvailableModels")),
        "/healthz": _get("Liveness.", _json("Liveness")),
        "/readyz": _get("Readiness.", _json("Readiness"), errors.UnavailableError),
        "/metrics": _get("Metrics for Prometheus.", {"text/plain": {}}),
        "/openapi.json": _get("This document.", {"application/json": {}}),
        "/docs": _get("This document as a page.", {"text/html": {}}),
    }
    gets = {path: {"get": operation} for path, operation in operations.items()}
    return {"/v1/images/generations": {"post": _generation()}, **gets}


def _generation() -> dict[str, Any]:
    headers = {
        name: {"description": text, "schema": STRING} for name, text in RESPONSE_HEADERS.items()
    }
    key = _parameter(
        HEADER,
        "header",
        description="A repeated request with the same key gets the first response, for 24 hours.",
        schema={**STRING, "minLength": 1, "maxLength": MAX_KEY_CHARS},
    )
    timeout = _parameter(
        TIMEOUT_HEADER,
        "header",
        description="Timeout in seconds from the arrival of the request. Then the response is a"
        " 504, or a 503 in advance if the queue is too long.",
        schema={"type": "number", "minimum": MIN_TIMEOUT_S},
    )
    success = {
        "description": "The image; with `stream`, a stream of `ServerSentEvent`.",
        "headers": headers,
        "content": _json("ImagesResponse") | _content(sse.MEDIA_TYPE, "ServerSentEvent"),
    }
    return {
        "summary": "Generates one image.",
        "description": "The body is parsed as JSON, with any Content-Type.",
        "parameters": [key, timeout],
        "requestBody": {"required": True, "content": _json("ImageGenerationRequest")},
        "responses": {"200": success, **_failures(_GENERATION_ERRORS)},
    }


def _file() -> dict[str, Any]:
    image: dict[str, Any] = {kind.media_type: {} for kind in FORMATS.values()}
    operation = _get(
        "The image of a signed URL.",
        image,
        *(errors.NotFoundError, errors.PreconditionFailedError),
        *(errors.RangeNotSatisfiableError, errors.UnavailableError),
    )
    operation["parameters"] = [
        _parameter("name", "path"),
        _parameter("expires", "query"),
        _parameter("signature", "query"),
    ]
    operation["responses"] |= {
        "206": {"description": "The part that `Range` requests.", "content": image},
        "304": {"description": "The image matches `If-None-Match`.", "content": {}},
    }
    return operation


def _get(summary: str, content: dict[str, Any], *failures: type[DaguerreError]) -> dict[str, Any]:
    return {
        "summary": summary,
        "security": [{"key": []}] if errors.AuthenticationError in failures else [],
        "responses": {"200": {"description": summary, "content": content}, **_failures(failures)},
    }


def _parameter(name: str, where: str, **others: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where != "header", "schema": STRING, **others}


def _failures(kinds: Iterable[type[DaguerreError]]) -> dict[str, Any]:
    return {
        str(kind.status): {
            "description": f"`{kind.type}`. {' '.join((kind.__doc__ or '').split())}",
            "content": _json("Error"),
        }
        for kind in kinds
    }


def _json(schema: str) -> dict[str, Any]:
    return _content("application/json", schema)


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": reference(schema)}}
