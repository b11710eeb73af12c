"""Authentication: accepted and rejected keys, and its precedence over the body."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import MODEL, PATH, RunningServer, error_of, read_answer

from daguerre.storage import database_threads

BODY = {"model": MODEL, "prompt": "a red fox"}


def status_for(server: RunningServer, authorization: str) -> int:
    """Status of GET /v1/models with this exact header text, which HTTP clients would normalize."""
    head = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization:{authorization}\r\n\r\n"
    with server.connection() as connection:
        connection.sendall(head.encode("latin-1"))
        return read_answer(connection)[0]


@pytest.mark.parametrize(
    "form", [" Bearer {}", "bearer {}", " BEARER   {}", " \tBearer {} \t", "Bearer\t{}"]
)
def test_accepted_forms(server: RunningServer, form: str) -> None:
    """The scheme may have any case, and any white space may surround scheme and key."""
    assert status_for(server, form.format(server.key)) == 200


@pytest.mark.parametrize("form", [" Bearer  ", " ", " Bearer{}", " Bearer {} {}", " {}"])
def test_refused_forms(server: RunningServer, form: str) -> None:
    """A valid key in another form is rejected."""
    assert status_for(server, form.format(*[server.key] * 2)) == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer inf-wrong"},
        {"authorization": "Bearer inf-\xff\xfe"},
        {"authorization": "Basic aW5mLXdyb25n"},
        {"authorization": "inf-wrong"},
        {"authorization": "Bearer " + "x" * 10_000},
        {"x-api-key": "inf-wrong"},
    ],
)
@pytest.mark.parametrize("method_and_path", [("POST", PATH), ("GET", "/v1/models")])
def test_refused(
    server: RunningServer, headers: dict[str, str], method_and_path: tuple[str, str]
) -> None:
    """Without a valid key the response is a 401 with WWW-Authenticate and does not show the key."""
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    response = server.client.request(*method_and_path, headers=raw)  # type: ignore[arg-type]
    error = error_of(response)
    assert (response.status_code, error["type"]) == (401, "authentication_error")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "wrong" not in response.text
    assert "x-ratelimit-limit-requests" not in response.headers


def test_key_with_a_carriage_return(server: RunningServer) -> None:
    """A key from a file with Windows line ends is a 400 that names the header."""
    head = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\r\n\r\n"
    with server.connection() as connection:
        connection.sendall(head.encode())
        status, _, body = read_answer(connection)
    assert status == 400 and b"the header Authorization has a control character" in body
    assert server.key.encode() not in body


def test_two_headers(server: RunningServer) -> None:
    """Two Authorization headers are rejected even if one of them is valid."""
    good = ("authorization", f"Bearer {server.key}")
    response = server.client.post(PATH, json=BODY, headers=[good, ("authorization", "Bearer x")])
    assert error_of(response)["code"] == 401


def test_key_is_checked_before_the_body(server: RunningServer) -> None:
    """An invalid key is reported before an invalid body."""
    assert error_of(server.post(b"{", key="inf-wrong"))["code"] == 401
    assert error_of(server.post(b"x" * 300_000, key="inf-wrong"))["code"] == 401


def test_rotation_and_revocation(server: RunningServer) -> None:
    """A rotated key and the key of a destroyed resource are rejected from the next request on."""
    _, first = server.resources.create(MODEL, "SHORT_LIVED")
    assert server.post(BODY, key=first).status_code == 200
    second = server.resources.rotate("SHORT_LIVED")
    assert error_of(server.post(BODY, key=first))["code"] == 401
    assert server.post(BODY, key=second).status_code == 200
    server.resources.destroy("SHORT_LIVED")
    assert error_of(server.post(BODY, key=second))["code"] == 401


def test_other_model(server: RunningServer) -> None:
    """A valid key gives no access to another model."""
    error = error_of(server.post({**BODY, "model": "stable-image-core"}))
    assert (error["code"], error["type"], error["param"]) == (403, "authorization_error", "model")
    assert error["message"].startswith("you do not have access to that model")


def test_model_that_is_not_served(server: RunningServer) -> None:
    """A resource for a model that is not served gets a 404 with the served models."""
    _, key = server.resources.create("gone", "GONE")
    error = error_of(server.post({**BODY, "model": "gone"}, key=key))
    assert (error["code"], error["param"]) == (404, "model")
    assert MODEL in error["message"]
    server.resources.destroy("GONE")


def test_a_slow_database_blocks_no_other_request(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the database does not respond, other requests work; the request gets a 503, and
    the log has the cause."""
    is_called, is_over = threading.Event(), threading.Event()

    def silent(key: str) -> None:
        is_called.set()
        is_over.wait(20)

    monkeypatch.setattr(server.resources, "authenticate", silent)
    monkeypatch.setattr(database_threads, "CALL_TIMEOUT_S", 1.0)
    with ThreadPoolExecutor(1) as pool:
        head = {"authorization": f"Bearer {server.key}"}
        waiting = pool.submit(server.client.get, "/v1/models", headers=head)
        assert is_called.wait(20)
        assert server.client.get("/healthz").status_code == 200
        assert not waiting.done()
        answer = waiting.result(20)
        is_over.set()
    assert answer.status_code == 503
    assert "database" in error_of(answer)["message"]
    assert "did not respond" in caplog.text
