"""HTTP/1.1 over raw sockets: malformed, slow and partial requests, and rejected bodies."""

from __future__ import annotations

import json
import logging
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import MODEL, PATH, RunningServer, read_answer, running, wait_until

from daguerre.server.http import logs, parse_queue
from daguerre.server.http.h11_protocol import READ_CHUNK_BYTES, HttpProtocol

BODY = json.dumps({"model": MODEL, "prompt": "x"}).encode()
AUTHORITY = b"Host: x\r\n"


def error_code(headers: dict[str, str], body: bytes) -> int:
    assert headers["content-type"] == "application/json" and headers["x-request-id"]
    code = json.loads(body)["error"]["code"]
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client on the plain port
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\nHost: x\n" + b"a:b\n" * 200 + b"\n",
    ],
)
def test_malformed_http(server: RunningServer, sent: bytes) -> None:
    """Malformed HTTP gets the error object, and the connection is closed."""
    with server.connection() as connection:
        connection.sendall(sent)
        status, headers, body = read_answer(connection)
        assert (status, error_code(headers, body)) == (400, 400)
        assert headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_pipelined_head_with_many_lines(server: RunningServer) -> None:
    """The limit of lines also applies to a pipelined request."""
    with server.connection() as connection:
        connection.sendall(server.head(len(BODY)) + BODY)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 200 + b"\r\n")
        assert read_answer(connection)[0] == 200
        status, headers, body = read_answer(connection)
        assert (status, error_code(headers, body)) == (400, 400)
        assert b"lines" in body


