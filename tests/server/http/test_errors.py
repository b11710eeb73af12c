"""The reason phrase of error responses."""

from __future__ import annotations

import re

import pytest
from conftest import MODEL, PATH, RunningServer, error_of
from hypothesis import given
from hypothesis import strategies as st

from daguerre.errors import QueueFullError
from daguerre.server.http.errors import MAX_REASON_CHARS, reason_phrase
from daguerre.server.http.h11_connection import REASON_HEADER

INJECTED = "x\r\nSet-Cookie: a=b\r\n\r\n<html>"


@given(st.text(max_size=200) | st.text("ab \r\n山", max_size=400))
def test_reason_phrase(message: str) -> None:
    """The phrase is one short line of printable ASCII."""
    phrase = reason_phrase(message)
    assert re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?|", phrase)
    assert len(phrase) <= MAX_REASON_CHARS


@pytest.mark.parametrize(
    ("message", "phrase"),
    [
        ("size is 1x1", "size is 1x1"),
        ("a  b\tc\r\nd: e", "a b c d: e"),
        ('prompt is "山\x1b[31m"; it must be ü', 'prompt is "? [31m"; it must be ?'),
        ("word " * 50, "word " * 23 + "word"),
        ("a" * 500, "a" * 120),
        ("", ""),
    ],
)
def test_first_words(message: str, phrase: str) -> None:
    """A long message is cut between words; other characters are replaced."""
    assert reason_phrase(message) == phrase


def test_every_error_has_a_reason(server: RunningServer) -> None:
    """Errors of endpoints, of unknown paths and methods, and before the body carry the phrase."""
    full = {"model": MODEL, "prompt": "x"}
    server.engine.refusal = QueueFullError("the queue is full")
    for response in (
        server.post({"model": MODEL}),
        server.post({**full, "size": INJECTED}),
        server.post({**full, INJECTED: 1}),
        server.post(full, key="inf-wrong"),
        server.post({**full, "model": "山"}),
        server.post(b"x" * 300_000),
        server.post(full),
        server.post({**full, "stream": True}),
        server.client.get("/nowhere"),
        server.client.get("/%0d%0aSet-Cookie:x=1"),
        server.client.get(PATH),
    ):
        assert response.reason_phrase == reason_phrase(error_of(response)["message"])
        assert not {REASON_HEADER, "set-cookie"} & set(response.headers)
    server.engine.refusal = None
    assert server.post(full).reason_phrase == "OK"


def test_reason_of_malformed_http(server: RunningServer) -> None:
    """Errors of the protocol carry the phrase, too."""
    with server.connection() as connection:
        connection.sendall(b"garbage\r\n\r\n")
        first = connection.makefile("rb").readline()
    assert first == b"HTTP/1.1 400 the request is not valid HTTP/1.1\r\n"
