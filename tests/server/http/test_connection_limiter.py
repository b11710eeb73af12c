"""More connections than the server takes, and clients that do not read their answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import MODEL, RunningServer, read_answer, running, wait_until

from daguerre.config import Settings
from daguerre.errors import RateLimitError, SettingsError, UnavailableError
from daguerre.server.http import connection_limiter as crowd_module
from daguerre.server.http import h11_protocol as connection_module
from daguerre.server.http.connection_limiter import (
    MAX_REFUSED,
    ConnectionLimiter,
    clamp_to_open_file_limit,
    client_network,
)
from daguerre.server.routes import generations

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = json.dumps({"model": MODEL, "prompt": "x"}).encode()


@dataclass(eq=False)
class Client:
    is_idle: bool = False
    is_dropped: bool = False

    def is_quiet(self) -> bool:
        return self.is_idle

    def drop(self) -> None:
        self.is_dropped = True


def test_the_longest_quiet_makes_room() -> None:
    """Of the idle connections the one that was heard longest ago goes; a busy one never does."""
    crowd = ConnectionLimiter(3)
    busy, old, young = Client(), Client(is_idle=True), Client(is_idle=True)
    assert not any(crowd.enter(client) for client in (busy, old, young))
    crowd.note(old)
    assert crowd.enter(Client()) is None
    assert (busy.is_dropped, old.is_dropped, young.is_dropped) == (False, False, True)
    assert crowd.enter(Client()) is None
    assert (busy.is_dropped, old.is_dropped) == (False, True)
    assert isinstance(crowd.enter(Client()), UnavailableError)
    crowd.leave(busy)
    assert crowd.enter(Client()) is None


def test_an_address_has_its_share() -> None:
    """Who has as many as an address may gives up an idle one of its own, or is refused; others
    come in, and are not made room for by it."""
    crowd = ConnectionLimiter(4, max_per_address=2)
    idle, busy, other = Client(is_idle=True), Client(), Client(is_idle=True)
    assert crowd.enter(other, "b") is None
    assert [crowd.enter(client, "a") for client in (idle, busy)] == [None, None]
    assert crowd.enter(Client(), "a") is None
    assert (idle.is_dropped, other.is_dropped) == (True, False)
    refusal = crowd.enter(Client(), "a")
    assert isinstance(refusal, RateLimitError) and "2 connections from this address" in str(refusal)
    assert crowd.enter(Client(), "b") is None
    crowd.leave(busy)
    assert crowd.enter(Client(), "a") is None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_client_network(one: str, other: str, is_same: bool) -> None:
    """An IPv6 /64 network counts as one client, and a mapped IPv4 address as that IPv4 address."""
    assert (client_network(one) == client_network(other)) == is_same


def test_few_refused_may_stay() -> None:
    """Refused connections take places of their own, and not many."""
    crowd = ConnectionLimiter(1)
    refused = [Client() for _ in range(MAX_REFUSED + 1)]
    assert [crowd.may_stay(client) for client in refused] == [True] * MAX_REFUSED + [False]
    crowd.leave(refused[0])
    assert crowd.may_stay(refused[-1])


def test_as_many_as_there_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of open files goes before the setting; too low a limit is told at the start."""
    for limit, expected in ((None, 512), (100_000, 512), (100, 60)):
        monkeypatch.setattr(crowd_module, "_max_files", lambda limit=limit: limit)
        assert clamp_to_open_file_limit(512) == expected
    monkeypatch.setattr(crowd_module, "_max_files", lambda: 100)
    assert clamp_to_open_file_limit(512, num_workers=5) == 52  # each has pipes
    monkeypatch.setattr(crowd_module, "_max_files", lambda: 47)
    with pytest.raises(SettingsError, match="47 files may be open, and the server needs 48"):
        clamp_to_open_file_limit(512)


