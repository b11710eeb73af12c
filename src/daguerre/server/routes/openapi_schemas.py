"""JSON schemas of request and response bodies, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from daguerre.imagefile.encoding import FORMATS
from daguerre.protocol.parsing import field_schemas
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.routes import sse

STRING: dict[str, Any] = {"type": "string"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_MAX_PROMPT_TOKENS = (
    "Longest prompt in tokens, including those that the pipeline adds; null if only its characters"
    " are limited."
)


def reference(schema: str) -> dict[str, str]:
    """A `$ref` to one of `schemas`."""
    return {"$ref": f"#/components/schemas/{schema}"}


def schemas() -> dict[str, Any]:
    """All schemas by name."""
    image = _object(
        b64_json=STRING | {"contentEncoding": "base64"}, url=STRING, revised_prompt={"const": ""}
    ) | {"required": ["revised_prompt"], "oneOf": [{"required": [n]} for n in ("b64_json", "url")]}
    model = _object(
        id=STRING,
        object={"const": "model"},
        created=_INTEGER,
        owned_by=STRING,
        extra_sizes=_list(STRING | {"description": "Sizes besides those of every model."}),
        drawn_sizes={
            "type": "object",
            "description": "Sizes that are drawn smaller and enlarged, and their drawn sizes.",
            "additionalProperties": STRING,
        },
        max_prompt_tokens=_nullable(_INTEGER | {"description": _MAX_PROMPT_TOKENS}),
    )
    available = _object(model_id=STRING, type=_list(STRING), regions=_list(STRING))
    error = _object(code=_INTEGER, message=STRING, type=STRING, param={"type": ["string", "null"]})
    return {
        "ImageGenerationRequest": _request_schema(),
        "ImagesResponse": _object(created=_INTEGER, data=_list(image, minItems=1, maxItems=1)),
        "ServerSentEvent": _server_sent_event(),
        "PartialImageEvent": _event_schema(
            sse.PARTIAL_IMAGE, "A preview in a stream.", partial_image_index=_INTEGER
        ),
        "CompletedEvent": _event_schema(
            sse.COMPLETED, "The last event of a stream.", usage={"const": sse.USAGE}
        ),
        "Error": _object(error=error),
        "Model": model,
        "ModelList": _object(object={"const": "list"}, data=_list(model)),
        "AvailableModels": _list(available),
        "Liveness": _object(status=STRING),
        "Readiness": _object(
            status=STRING,
            worker_restarts=_INTEGER,
            unavailable_models=_list(_object(id=STRING, reason=STRING)),
            outages=_list(STRING),
        ),
    }


def _request_schema() -> dict[str, Any]:
    fields = ImageGenerationRequest.model_fields
    properties = {
        name: schema if fields[name].is_required() else _nullable(schema)
        for name, schema in field_schemas().items()
    }
    required = [name for name, field in fields.items() if field.is_required()]
    return _object(**properties) | {
        "description": ImageGenerationRequest.__doc__,
        "required": required,
        "additionalProperties": False,
    }


def _server_sent_event() -> dict[str, Any]:
    every = [reference(schema) for schema in ("PartialImageEvent", "CompletedEvent", "Error")]
    data = STRING | {"contentMediaType": "application/json", "contentSchema": {"oneOf": every}}
    names = {"enum": [sse.PARTIAL_IMAGE, sse.COMPLETED, sse.ERROR]}
    description = "One event of a stream: previews, then the image, or an error."
    return _object(event=names, data=data) | {"description": description}


def _event_schema(name: str, description: str, **others: Any) -> dict[str, Any]:
    """Schema of an event's data."""
    common = {
        "type": {"const": name},
        "b64_json": STRING | {"contentEncoding": "base64"},
        "created_at": _INTEGER,
        "size": STRING,
        "quality": {"enum": list(sse.QUALITIES)},
        "background": {"const": sse.BACKGROUND},
        "output_format": {"enum": list(FORMATS)},
    }
    return _object(**common, **others) | {"description": description}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with `null`, which means "not given"."""
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in nullable:
        nullable["enum"] = [*nullable["enum"], None]
    return nullable


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}
