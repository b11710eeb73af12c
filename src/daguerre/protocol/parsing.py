"""From the JSON object of a request to `ImageGenerationRequest`, or to one message for all faults.

The words of a rule are read from the model's JSON schema, so a message cannot say other than what
is checked. Knows no HTTP, and no field by name but those that must agree with each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from pydantic import ValidationError

from daguerre.errors import InvalidRequestError
from daguerre.protocol.messages import quote_for_message, suggestion
from daguerre.protocol.request import (
    AUTO,
    LINK,
    PATTERN_IN_WORDS,
    RATIO_OF_SIZE,
    REASONS,
    SIZE_OF_RATIO,
    ImageGenerationRequest,
)

MAX_PROBLEMS_SHOWN = 20
MAX_PARAM_CHARS = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of a request, and the name of the field that has it."""

    param: str
    message: str


def field_schemas() -> dict[str, dict[str, Any]]:
    """Field name -> JSON schema of the value, without the null that stands for "not given"."""
    properties = ImageGenerationRequest.model_json_schema()["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    types = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    own = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if own.get("default", ...) is None:
        del own["default"]
    return (types[0] if types else {}) | own


_SCHEMAS = field_schemas()
_REQUIRED = {
    name for name, field in ImageGenerationRequest.model_fields.items() if field.is_required()
}


def parse_request(body: Mapping[str, object]) -> ImageGenerationRequest:
    """Raises `InvalidRequestError` that names every problem, with `param` of the first."""
    drops_unknown = body.get("allow_ignored_params") is True
    unknown = [] if drops_unknown else [name for name in body if name not in _SCHEMAS]
    given = {
        name: value
        for name, value in body.items()
        if name in _SCHEMAS and (value is not None or name in _REQUIRED)
    }
    try:
        request, problems = ImageGenerationRequest.model_validate(given), []
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_url=False))
        problems = [FieldError(name, _field_message(name, given)) for name in wrong]
        # Only sound fields, unchecked: enough for the rules between fields.
        sound = {name: value for name, value in given.items() if name not in wrong}
        request = ImageGenerationRequest.model_construct(**sound)  # type: ignore[arg-type]
    problems += _between_fields(request, given)
    if problems or unknown:
        raise _refusal(problems, unknown)
    return request


def _refusal(problems: list[FieldError], unknown: list[str]) -> InvalidRequestError:
    every = chain(problems, (FieldError(name, _unknown_message(name)) for name in unknown))
    told = list(islice(every, MAX_PROBLEMS_SHOWN))
    message = ". ".join(problem.message for problem in told)
    num_left_out = len(problems) + len(unknown) - len(told)
    if num_left_out:
        message += f". And {num_left_out} more"
    return InvalidRequestError(message, param=told[0].param[:MAX_PARAM_CHARS])


def rule(name: str) -> str:
    """What the field takes, in words: 'an integer from 0 to 4294967295'."""
    schema = _SCHEMAS[name]
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema["type"] == "boolean":
        return "true or false"
    if schema["type"] == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return str(low) if low == high else f"an integer from {low} to {high}"
    return _string_rule(schema)


def _string_rule(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    length = f" of {low} to {high} characters" if high else " of 1 character or more" if low else ""
    return f"a string{length}{PATTERN_IN_WORDS.get(schema.get('pattern', ''), '')}"


def _field_message(name: str, given: Mapping[str, object]) -> str:
    what = f"{name} is {quote_for_message(given[name])}" if name in given else f"{name} is missing"
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    return f"{what}; it must be {rule(name)}{reason}"


def _unknown_message(name: str) -> str:
    quoted = (
        f"'{quote_for_message(name)[1:-1]}'"
        if len(name) <= MAX_PARAM_CHARS
        else quote_for_message(name)
    )
    return f"unknown parameter {quoted}{suggestion(name, _SCHEMAS.keys())}"


def _between_fields(
    request: ImageGenerationRequest, given: Mapping[str, object]
) -> Iterator[FieldError]:
    size, ratio = request.size, request.aspect_ratio
    if size is not None and size != AUTO and ratio is not None and RATIO_OF_SIZE[size] != ratio:
        yield FieldError(
            "size",
            f'size "{size}" has the aspect ratio {RATIO_OF_SIZE[size]}, and aspect_ratio is'
            f' "{ratio}"; send only one of them, or size "{SIZE_OF_RATIO[ratio]}", or aspect_ratio'
            f' "{RATIO_OF_SIZE[size]}"',
        )
    if request.response_format == LINK and request.stream is True:
        yield FieldError(
            "response_format",
            'response_format is "url", and stream is true; a stream carries its images, so leave'
            " one of the two out",
        )
    if request.partial_images and given.get("stream") is not True:
        yield FieldError(
            "partial_images",
            f"partial_images is {request.partial_images}; more than 0 needs stream: true",
        )
