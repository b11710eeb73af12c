"""Security headers and CORS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import MODEL, PATH, RunningServer, error_of, running
from starlette.datastructures import MutableHeaders

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.server.http.security_headers import add_security_headers

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
}


@pytest.fixture(scope="module")
def cors_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    origins = f"{ORIGIN}, http://localhost:5173"
    cors_origins = Settings.load({"cors_origins": origins}, {}).cors_origins
    with running(tmp_path_factory.mktemp("open"), cors_origins=cors_origins) as server:
        yield server


def cors_headers(headers: object) -> list[str]:
    return [name for name in headers if name.startswith("access-control")]  # type: ignore[attr-defined]


def test_pages(server: RunningServer) -> None:
    """A page may not be framed, sends no referrer and loads nothing."""
    headers = server.client.get("/docs").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_page_without_a_policy() -> None:
    """A page without a content security policy gets the strict one; others keep their own."""
    for own in ("", "default-src 'self'"):
        sent = {"content-type": "text/html; charset=utf-8"}
        headers = MutableHeaders(sent | ({"content-security-policy": own} if own else {}))
        add_security_headers(headers)
        assert headers["content-security-policy"].startswith(own or "default-src 'none'")


@pytest.mark.parametrize("path", ["/docs", "/healthz", "/nothing", PATH, "/metrics"])
def test_every_response(server: RunningServer, path: str) -> None:
    """Every response disables content sniffing and has no Server header."""
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_cors_is_off_by_default(server: RunningServer) -> None:
    """Without the setting no response has CORS headers."""
    for method, path in (("GET", "/healthz"), ("OPTIONS", PATH), ("POST", PATH)):
        answer = server.client.request(method, path, headers={"origin": ORIGIN, **PREFLIGHT})
        assert cors_headers(answer.headers) == []


def test_allowed_origin(cors_server: RunningServer) -> None:
    """An allowed origin may send any header and read images, headers and errors."""
    for origin in (ORIGIN, "http://localhost:5173"):
        asked = cors_server.client.options(PATH, headers={"origin": origin, **PREFLIGHT})
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == origin
        assert asked.headers["access-control-allow-headers"] == "authorization"
    image = cors_server.post({"model": MODEL, "prompt": "x"}, origin=ORIGIN)
    refused = cors_server.post(b"{", origin=ORIGIN)
    for answer, status in ((image, 200), (refused, 400)):
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert exposed >= {"retry-after", "x-seed", "x-batching-mode", "idempotent-replayed"}
        assert "access-control-allow-credentials" not in answer.headers


def test_forbidden_origin(cors_server: RunningServer) -> None:
    """Another origin gets an error object, and its scripts can read no response."""
    for origin in ("https://evil.example", ORIGIN + ".evil.example", "null"):
        asked = cors_server.client.options(PATH, headers={"origin": origin, **PREFLIGHT})
        assert origin in error_of(asked)["message"]
        got = cors_server.client.get("/healthz", headers={"origin": origin})
        for answer in (asked, got):
            assert "access-control-allow-origin" not in answer.headers
            assert "Origin" in answer.headers["vary"]


def test_forbidden_method(cors_server: RunningServer) -> None:
    """An allowed origin may only send GET and POST."""
    headers = {"origin": ORIGIN, **PREFLIGHT, "access-control-request-method": "DELETE"}
    error = error_of(cors_server.client.options(PATH, headers=headers))
    assert (error["code"], "GET and POST" in error["message"]) == (400, True)


def test_setting() -> None:
    """`*` allows all origins; a blank setting allows none."""
    assert Settings.load({"cors_origins": "*"}, {}).cors_origin_list() == ("*",)
    assert Settings.load({"cors_origins": " , "}, {}).cors_origin_list() == ()


@pytest.mark.parametrize(
    "text",
    ["app.example.com", f"{ORIGIN}/", f"{ORIGIN}/path", "https://A.example", "ftp://x", "*.x"],
)
def test_invalid_origin(text: str) -> None:
    """A setting that is not an origin, as browsers send it, is an error."""
    with pytest.raises(SettingsError, match="must be \\* or origins"):
        Settings.load({"cors_origins": text}, {})
