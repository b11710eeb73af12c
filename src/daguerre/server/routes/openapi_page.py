"""GET /openapi.json and /docs: the contract as JSON, and as a page without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from daguerre.server.http.request_url import BaseUrl
from daguerre.server.routes.openapi import document

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>daguerre</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
pre, code { font: .9em ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
</style></head><body><main>
<h1>daguerre</h1><p>Machine-readable: <a href="{json}">openapi.json</a>.</p>
"""


class OpenAPI:
    """Endpoints of the OpenAPI document."""

    def __init__(self, base_url: BaseUrl) -> None:
        self._base_url, self._document = base_url, document(base_url.default)
        self._page = _page(self._document)

    async def json(self, request: Request) -> Response:
        servers = [{"url": self._base_url.of(request)}]
        # Not cached: it depends on headers that are no part of a cache's key.
        headers = {"cache-control": "no-store"}
        return JSONResponse(self._document | {"servers": servers}, headers=headers)

    async def page(self, request: Request) -> Response:
        # Relative, because a proxy may have removed a prefix of the path.
        is_below = request.scope["raw_path"].endswith(b"/")
        html = self._page.replace("{json}", "../openapi.json" if is_below else "openapi.json", 1)
        return HTMLResponse(html, headers={"content-security-policy": _CONTENT_SECURITY_POLICY})


def _page(document: dict[str, Any]) -> str:
    """Each operation with its responses, then each schema as JSON."""
    schemas = (
        f"<h2>{name}</h2><pre>{escape(json.dumps(schema, indent=1))}</pre>"
        for name, schema in document["components"]["schemas"].items()
    )
    return "".join((_HEAD, *_operations(document["paths"]), *schemas, "</main></body></html>"))


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
