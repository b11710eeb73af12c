"""Security headers and CORS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
        assert "access-control-allow-credentials" not in answer.headers


def test_exposed_headers(cors_server: RunningServer) -> None:
    """Scripts can read every header but those of the transport and of the browser's own checks."""
    body = {"model": MODEL, "prompt": "x", "response_format": "url"}
    limited = cors_server.limited(1)
    url = cors_server.post(body, idempotency_key="k").json()["data"][0]["url"]
    cors_server.post(body, key=limited)
    get = cors_server.client.get
    answers = {
        200: cors_server.post(body, idempotency_key="k", origin=ORIGIN),
        401: cors_server.post(body, key="inf-x", origin=ORIGIN),
        405: get(PATH, headers={"origin": ORIGIN}),
        409: cors_server.post({**body, "n": 1, "seed": 1}, idempotency_key="k", origin=ORIGIN),
        429: cors_server.post(body, key=limited, origin=ORIGIN),
        206: get(url, headers={"origin": ORIGIN, "range": "bytes=0-0"}),
    }
    found: set[str] = set()
    for status, answer in answers.items():
        assert answer.status_code == status
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        found |= set(answer.headers) - exposed
    assert {"x-batching-mode", "idempotent-replayed", "x-should-retry"} <= exposed
    # Of no use to scripts, or readable without being named (the last line).
    assert found <= {
        *("access-control-allow-origin", "access-control-expose-headers", "vary", "date"),
        *("connection", "x-content-type-options"),
        *("cache-control", "content-length", "content-type"),
    }


def test_unhandled_error(cors_server: RunningServer) -> None:
    """Scripts can also read the error of a request that fails inside the server."""
    cors_server.engine.refusal = RuntimeError("broken")
    answer = cors_server.post({"model": MODEL, "prompt": "x"}, origin=ORIGIN)
    cors_server.engine.reset()
    assert error_of(answer)["code"] == 500
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_private_network(cors_server: RunningServer, tmp_path: Path) -> None:
    """A named origin may call a server in a private network; * is not enough."""
    asks = {"origin": ORIGIN, **PREFLIGHT, "access-control-request-private-network": "true"}
    named = cors_server.client.options(PATH, headers=asks)
    assert (named.status_code, named.content) == (204, b"")
    assert named.headers["access-control-allow-private-network"] == "true"
    with running(tmp_path, cors_origins="*") as server:
        refused = server.client.options(PATH, headers=asks)
    assert "name the origin" in error_of(refused)["message"]
    assert "access-control-allow-private-network" not in refused.headers


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
    """An allowed origin may only send GET, HEAD and POST."""
    headers = {"origin": ORIGIN, **PREFLIGHT, "access-control-request-method": "DELETE"}
    error = error_of(cors_server.client.options(PATH, headers=headers))
    assert error["code"] == 400
    assert '"DELETE"; they may send GET, HEAD, POST' in error["message"]


def test_setting() -> None:
    """`*` allows all origins; a blank setting allows none."""
    assert Settings.load({"cors_origins": "*"}, {}).cors_origin_list() == ("*",)
    assert Settings.load({"cors_origins": " , "}, {}).cors_origin_list() == ()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://App.Example.com:443", "https://app.example.com"),
        ("http://localhost:080", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("http://192.168.1.10:08080", "http://192.168.1.10:8080"),
        ("http://my_host", "http://my_host"),
        ("app://.", "app://."),
        ("app://obsidian.md", "app://obsidian.md"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("TAURI://localhost", "tauri://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        (
            "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e",
            "moz-extension://0f8fad5b-d9cb-469f-a165-70867728950e",
        ),
        ("null", "null"),
    ],
)
def test_origin_as_sent(text: str, sent: str) -> None:
    """A setting is converted to what browsers send."""
    assert Settings.load({"cors_origins": f"*, {text}"}, {}).cors_origins == f"*,{sent}"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "app.example.com",
            f"{ORIGIN}/",
            f"{ORIGIN}/path",
            "ftp://x",
            "*.x",
            "file://",
            "wss://x",
        ),
        *("https://*.example.com", "https://bücher.example", "https://x:99999", "https://x:"),
        *("http://1.2.3", "http://0x7f.1", "http://[::1", "http://[::g]", "http://a..b"),
        *("https://user@x", "https://x?", "https://%61", "://x", "*://x", "NULL"),
    ],
)
def test_invalid_origin(text: str) -> None:
    """An origin that no browser sends is an error."""
    with pytest.raises(SettingsError, match="must be \\* or origins"):
        Settings.load({"cors_origins": f"{ORIGIN},{text}"}, {})
