"""What answers tell browsers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import MODEL, PATH, RunningServer, error_of, running
from starlette.datastructures import MutableHeaders

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.server.http.security_headers import add_security_headers

SITE = "https://app.example.com"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    origins = f"{SITE}, http://localhost:5173"
    cors_origins = Settings.load({"cors_origins": origins}, {}).cors_origins
    with running(tmp_path_factory.mktemp("open"), cors_origins=cors_origins) as server:
        yield server


def allowed(headers: object) -> list[str]:
    return [name for name in headers if name.startswith("access-control")]  # type: ignore[attr-defined]


def test_pages(server: RunningServer) -> None:
    """A page is shown in no frame, tells nobody where its reader came from, and loads nothing."""
    headers = server.client.get("/docs").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_page_without_a_policy() -> None:
    """A page that brings no policy may do nothing; one that brings its own keeps it."""
    for own in ("", "default-src 'self'"):
        sent = {"content-type": "text/html; charset=utf-8"}
        headers = MutableHeaders(sent | ({"content-security-policy": own} if own else {}))
        add_security_headers(headers)
        assert headers["content-security-policy"].startswith(own or "default-src 'none'")


@pytest.mark.parametrize("path", ["/docs", "/healthz", "/nothing", PATH, "/metrics"])
def test_every_answer_is_what_it_says(server: RunningServer, path: str) -> None:
    """Browsers are told not to guess what an answer is; who serves it is told nobody."""
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_other_sites_are_off(server: RunningServer) -> None:
    """Unless it is set, no answer allows another site's scripts anything."""
    for method, path in (("GET", "/healthz"), ("OPTIONS", PATH), ("POST", PATH)):
        answer = server.client.request(method, path, headers={"origin": SITE, **ASKS})
        assert allowed(answer.headers) == []


def test_site_that_may_call(open_server: RunningServer) -> None:
    """A named site may ask, send any header, and read images, their headers, and errors."""
    for origin in (SITE, "http://localhost:5173"):
        asked = open_server.client.options(PATH, headers={"origin": origin, **ASKS})
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == origin
        assert asked.headers["access-control-allow-headers"] == "authorization"
    image = open_server.post({"model": MODEL, "prompt": "x"}, origin=SITE)
    refused = open_server.post(b"{", origin=SITE)
    for answer, status in ((image, 200), (refused, 400)):
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == SITE
        assert "x-seed" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


def test_site_that_may_not(open_server: RunningServer) -> None:
    """Another site is told so by an error object, and its scripts can read nothing."""
    for origin in ("https://evil.example", SITE + ".evil.example", "null"):
        asked = open_server.client.options(PATH, headers={"origin": origin, **ASKS})
        assert origin in error_of(asked)["message"]
        got = open_server.client.get("/healthz", headers={"origin": origin})
        for answer in (asked, got):
            assert "access-control-allow-origin" not in answer.headers
            assert "Origin" in answer.headers["vary"]


def test_method_that_may_not(open_server: RunningServer) -> None:
    """A site that may call may not call in every way."""
    asks = {"origin": SITE, **ASKS, "access-control-request-method": "DELETE"}
    error = error_of(open_server.client.options(PATH, headers=asks))
    assert (error["code"], "GET and POST" in error["message"]) == (400, True)


def test_any_site() -> None:
    """The star is all sites, and blanks are nobody."""
    assert Settings.load({"cors_origins": "*"}, {}).cors_origin_list() == ("*",)
    assert Settings.load({"cors_origins": " , "}, {}).cors_origin_list() == ()


@pytest.mark.parametrize(
    "text", ["app.example.com", f"{SITE}/", f"{SITE}/path", "https://A.example", "ftp://x", "*.x"]
)
def test_what_is_no_origin(text: str) -> None:
    """What no browser would send as an origin could never match, and is refused at the start."""
    with pytest.raises(SettingsError, match="must be \\* or origins"):
        Settings.load({"cors_origins": text}, {})
