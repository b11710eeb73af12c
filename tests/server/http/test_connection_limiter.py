"""Connection limits, eviction of idle connections, and clients that do not read responses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import MODEL, RunningServer, read_answer, running, wait_until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daguerre.config import Settings
from daguerre.errors import RateLimitError, SettingsError, UnavailableError
from daguerre.server.http import connection_limiter, h11_protocol
from daguerre.server.http.connection_limiter import (
    MAX_HELD_PER_IP,
    MAX_HELD_REJECTED,
    ConnectionLimiter,
    clamp_to_open_file_limit,
    client_ip_network,
)
from daguerre.server.routes import generations

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = json.dumps({"model": MODEL, "prompt": "x"}).encode()


@dataclass(eq=False)
class Client:
    idle: bool = False
    is_aborted: bool = False

    def is_idle(self) -> bool:
        return self.idle

    def abort(self) -> None:
        self.is_aborted = True


def test_evicts_the_least_recently_active() -> None:
    """The limiter closes the idle connection that was inactive longest, never a busy one."""
    limiter = ConnectionLimiter(3)
    busy, old, young = Client(), Client(idle=True), Client(idle=True)
    assert not any(limiter.admit(client) for client in (busy, old, young))
    limiter.touch(old)
    assert limiter.admit(Client()) is None
    assert (busy.is_aborted, old.is_aborted, young.is_aborted) == (False, False, True)
    assert limiter.admit(Client()) is None
    assert (busy.is_aborted, old.is_aborted) == (False, True)
    assert isinstance(limiter.admit(Client()), UnavailableError)
    assert limiter.num_rejected == {"max_connections": 1, "max_connections_per_ip": 0}
    assert limiter.num_open == 3
    limiter.release(busy)
    assert limiter.num_open == 2
    assert limiter.admit(Client()) is None


def test_limit_per_ip() -> None:
    """At its limit an IP address loses an idle connection of its own, or is rejected."""
    limiter = ConnectionLimiter(4, max_per_ip=2)
    idle, busy, other = Client(idle=True), Client(), Client(idle=True)
    assert limiter.admit(other, "b") is None
    assert [limiter.admit(client, "a") for client in (idle, busy)] == [None, None]
    assert limiter.admit(Client(), "a") is None
    assert (idle.is_aborted, other.is_aborted) == (True, False)
    error = limiter.admit(Client(), "a")
    assert isinstance(error, RateLimitError)
    assert str(error) == "2 connections from this IP address are open (limit: 2)"
    assert limiter.num_rejected == {"max_connections": 0, "max_connections_per_ip": 1}
    assert limiter.admit(Client(), "b") is None
    limiter.release(busy)
    assert limiter.admit(Client(), "a") is None


def test_rejected_connections_of_many_networks() -> None:
    """One network cannot use up the places of rejected connections; a new one gets the oldest."""
    limiter = ConnectionLimiter(0)
    clients = [Client() for _ in range(MAX_HELD_REJECTED + 1)]
    for number, client in enumerate(clients):
        assert limiter.try_hold_rejected(client, str(number // MAX_HELD_PER_IP))
    assert [client.is_aborted for client in clients] == [True, *[False] * MAX_HELD_REJECTED]
    assert not limiter.try_hold_rejected(Client(), "1")
    assert [limiter.is_held(client) for client in clients] == [False, *[True] * MAX_HELD_REJECTED]


MAX_CONNECTIONS, MAX_PER_IP = 4, 2


class ConnectionLimiterMachine(RuleBasedStateMachine):
    """Compares the limiter with a list of open connections, least recently active first."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = ConnectionLimiter(MAX_CONNECTIONS, MAX_PER_IP)
        self.open: list[tuple[Client, str]] = []
        self.held: list[tuple[Client, str]] = []

    def first_idle(self, ip: str | None) -> tuple[Client, str] | None:
        return next((one for one in self.open if one[0].idle and ip in (None, one[1])), None)

    @rule(ip=st.sampled_from("abcdef"), idle=st.booleans())
    def connect(self, ip: str, idle: bool) -> None:
        num_own = sum(other == ip for _, other in self.open)
        is_over_ip, is_over = num_own >= MAX_PER_IP, len(self.open) >= MAX_CONNECTIONS
        evicted = self.first_idle(ip if is_over_ip else None) if is_over_ip or is_over else None
        client = Client(idle)
        error = self.limiter.admit(client, ip)
        if evicted:
            assert evicted[0].is_aborted
            self.open.remove(evicted)
        if evicted or not (is_over_ip or is_over):
            assert error is None
            self.open.append((client, ip))
        else:
            assert isinstance(error, RateLimitError if is_over_ip else UnavailableError)
            can_hold = sum(other == ip for _, other in self.held) < MAX_HELD_PER_IP
            assert self.limiter.try_hold_rejected(client, ip) == can_hold
            if can_hold and len(self.held) == MAX_HELD_REJECTED:
                assert self.held.pop(0)[0].is_aborted
            if can_hold:
                self.held.append((client, ip))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.open))
        self.limiter.touch(one[0])
        self.open.remove(one)
        self.open.append(one)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), idle=st.booleans())
    def change(self, data: st.DataObject, idle: bool) -> None:
        data.draw(st.sampled_from(self.open))[0].idle = idle

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.open))
        self.limiter.release(one[0])
        self.open.remove(one)

    @precondition(lambda self: self.held)
    @rule()
    def disconnect_rejected(self) -> None:
        self.limiter.release(self.held.pop()[0])

    @rule()
    def late_calls_for_a_closed_connection(self) -> None:
        gone = Client()
        self.limiter.touch(gone)
        self.limiter.release(gone)

    @invariant()
    def open_connections_match(self) -> None:
        assert list(self.limiter._ip_networks.items()) == self.open
        assert self.limiter._num_per_ip_network == Counter(ip for _, ip in self.open)
        assert not any(client.is_aborted for client, _ in self.open)
        assert list(self.limiter._held_rejected.items()) == self.held
        assert not any(client.is_aborted for client, _ in self.held)


ConnectionLimiterMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)
TestConnectionLimiter = ConnectionLimiterMachine.TestCase


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
    assert (client_ip_network(one) == client_ip_network(other)) == is_same


def test_open_file_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of open files reduces `max_connections`; one that is too low is an error."""
    for limit, expected in ((None, 512), (100_000, 512), (100, 36)):
        monkeypatch.setattr(connection_limiter, "_max_open_files", lambda limit=limit: limit)
        assert clamp_to_open_file_limit(512) == expected
    monkeypatch.setattr(connection_limiter, "_max_open_files", lambda: 100)
    assert clamp_to_open_file_limit(512, num_workers=5) == 28  # each worker has pipes
    monkeypatch.setattr(connection_limiter, "_max_open_files", lambda: 71)
    with pytest.raises(
        SettingsError, match="limit of open files is 71, and the server needs at least 72"
    ):
        clamp_to_open_file_limit(512)


@contextmanager
def connections(server: RunningServer, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        yield [opened.enter_context(server.connection()) for _ in range(count)]


def status(connection: socket.socket, sent: bytes = ALIVE) -> int:
    connection.sendall(sent)
    return read_answer(connection)[0]


def test_idle_connections_are_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection is served however many are idle; one with a job in progress stays open."""
    monkeypatch.setattr(h11_protocol, "IDLE_AFTER_S", 0.05)
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


def test_limit_per_ip_over_http(tmp_path: Path) -> None:
    """An IP address whose connections are all busy gets 429, until one of them is closed."""
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
                assert b"3 connections from this IP address are open (limit: 3)" in body
            server.engine.is_held = False
            assert [read_answer(connection)[0] for connection in working] == [200] * 3
            working[0].close()
            wait_until(lambda: len(server.server.server_state.connections) == 2)
            with server.connection() as next_one:
                assert status(next_one) == 200


def test_slow_heads_are_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that send an incomplete request head byte by byte are evicted."""
    monkeypatch.setattr(h11_protocol, "IDLE_AFTER_S", 0.3)
    with running(tmp_path, max_connections=8) as server, connections(server, 8) as slow:
        for _ in range(5):
            for connection in slow:
                connection.sendall(b"G")
            time.sleep(0.1)
        with server.connection() as another:
            assert status(another) == 200


def test_busy_connections_are_not_evicted(tmp_path: Path) -> None:
    """If all connections are busy, a new one gets 503 with Retry-After."""
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
                assert "8 connections are open (limit: 8)" in json.loads(body)["error"]["message"]
                assert another.recv(1) == b""
            with server.connection() as silent:  # sends no request, so it gets no response
                assert silent.recv(1) == b""
            server.engine.is_held = False
            assert [read_answer(connection)[0] for connection in working] == [200] * 8
        wait_until(lambda: not server.server.server_state.connections)
        assert server.generate().status_code == 200


def not_reading(server: RunningServer) -> socket.socket:
    """A client that requests an image and does not read the response."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", server.settings.port))
    client.sendall(server.head(len(BODY)) + BODY)
    return client


