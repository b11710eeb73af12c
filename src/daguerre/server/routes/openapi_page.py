"""The OpenAPI document as an HTML page without scripts and external resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>daguerre</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
pre, code { font: .9em ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
</style></head><body><main>
<h1>daguerre</h1><p>Machine-readable: <a href="openapi.json">openapi.json</a>.</p>
"""


def page(document: dict[str, Any]) -> HTMLResponse:
    """Each operation with its responses, then each schema as JSON."""
    schemas = (
        f"<h2>{name}</h2><pre>{escape(json.dumps(schema, indent=1))}</pre>"
        for name, schema in document["components"]["schemas"].items()
    )
    html = "".join((_HEAD, *_operations(document["paths"]), *schemas, "</main></body></html>"))
    return HTMLResponse(html, headers={"content-security-policy": _CONTENT_SECURITY_POLICY})


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            key = "" if operation.get("security", True) else " Needs no key."
            yield f"<h2><code>{method.upper()} {path}</code></h2>"
            yield f"<p>{escape(operation['summary'])}{key}</p>{_list(operation['responses'])}"


def _list(entries: dict[str, Any]) -> str:
    items = (
        f"<li><code>{name}</code> {escape(entry['description'])}{_list(entry.get('headers', {}))}"
        for name, entry in entries.items()
    )
    return f"<ul>{''.join(items)}</ul>" if entries else ""