@contextmanager
def connections(server: RunningServer, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        yield [opened.enter_context(server.connection()) for _ in range(count)]


def status(connection: socket.socket, sent: bytes = ALIVE) -> int:
    connection.sendall(sent)
    return read_answer(connection)[0]


def test_idle_connections_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections are held idle, a new one is answered; one with an image under way
    keeps its place."""
    monkeypatch.setattr(connection_module, "IDLE_S", 0.05)
    with running(tmp_path, max_connections=8) as server, server.connection() as working:
        server.engine.is_held = True
        working.sendall(server.head(len(BODY)) + BODY)
        wait_until(lambda: server.engine.num_running == 1)
        with ExitStack() as opened:
            idle = []
            for _ in range(30):
                idle.append(opened.enter_context(server.connection()))
                assert status(idle[-1]) == 200
                time.sleep(0.1)
            assert idle[0].recv(1) == b""
        server.engine.is_held = False
        assert read_answer(working)[0] == 200


def test_too_many_of_one_address(tmp_path: Path) -> None:
    """While its connections all work, an address gets 429 for one more, and is served again when
    one of them has its answer."""
    with running(tmp_path, max_connections=20, max_connections_per_ip=3) as server:
        server.engine.is_held = True
        with connections(server, 3) as working:
            for connection in working:
                connection.sendall(server.head(len(BODY)) + BODY)
            wait_until(lambda: server.engine.num_running == 3)
            with server.connection() as one_more:
                one_more.sendall(ALIVE)
                code, headers, body = read_answer(one_more)
                assert (code, headers["retry-after"]) == (429, "1")
                assert b"3 connections from this address are open" in body
            server.engine.is_held = False
            assert [read_answer(connection)[0] for connection in working] == [200] * 3
            working[0].close()
            wait_until(lambda: len(server.server.server_state.connections) == 2)
            with server.connection() as next_one:
                assert status(next_one) == 200


def test_slow_heads_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that send a head byte by byte, and never all of it, keep nobody out."""
    monkeypatch.setattr(connection_module, "IDLE_S", 0.3)
    with running(tmp_path, max_connections=8) as server, connections(server, 8) as slow:
        for _ in range(5):
            for connection in slow:
                connection.sendall(b"G")
            time.sleep(0.1)
        with server.connection() as another:
            assert status(another) == 200


def test_busy_connections_keep_their_places(tmp_path: Path) -> None:
    """Where every connection works, another one is told so, with when to come back."""
    with running(tmp_path, max_connections=8) as server:
        server.engine.is_held = True
        with connections(server, 8) as working:
            for connection in working:
                connection.sendall(server.head(len(BODY)) + BODY)
            wait_until(lambda: server.engine.num_running == 8)
            with server.connection() as another:
                another.sendall(ALIVE)
                code, headers, body = read_answer(another)
                assert (code, headers["retry-after"], headers["connection"]) == (503, "1", "close")
                assert "8 connections are open" in json.loads(body)["error"]["message"]
                assert another.recv(1) == b""
            with server.connection() as silent:  # is not told, and does not stay
                assert silent.recv(1) == b""
            server.engine.is_held = False
            assert [read_answer(connection)[0] for connection in working] == [200] * 8
        assert server.generate().status_code == 200


def not_reading(server: RunningServer) -> socket.socket:
    """A client that asks for an image and takes next to nothing of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", server.settings.port))
    client.sendall(server.head(len(BODY)) + BODY)
    return client


@pytest.fixture
def large_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that no system's buffers hold."""
    monkeypatch.setattr(generations, "_inline", lambda result: b"x" * 8_000_000)


@pytest.mark.usefixtures("large_answers")
def test_answer_that_is_not_read(tmp_path: Path) -> None:
    """A client that does not read its answer is dropped; one that begins late gets all of it."""
    with running(tmp_path, response_write_timeout_s=3.0) as server:
        with not_reading(server) as client:
            wait_until(lambda: server.engine.num_succeeded == 1)
            time.sleep(4.0)
            with pytest.raises(ConnectionError):
                read_answer(client)
        with server.connection() as client:
            client.sendall(server.head(len(BODY)) + BODY)
            wait_until(lambda: server.engine.num_succeeded == 2)
            time.sleep(0.5)
            assert len(read_answer(client)[2]) == 8_000_000


@pytest.mark.usefixtures("large_answers")
def test_stalled_answers_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not read cannot hold all connections until their time is over."""
    monkeypatch.setattr(connection_module, "STALLED_S", 0.3)
    with running(tmp_path, max_connections=8) as server, ExitStack() as opened:
        for count in range(8):
            opened.enter_context(not_reading(server))
            wait_until(lambda count=count: server.engine.num_succeeded == count + 1)  # type: ignore[misc]
        time.sleep(1.5)
        with server.connection() as another:
            assert status(another) == 200


@pytest.mark.usefixtures("large_answers")
def test_end_does_not_wait_for_who_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is told to end drops a client that takes nothing, long before its time."""
    monkeypatch.setattr(connection_module, "STALLED_S", 0.3)
    with running(tmp_path, response_write_timeout_s=600) as server, ExitStack() as opened:
        opened.enter_context(not_reading(server))
        wait_until(lambda: server.engine.num_succeeded == 1)
        time.sleep(0.5)
        started = time.monotonic()
    assert time.monotonic() - started < 10


PROGRAM = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from conftest import FakeEngine, MODEL
from daguerre.config import Settings
from daguerre.storage.api_keys import ResourceStore
from daguerre.server.server import serve
settings = Settings(home=Path(sys.argv[1]), port=0)
resources = ResourceStore.open(settings)
_, key = resources.create(MODEL, "DIFFUSION")
serve(settings, FakeEngine(), resources, lambda true: print(true.port, key, flush=True))
"""


@contextmanager
def few_files(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    source, tests = Path(sys.modules["daguerre"].__path__[0]).parent, Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"},
    )
    try:
        assert process.stdout
        port, key = process.stdout.readline().split()
        yield process, int(port), key
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files there")
def test_few_files(tmp_path: Path) -> None:
    """With 64 open files, neither sixty idle connections nor a crowd of sixty at once keep the
    server from answering, and its log has lines and no traceback."""
    with few_files(tmp_path) as (process, port, key), ExitStack() as opened:

        def connect() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))

        def image() -> int:
            head = f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}"
            length = f"\r\nContent-Length: {len(BODY)}\r\n\r\n"
            return status(connect(), (head + length).encode() + BODY)

        for _ in range(60):
            connect()
        time.sleep(connection_module.IDLE_S + 0.5)
        assert [image() for _ in range(4)] == [200] * 4
        time.sleep(connection_module.IDLE_S + 0.5)
        answers = []
        for client in [connect() for _ in range(60)]:
            try:
                answers.append(status(client))
            except ConnectionError:
                answers.append(0)
        # Those past the places and the few that are told are cut off at once.
        assert set(answers) <= {200, 503, 0} and answers.count(200) >= 8
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "at most 24 connections" in log
    assert "Traceback" not in log


def test_default_is_within_the_usual_limit() -> None:
    """Where 1,024 files may be open, as on most systems, the default asks for no change."""
    assert Settings().max_connections + crowd_module.RESERVED_FILES < 1024
