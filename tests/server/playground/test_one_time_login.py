"""The one-time login link: it works once, on this machine, and is never logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunningServer, error_of, running

from daguerre.server.playground.one_time_login import FRAGMENT, OneTimeLogin, is_loopback

PATH = "/playground/sign-in"


@pytest.fixture
def one_time_login() -> OneTimeLogin:
    return OneTimeLogin()


@pytest.fixture
def server(tmp_path: Path, one_time_login: OneTimeLogin) -> Iterator[RunningServer]:
    with running(tmp_path, one_time_login=one_time_login) as server:
        yield server


def token_of(link: str) -> str:
    start, _, token = link.partition(FRAGMENT)
    assert start == "/#" and len(token) >= 43  # 256 bits
    return token


def test_works_once(
    server: RunningServer, one_time_login: OneTimeLogin, caplog: pytest.LogCaptureFixture
) -> None:
    """The token returns its key once; neither is logged, and the response is not cached."""
    caplog.set_level(logging.DEBUG)
    token = token_of(one_time_login.issue(server.key))
    first = server.client.post(PATH, json={"token": token})
    assert first.json() == {"key": server.key}
    assert first.headers["cache-control"] == "no-store"
    second = server.client.post(PATH, json={"token": token})
    assert second.status_code == 401 and error_of(second)["param"] == "token"
    assert token not in caplog.text and server.key not in caplog.text


def test_each_link_has_its_own_key(server: RunningServer, one_time_login: OneTimeLogin) -> None:
    """Two links have two tokens, and using one leaves the other valid."""
    tokens = [token_of(one_time_login.issue(key)) for key in ("inf-one", "inf-two")]
    answers = [server.client.post(PATH, json={"token": token}).json() for token in tokens[::-1]]
    assert answers == [{"key": "inf-two"}, {"key": "inf-one"}]


def test_wrong_token_keeps_the_link_valid(
    server: RunningServer, one_time_login: OneTimeLogin
) -> None:
    """A wrong token is refused, and the link still works."""
    token = token_of(one_time_login.issue(server.key))
    assert server.client.post(PATH, json={"token": "x" * 43}).status_code == 401
    assert server.client.post(PATH, json={"token": token}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"token": 5}, {"token": "x", "key": "y"}, {"tokn": "x"}])
def test_wrong_body(server: RunningServer, body: dict[str, object]) -> None:
    """A body with anything but a token is refused with the name of the field."""
    response = server.client.post(PATH, json=body)
    assert error_of(response)["param"] == "token" and response.status_code == 400


def test_large_body(server: RunningServer) -> None:
    """A large body without a key is refused."""
    assert server.client.post(PATH, json={"token": "x" * 5000}).status_code == 413


@pytest.mark.parametrize(
    ("host", "is_near"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True)),
        *(("localhost", True), ("0.0.0.0", False), ("192.168.0.4", False), ("::", False)),
        *(("example.com", False), ("127.0.0.1.example.com", False), ("", False)),
    ],
)
def test_is_loopback(host: str, is_near: bool) -> None:
    """Only loopback addresses count as local."""
    assert is_loopback(host) == is_near
