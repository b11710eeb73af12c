"""Limits and rules of the HTTP/1.1 parser, without a socket."""

from __future__ import annotations

import h11
import pytest

from daguerre.server.http.h11_connection import (
    EVENTS_PER_SLICE,
    MAX_BODY_CHUNKS,
    MAX_CHUNK_HEADER_BYTES,
    MAX_TARGET_BYTES,
    HttpConnection,
)

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1\r\na\r\n"


def parse(connection: HttpConnection, *received: bytes) -> list[str]:
    """The names of all events, parsed in as many slices as necessary."""
    names: list[str] = []
    for data in received:
        connection.receive_data(data)
        connection.is_interrupted = True
        while connection.is_interrupted:
            names += parse_slice(connection)
    return names


def parse_slice(connection: HttpConnection) -> list[str]:
    connection.start_slice()
    names = []
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        names.append(type(event).__name__)
    return names


def answer(connection: HttpConnection) -> None:
    """Send a response, so that the next request can be parsed."""
    for event in (h11.Response(status_code=204, headers=[]), h11.EndOfMessage()):
        connection.send(event)
    connection.start_next_cycle()


def broken_rule(*received: bytes) -> str:
    connection = HttpConnection()
    with pytest.raises(h11.RemoteProtocolError):
        parse(connection, *received)
    return connection.broken_rule


@pytest.mark.parametrize("control", ["\r", "\0", "\f", "\v", "\r\r"])
@pytest.mark.parametrize("value", ["Bearer inf-secret{}", "{}inf-secret", "inf-'secret'{}x"])
def test_control_character_in_a_header(value: str, control: str) -> None:
    """The message names the header, and does not repeat its value."""
    line = f"Authorization: {value.format(control)}\r\n"
    message = broken_rule(f"GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n".encode())
    assert "the header Authorization has a control character" in message
    assert "secret" not in message


@pytest.mark.parametrize("line", ["Key\x01: x", "inf-secret", "Key : x", ": x", "a" * 50 + ": \0"])
def test_invalid_header_line(line: str) -> None:
    """Another malformed header has no message of its own."""
    assert broken_rule(f"GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()) == ""


def test_slices() -> None:
    """A slice has a bounded number of events; the next one continues where it ended."""
    connection = HttpConnection()
    connection.receive_data(CHUNKED + CHUNK * 2 * EVENTS_PER_SLICE + b"0\r\n\r\n")
    slices: list[int] = []
    while not slices or connection.is_interrupted:
        slices.append(len(parse_slice(connection)))
    assert slices == [EVENTS_PER_SLICE, EVENTS_PER_SLICE, 2]
    assert not connection.has_unparsed_data


def test_chunks() -> None:
    """A body has a limited number of chunks, however it arrives; the next body starts anew."""
    connection = HttpConnection()
    for _ in range(2):
        events = parse(connection, CHUNKED, *[CHUNK] * MAX_BODY_CHUNKS, b"0\r\n\r\n")
        assert events == ["Request", *["Data"] * MAX_BODY_CHUNKS, "EndOfMessage"]
        answer(connection)
    expected = f"the body has more than {MAX_BODY_CHUNKS} chunks; send larger chunks"
    assert broken_rule(CHUNKED, CHUNK * (MAX_BODY_CHUNKS + 1)).startswith(expected)


def test_parts_of_one_chunk() -> None:
    """A chunk that arrives in many parts counts once."""
    connection = HttpConnection()
    size = MAX_BODY_CHUNKS * 2
    assert len(parse(connection, CHUNKED, b"%x\r\n" % size, *[b"a"] * size)) == size + 1


@pytest.mark.parametrize("start", [b"1;", b"0\r\n", b"0\r\na: b\r\n"])
def test_chunk_header_and_trailers(start: bytes) -> None:
    """A chunk extension or a trailer section that is too large is an error before its end."""
    parse(HttpConnection(), CHUNKED, start + b"a" * (MAX_CHUNK_HEADER_BYTES - 100))
    assert "a chunk header or the trailer section" in broken_rule(
        CHUNKED, start + b"a" * MAX_CHUNK_HEADER_BYTES, b"a"
    )


def test_trailers_are_ignored() -> None:
    """A short trailer section ends the body."""
    events = parse(HttpConnection(), CHUNKED + CHUNK + b"0\r\nContent-Length: 5\r\n\r\n")
    assert events == ["Request", "Data", "EndOfMessage"]


@pytest.mark.parametrize(
    "received", [[b"\r\n" + GET], [b"\r", b"\n", GET], [b"\r\n", GET], [b"\r\nGET", GET[3:]]]
)
def test_one_empty_line(received: list[bytes]) -> None:
    """One empty line before a request is skipped (RFC 9112, 2.2), also after another request."""
    connection = HttpConnection()
    assert parse(connection, *received) == ["Request", "EndOfMessage"]
    answer(connection)
    assert parse(connection, *received) == ["Request", "EndOfMessage"]


@pytest.mark.parametrize("received", [[b"\r\n\r\n" + GET], [b"\r\n", b"\r\n", GET], [b"\n" + GET]])
def test_more_empty_lines(received: list[bytes]) -> None:
    """A second empty line is an error, and so is one without a carriage return."""
    broken_rule(*received)


@pytest.mark.parametrize("swap", [False, True])
def test_two_lengths(swap: bool) -> None:
    """A request with both framing headers is rejected (RFC 9112, 6.1)."""
    framing = [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"]
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(framing[::-1] if swap else framing)
    assert broken_rule(head + b"\r\n0\r\n\r\nG" + GET) == (
        "the request has Content-Length and Transfer-Encoding; send one of them"
    )


def test_long_url() -> None:
    """A URL that is too long is rejected, because paths and queries are parsed several times."""
    get = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    assert parse(HttpConnection(), get % (b"a" * (MAX_TARGET_BYTES - 1))) == [
        "Request",
        "EndOfMessage",
    ]
    expected = f"the URL has {MAX_TARGET_BYTES + 1} bytes; the limit is {MAX_TARGET_BYTES} bytes"
    assert broken_rule(get % (b"a" * MAX_TARGET_BYTES)) == expected
