"""Request validation: from the JSON object to `ImageGenerationRequest` or one error for all faults.

Messages describe a constraint from the JSON schema of the field, so they match what is checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from daguerre.errors import InvalidRequestError
from daguerre.params import SIZES
from daguerre.protocol.messages import quote_for_message
from daguerre.protocol.request import (
    ADVICE,
    AUTO,
    PATTERN_DESCRIPTIONS,
    REASONS,
    SIZE_OF_RATIO,
    URL_FORMAT,
    ImageGenerationRequest,
    nearest_ratio,
)
from daguerre.validation import MAX_SUGGESTION_CHARS, suggestion

MAX_REPORTED_ERRORS = 20
MAX_PARAM_CHARS = 100


class FieldError(NamedTuple):
    """A fault of a request and the name of its field."""

    param: str
    message: str


def field_schemas(model: type[BaseModel] = ImageGenerationRequest) -> dict[str, dict[str, Any]]:
    """JSON schema of each field's value, without the null that means "not given"."""
    properties = model.model_json_schema()["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    types = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    own = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
    if own.get("default", ...) is None:
        del own["default"]
    return (types[0] if types else {}) | own


def describe_constraint(schema: Mapping[str, Any]) -> str:
    """The constraint of a field schema in words, such as `an integer from 0 to 4294967295`."""
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    if schema["type"] == "boolean":
        return "true or false"
    if schema["type"] in ("integer", "number"):
        return _describe_range(schema)
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    length = f" of {low} to {high} characters" if high else " of 1 character or more" if low else ""
    return f"a string{length}{PATTERN_DESCRIPTIONS.get(schema.get('pattern', ''), '')}"


def _describe_range(schema: Mapping[str, Any]) -> str:
    kind = "an integer" if schema["type"] == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:.15g}" if low == high else f"{kind} from {low:.15g} to {high:.15g}"
    if low is not None:
        return f"{kind} of at least {low:.15g}"
    return kind if high is None else f"{kind} of at most {high:.15g}"


def _normalized(name: str) -> str:
    """The same for snake_case, kebab-case and camelCase."""
    return re.sub("[_-]", "", name[:MAX_PARAM_CHARS].lower())


_SCHEMAS = field_schemas()
_ADVICE = {_normalized(name): advice for name, advice in ADVICE.items()}
_REQUIRED = {
    name for name, field in ImageGenerationRequest.model_fields.items() if field.is_required()
}


def parse_request(
    body: Mapping[str, object], extra_sizes: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> ImageGenerationRequest:
    """Raises `InvalidRequestError` with every fault in its message and the `param` of the first.

    `extra_sizes` are those of each model, by its ID.
    """
    ignores_unknown = body.get("allow_ignored_params") is True
    unknown = [] if ignores_unknown else [name for name in body if name not in _SCHEMAS]
    fields = {
        name: value
        for name, value in body.items()
        if name in _SCHEMAS and (value is not None or name in _REQUIRED)
    }
    model = body.get("model")
    sizes = extra_sizes.get(model, ()) if isinstance(model, str) else ()
    try:
        request, errors = ImageGenerationRequest.model_validate(fields, context=sizes), []
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_url=False))
        errors = [FieldError(name, _field_message(name, fields, sizes)) for name in wrong]
        # Only valid fields, for the checks between fields.
        valid = {name: value for name, value in fields.items() if name not in wrong}
        request = ImageGenerationRequest.model_construct(**valid)  # type: ignore[arg-type]
    errors += _check_combinations(request, fields)
    if errors or unknown:
        raise _invalid_request(errors, unknown)
    return request


def _invalid_request(errors: list[FieldError], unknown: list[str]) -> InvalidRequestError:
    reported = errors + [_unknown_field(name) for name in unknown[:MAX_REPORTED_ERRORS]]
    reported = reported[:MAX_REPORTED_ERRORS]
    message = ". ".join(error.message for error in reported)
    if num_unreported := len(errors) + len(unknown) - len(reported):
        message += f". And {num_unreported} more"
    if unknown and not all(suggestion(name, _SCHEMAS) for name in unknown[:MAX_REPORTED_ERRORS]):
        message += ". To ignore unknown parameters, send allow_ignored_params: true"
    return InvalidRequestError(message, param=reported[0].param[:MAX_PARAM_CHARS])


def _unknown_field(name: str) -> FieldError:
    advice = _ADVICE.get(_normalized(name))
    hint = f"; {advice}" if advice else suggestion(name, _SCHEMAS)
    return FieldError(name, f"unknown parameter {_quote_name(name)}{hint}")


def _field_message(name: str, fields: Mapping[str, object], extra_sizes: Sequence[str]) -> str:
    value = f"is {quote_for_message(fields[name])}" if name in fields else "is missing"
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    near = _near_value(name, fields.get(name))
    schema = _SCHEMAS[name]
    if name == "size":
        schema = schema | {"enum": [*schema["enum"], *extra_sizes]}
    return f"{name} {value}; it must be {describe_constraint(schema)}{reason}{near}"


def _near_value(name: str, value: object) -> str:
    """A suggestion for a value that is not one of the allowed ones, or an empty string."""
    allowed = _SCHEMAS[name].get("enum", ())
    if not isinstance(value, str) or len(value) > MAX_SUGGESTION_CHARS:
        return ""
    if name == "size":
        return _near_size(value)
    if name == "aspect_ratio":
        value = re.sub("[^0-9]+", ":", value)
    return suggestion(value.removeprefix("image/"), allowed)


def _near_size(value: str) -> str:
    """Suggests the size whose shape is nearest; one number is the side of a square."""
    numbers = [int(digits) for digits in re.findall("[0-9]+", value)]
    if not 1 <= len(numbers) <= 2 or not all(numbers):
        return ""
    shape = math.log(numbers[0] / numbers[-1])
    near = min(SIZES.values(), key=lambda size: abs(math.log(size[0] / size[1]) - shape))
    return f"; did you mean '{near[0]}x{near[1]}'?"


def _quote_name(name: str) -> str:
    quoted = quote_for_message(name)
    return f"'{quoted[1:-1]}'" if quoted.endswith('"') else quoted  # else it is truncated


def _check_combinations(
    request: ImageGenerationRequest, fields: Mapping[str, object]
) -> Iterator[FieldError]:
    ratio, size = request.aspect_ratio, request.size or AUTO
    ratio_of_size = None if size == AUTO else nearest_ratio(size)
    if ratio and ratio_of_size and ratio != ratio_of_size:
        yield FieldError(
            "size",
            f'size "{request.size}" has the aspect ratio {ratio_of_size}, but aspect_ratio is'
            f' "{ratio}"; send only one of them, or size "{SIZE_OF_RATIO[ratio]}", or aspect_ratio'
            f' "{ratio_of_size}"',
        )
    if request.response_format == URL_FORMAT and request.stream is True:
        yield FieldError(
            "response_format",
            'response_format is "url", but stream is true and a stream contains its images; omit'
            " one of the two",
        )
    if request.partial_images and fields.get("stream") is not True:
        yield FieldError(
            "partial_images",
            f"partial_images is {request.partial_images}; more than 0 requires stream: true",
        )