def test_reads_are_small(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a client sends at once, each read is small, and nothing is read until it is
    parsed."""
    sizes = []
    original = HttpProtocol.data_received

    def counted(protocol: HttpProtocol, data: bytes) -> None:
        sizes.append(len(data))
        original(protocol, data)

    monkeypatch.setattr(HttpProtocol, "data_received", counted)
    chunks = b"40\r\n%s\r\n" % (b" " * 64) * 2000 + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    with server.connection() as connection:
        connection.sendall(server.head(None, extra="Transfer-Encoding: chunked\r\n") + chunks)
        assert read_answer(connection)[0] == 200
    assert sum(sizes) > len(chunks) and max(sizes) <= READ_CHUNK_BYTES


def test_unparsed_data_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read while pipelined requests wait to be parsed, so they use no memory."""
    unparsed = []
    original = HttpProtocol.data_received

    def measured(protocol: HttpProtocol, data: bytes) -> None:
        original(protocol, data)
        unparsed.append(len(protocol.conn.trailing_data[0]))

    monkeypatch.setattr(HttpProtocol, "data_received", measured)
    monkeypatch.setattr(parse_queue, "TURN_S", 0.0)  # one slice per turn
    count, request = 1000, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(tmp_path) as server, ExitStack() as opened:
        connections = [opened.enter_context(server.connection()) for _ in range(4)]
        for connection in connections:
            connection.sendall(request * count)
        for connection in connections:
            assert [read_answer(connection)[0] for _ in range(count)] == [200] * count
    assert sum(unparsed) and max(unparsed) <= 2 * READ_CHUNK_BYTES


def test_too_many_chunks(server: RunningServer) -> None:
    """A body in tiny chunks gets a 400 that says so, even if the client sends for longer."""
    with server.connection() as connection:
        connection.sendall(server.head(None, extra="Transfer-Encoding: chunked\r\n"))
        for _ in range(60):
            connection.sendall(b"1\r\n \r\n" * 2000)
        status, headers, body = read_answer(connection)
        assert (status, error_code(headers, body)) == (400, 400)
        assert headers["connection"] == "close"
        assert b"the body has more than 4096 chunks; send larger chunks" in body
        assert connection.recv(1) == b""
    wait_until(lambda: not server.engine.num_running)
    assert server.engine.params == []


def test_empty_line_before_a_request(server: RunningServer) -> None:
    """One empty line before a request is skipped, also one after the body before it."""
    with server.connection() as connection:
        for _ in range(2):
            connection.sendall(b"\r\n" + server.head(len(BODY)) + BODY)
            assert read_answer(connection)[0] == 200
        connection.sendall(b"\r\n" * 1000 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection)[0] == 400
        assert connection.recv(1) == b""


def test_two_framing_headers(server: RunningServer) -> None:
    """A request with Content-Length and Transfer-Encoding gets one 400 and ends the connection."""
    with server.connection() as connection:
        head = server.head(6, extra="Transfer-Encoding: chunked\r\n")
        connection.sendall(head + b"0\r\n\r\nGGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = read_answer(connection)
        assert (status, headers["connection"]) == (400, "close")
        assert b"send one of them" in body
        assert connection.recv(1) == b""


def test_rest_of_a_rejected_body_is_not_parsed(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a rejected chunked body is discarded unparsed."""
    parsed = []
    original = HttpProtocol.handle_events

    def counted(protocol: HttpProtocol) -> None:
        parsed.append(1)
        original(protocol)

    monkeypatch.setattr(HttpProtocol, "handle_events", counted)
    with server.connection() as connection:
        connection.sendall(
            server.head(None, key="inf-wrong", extra="Transfer-Encoding: chunked\r\n")
        )
        status, headers, _ = read_answer(connection)
        assert (status, headers["connection"]) == (401, "close")
        before = len(parsed)
        for _ in range(5):
            connection.sendall(b"1\r\na\r\n" * 1000)
            time.sleep(0.05)
        assert len(parsed) == before


def test_malformed_chunk(server: RunningServer) -> None:
    """A malformed chunk inside a body is a 400."""
    with server.connection() as connection:
        connection.sendall(
            server.head(None, extra="Transfer-Encoding: chunked\r\n") + b"5\r\nabcde\r\n"
        )
        time.sleep(0.05)
        connection.sendall(b"zz\r\n")
        status, headers, body = read_answer(connection)
    assert (status, error_code(headers, body)) == (400, 400)
    assert server.generate().status_code == 200


def test_chunked_body(server: RunningServer) -> None:
    """A chunked body is accepted."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:]))
    with server.connection() as connection:
        head = server.head(None, extra="Transfer-Encoding: chunked\r\n")
        connection.sendall(head + chunks + b"0\r\n\r\n")
        assert read_answer(connection)[0] == 200


def test_truncated_body(server: RunningServer) -> None:
    """A client that disconnects before the end of its body starts no job."""
    with server.connection() as connection:
        connection.sendall(server.head(len(BODY)) + BODY[:-5])
        time.sleep(0.05)
    assert server.generate().status_code == 200
    assert len(server.engine.params) == 1


def test_too_large_content_length(server: RunningServer) -> None:
    """A Content-Length over the limit is rejected before the body arrives."""
    with server.connection() as connection:
        connection.sendall(server.head(10**12))
        status, headers, body = read_answer(connection)
    assert (status, error_code(headers, body)) == (413, 413)
    assert headers["connection"] == "close"


def test_too_large_while_it_arrives(server: RunningServer) -> None:
    """A chunked body is rejected as soon as it exceeds the limit."""
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with server.connection() as connection:
        connection.sendall(server.head(None, extra="Transfer-Encoding: chunked\r\n") + chunk * 9)
        status, headers, body = read_answer(connection)
        assert (status, error_code(headers, body)) == (413, 413)
        # Data sent after the response does not reset the connection.
        connection.sendall(chunk)


def test_invalid_key_with_an_endless_body(server: RunningServer) -> None:
    """An invalid key is rejected before its body has arrived, and the connection is closed."""
    with server.connection() as connection:
        connection.sendall(server.head(10**9, key="inf-wrong") + b"x" * 300_000)
        status, headers, body = read_answer(connection)
        assert (status, error_code(headers, body)) == (401, 401)
        assert headers["connection"] == "close"
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"x" * 100_000)
                time.sleep(0.1)


def test_small_rejected_body_keeps_the_connection(server: RunningServer) -> None:
    """After a 401 that precedes a small body, the connection accepts the next request."""
    with server.connection() as connection:
        connection.sendall(server.head(len(BODY), key="inf-wrong"))
        assert read_answer(connection)[0] == 401
        connection.sendall(BODY + server.head(len(BODY)) + BODY)
        assert read_answer(connection)[0] == 200


def test_keep_alive_after_a_rejected_body(tmp_path: Path) -> None:
    """A connection whose body arrived after its 401 is idle: it gets no 408, and is closed after
    the keep-alive timeout."""
    with running(tmp_path, request_read_timeout_s=0.1) as server:
        server.server.config.timeout_keep_alive = 1
        with server.connection() as connection:
            for _ in range(3):
                connection.sendall(server.head(len(BODY), key="inf-wrong"))
                assert read_answer(connection)[0] == 401
                connection.sendall(BODY)
                time.sleep(0.3)
            assert connection.recv(1) == b""


def test_malformed_http_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many malformed requests cause one throttled log line and none of uvicorn's."""
    monkeypatch.setattr(logs, "THROTTLE_S", 600.0)  # longer than the test on a busy machine
    with running(tmp_path) as server:
        for _ in range(20):
            with server.connection() as connection:
                connection.sendall(b"garbage\r\n\r\n")
                assert read_answer(connection)[0] == 400
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == "1 malformed HTTP requests rejected"


def test_expect_continue(server: RunningServer) -> None:
    """`Expect: 100-continue` gets 100 with a valid key and 401 without."""
    with server.connection() as connection:
        connection.sendall(server.head(len(BODY), extra="Expect: 100-continue\r\n"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert read_answer(connection)[0] == 200
    with server.connection() as connection:
        connection.sendall(server.head(9, key="inf-wrong", extra="Expect: 100-continue\r\n"))
        status, headers, _ = read_answer(connection)
        assert (status, headers["connection"]) == (401, "close")


def test_slow_body(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A body that does not arrive in time is a 408, even if it sends single bytes."""
    with running(tmp_path_factory.mktemp("slow"), request_read_timeout_s=0.3) as server:
        with server.connection() as connection:
            connection.sendall(server.head(len(BODY)))
            for i in range(5):
                connection.sendall(BODY[i : i + 1])
                time.sleep(0.05)
            status, headers, body = read_answer(connection)
            assert (status, error_code(headers, body)) == (408, 408)
            assert headers["connection"] == "close"


def test_slow_head(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A head that does not arrive in time is a 408, on a new and on a reused connection."""
    with running(tmp_path_factory.mktemp("slow"), request_read_timeout_s=0.3) as server:
        for before in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
            with server.connection() as connection:
                connection.sendall(before)
                if before:
                    assert read_answer(connection)[0] == 200
                connection.sendall(b"GET /heal")
                status, headers, body = read_answer(connection)
                assert (status, error_code(headers, body)) == (408, 408)
                assert connection.recv(1) == b""


def test_slow_rest_of_a_rejected_body(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A rejected client cannot keep its connection open by sending single bytes."""
    with running(tmp_path_factory.mktemp("slow"), request_read_timeout_s=0.3) as server:
        with server.connection() as connection:
            connection.sendall(server.head(60_000, key="inf-wrong"))
            assert read_answer(connection)[0] == 401
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    connection.sendall(b"x")
                    time.sleep(0.05)


def test_idle_connection_outlives_the_head_timeout(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The head timeout does not apply to an idle connection of a client's pool."""
    with running(tmp_path_factory.mktemp("idle"), request_read_timeout_s=0.1) as server:
        with server.connection() as connection:
            for _ in range(2):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_answer(connection)[0] == 200
                time.sleep(0.3)


def test_job_outlives_the_head_timeout(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The head timeout does not apply to the job."""
    with running(tmp_path_factory.mktemp("long"), request_read_timeout_s=0.1) as server:
        server.engine.is_held = True
        with server.connection() as connection:
            connection.sendall(server.head(len(BODY)) + BODY)
            wait_until(lambda: server.engine.num_running == 1)
            time.sleep(0.3)
            server.engine.is_held = False
            assert read_answer(connection)[0] == 200


def test_pipelined_requests(server: RunningServer) -> None:
    """Two pipelined requests get two responses in order."""
    with server.connection() as connection:
        one = server.head(len(BODY)) + BODY
        connection.sendall(one + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while received := connection.recv(65536):
            data += received
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.index(b"b64_json") < data.index(b'"alive"')


def test_upgrade_is_ignored(server: RunningServer) -> None:
    """A request for a protocol upgrade is answered in HTTP."""
    with server.connection() as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert read_answer(connection)[0] == 200


def test_http_1_0(server: RunningServer) -> None:
    """An HTTP/1.0 client gets its response, and the connection is closed."""
    with server.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_answer(connection)[0] == 200
        assert connection.recv(1) == b""


def test_body_on_a_get(server: RunningServer) -> None:
    """The body of a GET is ignored."""
    with server.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert read_answer(connection)[0] == 200
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % PATH.encode())
        assert read_answer(connection)[0] == 405


def test_nagle_is_off(server: RunningServer) -> None:
    """TCP_NODELAY is set, so a response body does not wait 40 ms for a delayed acknowledgement."""
    with server.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(connection)
        [protocol] = [
            one
            for one in server.server.server_state.connections
            if one.transport.get_extra_info("peername") == connection.getsockname()
        ]
        accepted = protocol.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
