"""The OpenAPI document as an HTML page without scripts and external resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #8886; padding: .4rem; text-align: left; vertical-align: top }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
:root { color-scheme: light dark }
"""


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document as written by `openapi`."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>",
            f"<p>{escape(info['description'])} Address: {_code(document['servers'][0]['url'])}.",
            ' Machine-readable: <a href="openapi.json">openapi.json</a>.</p>',
            *_operations(document),
            "<h2>Schemas</h2>",
            *_schemas(document["components"]["schemas"]),
            "</main></body></html>",
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            has_key = operation.get("security", document["security"])
            key = "Needs a key." if has_key else "Needs no key."
            yield f"<h2>{_code(f'{method.upper()} {path}')}</h2>"
            yield f"<p>{escape(operation['summary'])} {key} "
            yield f"{escape(operation.get('description', ''))}</p>"
            if "requestBody" in operation:
                yield f"<p>Body: {_link(operation['requestBody']['content'])}</p>"
            yield from _table(("Status", "Description", "Body"), _responses(operation["responses"]))


def _responses(responses: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for status, response in responses.items():
        headers = "".join(
            f"<br>{_code(name)}: {escape(header['description'])}"
            for name, header in response.get("headers", {}).items()
        )
        yield _code(status), _text(response["description"]) + headers, _link(response["content"])


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
        yield f"<p>{_text(schema.get('description', ''))}</p>"
        is_list = schema["type"] == "array"
        content = schema["items"] if is_list else schema
        yield "<p>An array of objects:</p>" if is_list else ""
        yield from _table(("Field", "Schema", "Description"), _fields(content))


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, field in schema["properties"].items():
        required = " (required)" if name in schema.get("required", ()) else ""
        keywords = (
            f"{escape(key)}: {_code(json.dumps(value))}"
            for key, value in field.items()
            if key != "description"
        )
        yield _code(name) + required, "<br>".join(keywords), _text(field.get("description", ""))


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</table>"


def _link(content: dict[str, Any]) -> str:
    """A link to the schema, or the media type if there is no schema."""
    if not content:
        return ""
    media_type, body = next(iter(content.items()))
    if "schema" not in body:
        return escape(media_type)
    name = body["schema"]["$ref"].rpartition("/")[2]
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _text(text: str) -> str:
    """Escaped text with `backticked` parts as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
