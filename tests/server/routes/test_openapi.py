"""The OpenAPI document matches the server."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
from conftest import MODEL, RunningServer, error_of

from daguerre.errors import InvalidRequestError
from daguerre.protocol.parsing import parse_request
from daguerre.server.routes.openapi import document

DOCUMENT = document("http://127.0.0.1:8000")
FIELDS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]["ImageGenerationRequest"][
    "properties"
]
EVENTS = ("PartialImageEvent", "CompletedEvent")
LEAST: dict[str, Any] = {"model": MODEL, "prompt": "x"}


@pytest.mark.parametrize("name", FIELDS)
def test_documented_values_are_accepted(name: str) -> None:
    """Every documented value, bound, default and example is accepted."""
    schema = FIELDS[name]
    bounds = [schema[key] for key in ("minimum", "maximum", "default") if key in schema]
    allowed = bounds + schema.get("enum", []) + schema.get("examples", [])
    if name == "partial_images":
        allowed.remove(3)  # needs stream
    if "maxLength" in schema:
        allowed.append("x" * schema["maxLength"])
    for value in allowed:
        parse_request({**LEAST, name: value})
    assert schema["description"]


@pytest.mark.parametrize("name", FIELDS)
def test_excluded_values_are_rejected(name: str) -> None:
    """A value beyond a bound, of another type, or not in the list is rejected."""
    schema = FIELDS[name]
    excluded: list[object] = [{}, []]
    excluded += [schema["minimum"] - 1] if "minimum" in schema else []
    excluded += [schema["maximum"] + 1] if "maximum" in schema else []
    excluded += ["x" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
    excluded += ["not in the list"] if "enum" in schema else []
    excluded += ["x"] if "string" not in schema["type"] else [5]
    for value in excluded:
        with pytest.raises(InvalidRequestError):
            parse_request({**LEAST, name: value})


def test_every_operation_is_served(server: RunningServer) -> None:
    """Every path and method of the document exists."""
    for path, methods in DOCUMENT["paths"].items():
        for method in methods:
            response = server.client.request(method, path.replace("{id}", MODEL))
            answers = (404,) if "/files/" in path else (200, 401)  # not a valid signature
            assert response.status_code in answers, (method, path)


def test_states_are_documented(server: RunningServer) -> None:
    """The responses of a loading server and for a model that is not served are documented."""
    key = server.resources.create("other-model", "OTHER")[1]
    server.engine.is_ready = False
    answers = {
        "/readyz": server.client.get("/readyz"),
        "/v1/models/{id}": server.client.get(
            "/v1/models/other-model", headers={"authorization": f"Bearer {key}"}
        ),
    }
    server.resources.destroy("OTHER")
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/readyz": 503,
        "/v1/models/{id}": 404,
    }
    for path, answer in answers.items():
        assert str(answer.status_code) in DOCUMENT["paths"][path]["get"]["responses"]


def test_events(server: RunningServer) -> None:
    """The events of a stream match their schemas."""
    text = server.generate(stream=True, partial_images=1, quality="max").text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    for data, name in zip(events, EVENTS, strict=True):
        schema = DOCUMENT["components"]["schemas"][name]
        jsonschema_rs.validate(schema | {"additionalProperties": False}, data)


def test_references_resolve() -> None:
    """Every $ref refers to a schema, and every schema is used."""

    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT) == {f"#/components/schemas/{name}" for name in schemas}


def test_document_over_http(server: RunningServer) -> None:
    """The document is served as JSON and needs no key."""
    served = server.client.get("/openapi.json").json()
    assert served == document(server.settings.public_base_url())
    assert set(served["paths"]["/v1/images/generations"]["post"]["responses"]) == {
        "200", "400", "401", "403", "404", "408", "409", "413", "429", "500", "503", "504",
    }  # fmt: skip


class _Page(HTMLParser):
    """Tags, URLs and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.urls: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.urls |= {value or "" for name, value in attrs if name in ("src", "href")}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page(server: RunningServer) -> None:
    """The page shows every field, path and schema, without scripts and external resources."""
    response = server.client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    page = _Page()
    page.feed(response.text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
    schemas = DOCUMENT["components"]["schemas"]
    assert page.urls - {"openapi.json"} <= {f"#{name}" for name in schemas}
    for word in [*FIELDS, *DOCUMENT["paths"], *schemas, "4294967295", "1344x768"]:
        assert word in page.text


def test_openapi_needs_get(server: RunningServer) -> None:
    """The document can only be read."""
    assert error_of(server.client.post("/openapi.json"))["code"] == 405