@pytest.fixture
def large_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses that exceed the socket buffers of every system."""
    monkeypatch.setattr(generations, "images_response", lambda created, data: b"x" * 8_000_000)


@pytest.mark.usefixtures("large_responses")
def test_response_write_timeout(tmp_path: Path) -> None:
    """The connection of a client that does not read is closed; a slow client gets everything."""
    with running(tmp_path, response_write_timeout_s=1.0) as server:
        with not_reading(server) as client:
            wait_until(lambda: server.engine.num_succeeded == 1)
            wait_until(lambda: not server.server.server_state.connections)
            with pytest.raises(ConnectionError):
                read_answer(client)
    with running(tmp_path / "slow", response_write_timeout_s=60.0) as server:
        with server.connection() as client:
            client.sendall(server.head(len(BODY)) + BODY)
            wait_until(lambda: server.engine.num_succeeded == 1)
            time.sleep(0.5)
            assert len(read_answer(client)[2]) == 8_000_000


@pytest.mark.usefixtures("large_responses")
def test_stalled_responses_are_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not read are evicted before their write timeout."""
    monkeypatch.setattr(h11_protocol, "WRITE_STALL_S", 0.3)
    with running(tmp_path, max_connections=8) as server, ExitStack() as opened:
        for count in range(8):
            opened.enter_context(not_reading(server))
            wait_until(lambda count=count: server.engine.num_succeeded == count + 1)  # type: ignore[misc]
        time.sleep(1.5)
        with server.connection() as another:
            assert status(another) == 200


@pytest.mark.usefixtures("large_responses")
def test_shutdown_closes_stalled_responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shutdown closes stalled connections long before their write timeout."""
    monkeypatch.setattr(h11_protocol, "WRITE_STALL_S", 0.3)
    with running(tmp_path, response_write_timeout_s=600) as server, ExitStack() as opened:
        opened.enter_context(not_reading(server))
        wait_until(lambda: server.engine.num_succeeded == 1)
        time.sleep(0.5)
        server.server.should_exit = True
        wait_until(lambda: not server.server.server_state.connections, timeout_s=60)


PROGRAM = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (88, 88))
from conftest import FakeEngine, MODEL
from daguerre.config import Settings
from daguerre.storage.resources import ResourceStore
from daguerre.server.server import Server
settings = Settings(home=Path(sys.argv[1]), port=0, log_format="json")
resources = ResourceStore.open(settings.database_url, settings.data_dir())
_, key = resources.create(MODEL, "DIFFUSION")
server = Server(settings, FakeEngine(), resources, lambda bound: print(bound.port, key, flush=True))
server.serve_forever()
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
    """A server with 88 open files survives 60 idle connections and 60 simultaneous ones, and
    logs no traceback."""
    with few_files(tmp_path) as (process, port, key), ExitStack() as opened:

        def connect() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))

        def image() -> int:
            head = f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}"
            length = f"\r\nContent-Length: {len(BODY)}\r\n\r\n"
            return status(connect(), (head + length).encode() + BODY)

        for _ in range(60):
            connect()
        time.sleep(h11_protocol.IDLE_AFTER_S + 0.5)
        assert [image() for _ in range(4)] == [200] * 4
        time.sleep(h11_protocol.IDLE_AFTER_S + 0.5)
        answers = []
        for client in [connect() for _ in range(60)]:
            try:
                answers.append(status(client))
            except ConnectionError:
                answers.append(0)
        # Connections over the limit are closed, and only some of them get the error.
        assert set(answers) <= {200, 503, 0} and answers.count(200) >= 8
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "max_connections is reduced to 24" in log
    assert all(json.loads(line)["time"] for line in log.splitlines())  # also of the first lines
    assert "Traceback" not in log


def test_default_is_within_the_usual_limit() -> None:
    """The default `max_connections` fits into a limit of 1,024 open files, which is usual."""
    assert Settings().max_connections + connection_limiter.RESERVED_FILES < 1024
