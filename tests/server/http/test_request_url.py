"""Path prefixes, and the headers of trusted proxies."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MODEL, RunningServer, error_of, read_answer, running, wait_until

from daguerre.server.http.request_url import normalize_path
from daguerre.server.http.trusted_proxies import TrustedProxies
from daguerre.server.playground.one_time_login import FRAGMENT, OneTimeLogin

PREFIX = "/ai/images"
URL_BODY = {"model": MODEL, "prompt": "x", "response_format": "url"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server behind a proxy on this machine that keeps a prefix."""
    folder = tmp_path_factory.mktemp("behind")
    with running(folder, root_path=PREFIX, trusted_proxies="127.0.0.0/8") as server:
        yield server


@pytest.mark.parametrize(
    ("path", "normalized"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/ai/images", "/"),
        ("/ai/images/", "/"),
        ("//ai/images//v1/v1/models/", "/v1/models"),
        ("/ai/imagesx", "/ai/imagesx"),
        ("/v1/v1x", "/v1/v1x"),
        ("/v1/models/v1/v1", "/v1/models/v1/v1"),
        ("*", "*"),
    ],
)
def test_normalized_path(path: str, normalized: str) -> None:
    """Only a whole prefix is removed, and only at the start."""
    assert normalize_path(path, PREFIX) == normalized


def test_path_prefix(behind: RunningServer) -> None:
    """Paths with and without the prefix are served; links have it."""
    for base in ("", PREFIX):
        bearer = {"authorization": f"Bearer {behind.key}"}
        assert behind.client.get(base + "/v1/models", headers=bearer).status_code == 200
        assert behind.client.get(base + "/healthz").status_code == 200
        assert error_of(behind.client.get(base + "/nothing"))["code"] == 404
        response = behind.client.get(base + "/openapi.json")
        assert response.headers["cache-control"] == "no-store"  # it depends on the request
        document = response.json()
        assert document["servers"] == [{"url": str(behind.client.base_url).rstrip("/") + PREFIX}]
    [image] = behind.post(URL_BODY).json()["data"]
    assert f"{PREFIX}/v1/images/files/" in image["url"]
    assert behind.client.get(image["url"]).status_code == 200


@pytest.mark.parametrize("path", [PREFIX, PREFIX + "/"])
def test_page(behind: RunningServer, path: str) -> None:
    """The page's relative URLs resolve, whether or not its URL has a trailing slash."""
    response = behind.client.get(path, follow_redirects=True)
    assert response.url.path == PREFIX + "/" and "<html" in response.text
    assert behind.client.get(response.url.join("playground/app.js")).status_code == 200


@pytest.mark.parametrize("path", [PREFIX + "/docs", PREFIX + "/docs/", "/docs"])
def test_link_of_the_documentation(behind: RunningServer, path: str) -> None:
    """The link to the document resolves."""
    response = behind.client.get(path)
    link = response.text.partition('href="')[2].partition('"')[0]
    assert behind.client.get(response.url.join(link)).json()["openapi"]


def test_links_behind_a_proxy(behind: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """Links have the scheme and host that a trusted proxy received; the log has the client."""
    caplog.set_level(logging.INFO)
    forwarded = {
        "x_forwarded_proto": "https",
        "x_forwarded_host": "images.example.com",
        "x_forwarded_for": "203.0.113.7",
        "x_request_id": "forwarded",
    }
    [image] = behind.post(URL_BODY, **forwarded).json()["data"]
    assert image["url"].startswith(f"https://images.example.com{PREFIX}/v1/images/files/")
    line = "request_id=forwarded client=203.0.113.7 resource=DIFFUSION"
    wait_until(lambda: line in caplog.text)


def test_absolute_form(behind: RunningServer) -> None:
    """The host of a target in absolute form replaces the Host header."""
    head = b"GET http://other.example:8000/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with behind.connection() as connection:
        connection.sendall(head)
        _, _, body = read_answer(connection)
    assert json.loads(body)["servers"] == [{"url": f"http://other.example:8000{PREFIX}"}]


def test_login_through_a_proxy(tmp_path: Path) -> None:
    """A sign-in link works only on this machine, which a trusted proxy's header decides."""
    login = OneTimeLogin()
    with running(tmp_path, login, trusted_proxies="127.0.0.1") as server:
        token = login.issue(server.key).partition(FRAGMENT)[2]
        for client, status in (("203.0.113.7", 401), ("127.0.0.1", 200)):
            response = server.client.post(
                "/playground/sign-in", json={"token": token}, headers={"x-forwarded-for": client}
            )
            assert response.status_code == status


def client_scope(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    client = None if peer is None else (peer, 1234)
    scope = {"type": "http", "scheme": "http", "client": client, "headers": raw}
    changed = TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]).to_client_scope(scope)
    hosts = [value.decode() for name, value in changed["headers"] if name == b"host"]
    return {
        "client": changed["client"] and changed["client"][0],
        "scheme": changed["scheme"],
        "host": hosts[0] if hosts else None,
    }


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.7, 10.1.1.1"], "203.0.113.7"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("fd00::1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("192.0.2.1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, <script>"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.2", ["203.0.113.7"], "192.0.2.2"),
        ("::1", ["203.0.113.7"], "::1"),
        ("", ["203.0.113.7"], ""),
        (None, ["203.0.113.7"], None),
    ],
)
def test_client_address(peer: str | None, forwarded: list[str], client: str | None) -> None:
    """The client is the last address that no trusted proxy has."""
    headers = [("x-forwarded-for", value) for value in forwarded]
    assert client_scope(peer, *headers)["client"] == client


@pytest.mark.parametrize(
    ("headers", "scheme", "host"),
    [
        ({"x-forwarded-proto": "https"}, "https", "inner"),
        ({"x-forwarded-proto": "HTTPS, http"}, "https", "inner"),
        ({"x-forwarded-proto": "gopher"}, "http", "inner"),
        ({"x-forwarded-host": "outer:8443"}, "http", "outer:8443"),
        ({"x-forwarded-host": "outer, middle"}, "http", "outer"),
        ({"x-forwarded-host": ""}, "http", "inner"),
    ],
)
def test_scheme_and_host(headers: dict[str, str], scheme: str, host: str) -> None:
    """Scheme and host are the first of a trusted proxy's values; other peers' are ignored."""
    sent = [("host", "inner"), *headers.items()]
    trusted, other = client_scope("10.0.0.1", *sent), client_scope("127.0.0.1", *sent)
    assert (trusted["scheme"], trusted["host"]) == (scheme, host)
    assert (other["scheme"], other["host"]) == ("http", "inner")


def test_unknown_proxy_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Headers that are ignored cause one warning, which names the peer and the setting."""
    proxies = TrustedProxies([])
    for peer in ("127.0.0.1", "127.0.0.2"):
        headers = [(b"x-forwarded-proto", b"https")]
        proxies.to_client_scope({"client": (peer, 1), "headers": headers})
    [record] = caplog.records
    assert "of 127.0.0.1 are ignored" in record.getMessage()
    assert "trusted_proxies" in record.getMessage()
