"""Random bodies: never a 5xx, always the error object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import MODEL, RunningServer, error_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daguerre.errors import InvalidRequestError
from daguerre.protocol.parsing import field_schemas, parse_request
from daguerre.server.http.body import parse_object

pytestmark = pytest.mark.slow

FIELDS = field_schemas()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
LIKELY = st.sampled_from(
    [value for schema in FIELDS.values() for value in schema.get("enum", [])]
    + [MODEL, 0, 1, 2**32, -1, 1.5, "x", "", " ", "\0", True, False, None]
)
OBJECTS = st.dictionaries(st.sampled_from([*FIELDS]) | st.text(max_size=12), LIKELY | VALUES)
BODIES = (
    OBJECTS.map(lambda body: json.dumps(body).encode())
    | OBJECTS.map(lambda body: json.dumps({"model": MODEL, "prompt": "x", **body}).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.text(alphabet='{}[]",:\\u0123dDeE+-. ntrue', max_size=60).map(str.encode)
)
_FUZZ = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_FUZZ
@given(body=BODIES)
def test_over_http(server: RunningServer, body: bytes) -> None:
    """The response to any body is an image or a 4xx with the error object."""
    response = server.post(body)
    if response.status_code != 200:
        assert 400 <= error_of(response)["code"] < 500


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
def test_parsing(body: bytes) -> None:
    """Parsing returns valid `ImageParams` or raises one `InvalidRequestError`."""
    try:
        params = parse_request(parse_object(body)).to_image_params()
    except InvalidRequestError as error:
        assert error.message and len(error.message) < 8000
        return
    assert 1 <= params.seed < 2**32 and type(params.seed) is int
    assert 1 <= len(params.prompt) <= 10_000 and "\0" not in params.prompt
    params.prompt.encode("utf-8")


@pytest.mark.parametrize("body", [{"prompt": "\ud800"}, {"a": {"b": ["\udfff"]}}])
def test_surrogates(body: dict[str, Any]) -> None:
    """Escaped surrogates, which hypothesis does not generate, are rejected."""
    with pytest.raises(InvalidRequestError):
        parse_object(json.dumps(body).encode())
