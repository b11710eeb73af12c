"""The server process: socket, signals and graceful shutdown."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import (
    PATIENCE_S,
    FakeEngine,
    RunningServer,
    error_of,
    read_answer,
    running,
    wait_until,
)
from engine import faulty

from daguerre.config import Settings
from daguerre.errors import InternalError, SettingsError
from daguerre.server.http.listener import bind_socket
from daguerre.server.server import Server, _on_loop_error
from daguerre.storage.resources import ResourceStore

_PROGRAM = """
import asyncio, signal, sys, threading
from pathlib import Path
from conftest import FakeEngine, MODEL
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage.resources import ResourceStore
from daguerre.server import server
from daguerre.server.server import Server
settings = Settings(home=Path(sys.argv[1]), port=0)
engine, resources = FakeEngine(), ResourceStore.open(settings.database_url, settings.data_dir())
engine.is_held = True
_, key = resources.create(MODEL, "DIFFUSION")
def release(*_):
    engine.is_held = False
signal.signal(signal.SIGUSR1, release)
def hang():
    print("hangs", flush=True)
    threading.Event().wait()
if sys.argv[2:] == ["hang"]:
    engine.stop = lambda: asyncio.to_thread(hang)
else:
    server._FORCED_EXIT_S = 600  # the machine may be busy
async def reload():
    print("reloads", flush=True)
    raise SettingsError("the catalog is not TOML")
running = Server(
    settings, engine, resources, lambda bound: print(bound.port, key, flush=True), reload=reload
)
running.serve_forever()
print("stops", engine.num_stops, "succeeded", engine.num_succeeded, flush=True)
"""


def test_taken_port(server: RunningServer) -> None:
    """A taken port is a one-line error with advice, and the engine is not started."""
    engine = FakeEngine()
    settings = replace(server.settings, host="127.0.0.1")
    with pytest.raises(SettingsError) as caught:
        Server(settings, engine, server.resources).serve_forever()
    assert str(settings.port) in str(caught.value) and "--port" in str(caught.value)
    assert "\n" not in str(caught.value) and ": Address already in use; choose" in str(caught.value)
    assert engine.num_starts == 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.77", "a..b", "a" * 64])
def test_bad_host(host: str) -> None:
    """A host that is not an address of this machine is a SettingsError."""
    with pytest.raises(SettingsError, match=host):
        bind_socket(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_free_port(host: str) -> None:
    """Port 0 selects a free port, with every name of this machine."""
    with bind_socket(host, 0) as bound:
        assert bound.getsockname()[1] > 0
        assert bound.family in (socket.AF_INET, socket.AF_INET6)


def test_settings_have_the_actual_port(tmp_path: Path) -> None:
    """The settings and the OpenAPI document have the actual port."""
    with running(tmp_path) as server:
        assert server.settings.port > 0
        assert server.settings.public_base_url() == f"http://127.0.0.1:{server.settings.port}"
        document = server.client.get("/openapi.json").json()
        assert document["servers"] == [{"url": server.settings.public_base_url()}]


def test_serve_in_a_thread(tmp_path: Path) -> None:
    """`serve_forever` works outside the main thread, where it cannot handle signals."""
    settings = Settings(home=tmp_path, port=0)
    seen: list[int] = []

    def ready(bound: Settings) -> None:
        seen.append(bound.port)
        raise KeyboardInterrupt

    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    engine = FakeEngine()

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            Server(settings, engine, resources, ready).serve_forever()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    resources.close()
    assert not thread.is_alive() and len(seen) == 1
    assert engine.num_stops == 1


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    tests = Path(__file__).parents[1]
    source = Path(sys.modules["daguerre"].__path__[0]).parent
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout
        port, key = process.stdout.readline().split()
        yield process, int(port), key
    finally:
        process.kill()
        process.communicate()


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM and SIGUSR1")


def request(key: str) -> bytes:
    body = b'{"model":"stable-image-ultra","prompt":"unspeakable"}'
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_shutdown(tmp_path: Path, number: signal.Signals) -> None:
    """After a signal new requests get 503, on old and new connections; the job in progress
    finishes, and `serve_forever` returns."""
    with program(tmp_path) as (process, port, key):
        with connected(port) as connection, connected(port) as earlier:
            connection.sendall(request(key))
            assert get(earlier, "/readyz")[0] == 200
            wait_until(lambda: _is_running(port))
            process.send_signal(number)
            wait_until(lambda: get(earlier, "/readyz")[0] == 503)
            with connected(port) as later:
                for one in (earlier, later):
                    assert b"shutting down" in get(one, "/readyz")[2]
                    one.sendall(request(key))
                    status, headers, _ = read_answer(one)
                    assert (status, 1 <= int(headers["retry-after"]) <= 59) == (503, True)
            process.send_signal(signal.SIGUSR1)
            assert read_answer(connection)[0] == 200
        output, log = process.communicate(timeout=20)
    assert output == "stops 1 succeeded 1\n"
    assert process.returncode == 0
    assert "status=200" in log and "Traceback" not in log
    lifecycle = (
        f"listens on 127.0.0.1:{port} (workers=1, data directory={tmp_path})",
        "INFO daguerre.server.server ready after ",
        f"{number.name} received: rejecting new requests, waiting for 1 jobs",
        "INFO daguerre.server.server shutdown complete",
    )
    assert all(log.count(line) == 1 for line in lifecycle), log
    assert key not in log and "unspeakable" not in log


@needs_signals
def test_second_signal(tmp_path: Path) -> None:
    """A second signal ends the jobs in progress with 503."""
    with program(tmp_path) as (process, port, key):
        with connected(port) as connection:
            connection.sendall(request(key))
            wait_until(lambda: _is_running(port))
            process.send_signal(signal.SIGTERM)
            with connected(port) as other:
                wait_until(lambda: get(other, "/readyz")[0] == 503)
            process.send_signal(signal.SIGINT)
            assert read_answer(connection)[0] == 503
        output, log = process.communicate(timeout=20)
    assert output == "stops 1 succeeded 0\n"
    assert process.returncode == 0
    assert "status=503" in log and "Traceback" not in log
    assert "cancelling 1 unfinished requests" in log and "ERROR" not in log


@pytest.mark.timeout(30)
def test_second_signal_to_an_idle_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A second signal during the shutdown stops the engine and logs no error."""
    shutdown = Server.shutdown

    async def interrupted(server: Server, sockets: list[socket.socket] | None = None) -> None:
        server.handle_exit(signal.SIGTERM, None)
        await shutdown(server, sockets)

    monkeypatch.setattr(Server, "shutdown", interrupted)
    settings, engine = Settings(home=tmp_path, port=0), FakeEngine()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    Server(
        settings, engine, resources, lambda bound: signal.raise_signal(signal.SIGTERM)
    ).serve_forever()
    resources.close()
    assert engine.num_stops == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@needs_signals
def test_second_signal_while_the_engine_hangs(tmp_path: Path) -> None:
    """The process ends although its engine does not stop."""
    with program(tmp_path, "hang") as (process, _, _):
        process.send_signal(signal.SIGTERM)
        assert process.stdout and process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == -signal.SIGALRM


@pytest.mark.timeout(30)
def test_signal_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal before uvicorn installs its handlers also stops the server."""
    capture = Server.capture_signals

    def late(server: Server) -> AbstractContextManager[None]:
        signal.raise_signal(signal.SIGTERM)
        return capture(server)

    monkeypatch.setattr(Server, "capture_signals", late)
    settings, engine = Settings(home=tmp_path, port=0), FakeEngine()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    before = signal.getsignal(signal.SIGTERM)
    Server(settings, engine, resources).serve_forever()
    resources.close()
    assert (engine.num_starts, engine.num_stops) == (1, 1)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.timeout(30)
def test_drain_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for the engine at most as long as a request may take."""
    settings, engine = Settings(home=tmp_path, port=0, request_timeout_s=0.2), FakeEngine()
    engine.num_running = 1
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    Server(
        settings, engine, resources, lambda bound: signal.raise_signal(signal.SIGTERM)
    ).serve_forever()
    resources.close()
    assert (engine.is_draining, engine.num_stops) == (True, 1)


@pytest.mark.timeout(30)
def test_model_load_failure(tmp_path: Path) -> None:
    """A server whose model cannot be loaded stops with the reason."""
    settings, engine = Settings(home=tmp_path, port=0), FakeEngine()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())

    def fail(bound: Settings) -> None:
        engine.load_failure = "the model could not be loaded: no weights"

    with pytest.raises(InternalError, match="no weights"):
        Server(settings, engine, resources, fail).serve_forever()
    resources.close()
    assert engine.num_stops == 1


@needs_signals
@pytest.mark.timeout(60)
def test_model_load_failure_in_a_worker(tmp_path: Path) -> None:
    """The reason survives the engine's own shutdown, which resets its statistics."""
    settings = Settings(home=tmp_path, port=0)
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    with pytest.raises(InternalError, match="the weights are damaged"):
        Server(settings, faulty.engine(on_load="raise"), resources).serve_forever()
    resources.close()


def test_out_of_files(caplog: pytest.LogCaptureFixture) -> None:
    """A lack of file descriptors is one log line; other errors keep their traceback."""
    loop = asyncio.new_event_loop()
    for number in (errno.EMFILE, errno.EPIPE):
        context = {"message": "accept", "exception": OSError(number, os.strerror(number))}
        _on_loop_error(loop, context)
    loop.close()
    line, other = caplog.records
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert "cannot accept connections: Too many open files" in line.getMessage()
    assert (other.levelname, other.name) == ("ERROR", "asyncio") and other.exc_info


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def get(connection: socket.socket, path: str) -> tuple[int, dict[str, str], bytes]:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return read_answer(connection)


@needs_signals
def test_hangup_reloads(tmp_path: Path) -> None:
    """SIGHUP reloads the catalog. Neither a failed reload nor a second signal ends the server or a
    request."""
    with program(tmp_path) as (process, port, key), connected(port) as connection:
        assert process.stdout
        connection.sendall(request(key))
        wait_until(lambda: _is_running(port))
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == "reloads\n"
        process.send_signal(signal.SIGUSR1)
        assert read_answer(connection)[0] == 200 and process.poll() is None


def test_hangups_during_a_reload(server: RunningServer) -> None:
    """Signals that arrive during a reload cause one more, after it."""
    engine, served = server.engine, server.server
    gate, before = threading.Event(), engine.num_reloads
    engine.reload_gate = gate
    served._on_hangup(signal.SIGHUP, None)
    wait_until(lambda: engine.num_reloads == before + 1)
    for _ in range(3):
        served._on_hangup(signal.SIGHUP, None)
        run_in_loop(served, served._reload_if_requested)
    assert engine.num_reloads == before + 1 and served._must_reload
    gate.set()
    wait_until(lambda: engine.num_reloads == before + 2 and not served._must_reload)
    wait_until(lambda: not served._reloading)
    assert engine.num_reloads == before + 2


def run_in_loop(server: Server, function: Callable[[], object]) -> None:
    """Runs a function in the server's event loop, and what it has started up to its first wait."""

    async def run() -> None:
        function()
        await asyncio.sleep(0)

    assert server._loop is not None
    asyncio.run_coroutine_threadsafe(run(), server._loop).result(PATIENCE_S)


def _is_running(port: int) -> bool:
    with connected(port) as connection:
        metrics = get(connection, "/metrics")[2].decode()
    return 'daguerre_jobs_running{model="stable-image-ultra"} 1.0' in metrics


def test_graceful_shutdown_timeout(tmp_path: Path) -> None:
    """After `graceful_shutdown_timeout_s` the remaining requests get 503 with Retry-After."""
    with (
        running(tmp_path, graceful_shutdown_timeout_s=1.0) as server,
        server.connection() as working,
    ):
        server.engine.is_held = True
        working.sendall(request(server.key))
        wait_until(lambda: server.engine.num_running == 1)
        server.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: server.engine.is_draining)
        assert server.generate().status_code == 503
        code, headers, _ = read_answer(working)
        assert code == 503 and int(headers["retry-after"]) >= 1
        wait_until(lambda: server.engine.num_stops == 1)


def test_drain_starts_at_once(tmp_path: Path) -> None:
    """A request that arrives right after the signal is rejected."""
    with running(tmp_path) as server, server.connection() as working, server.connection() as other:
        server.engine.is_held = True
        working.sendall(request(server.key))
        wait_until(lambda: server.engine.num_running == 1)
        server.server.handle_exit(signal.SIGTERM, None)
        other.sendall(request(server.key))
        assert read_answer(other)[0] == 503
        server.engine.is_held = False
        assert read_answer(working)[0] == 200


def test_shutdown_delay(tmp_path: Path) -> None:
    """After SIGTERM the server is not ready but serves. A second signal ends the delay."""
    with running(tmp_path, shutdown_delay_s=3600.0) as server:
        assert server.client.get("/readyz").status_code == 200
        server.server.handle_exit(signal.SIGTERM, None)
        assert error_of(server.client.get("/readyz"))["code"] == 503
        assert server.client.get("/healthz").status_code == 200
        assert server.generate().status_code == 200
        assert not server.engine.is_draining
        server.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: server.engine.num_stops == 1)


@pytest.mark.parametrize(("number", "delay_s"), [(signal.SIGINT, 3600.0), (signal.SIGTERM, 0.2)])
def test_drain_after_the_shutdown_delay(
    tmp_path: Path, number: signal.Signals, delay_s: float
) -> None:
    """The server drains after the delay, and at once after SIGINT."""
    with running(tmp_path, shutdown_delay_s=delay_s) as server:
        server.server.handle_exit(number, None)
        wait_until(lambda: server.engine.is_draining)
        wait_until(lambda: server.engine.num_stops == 1)


def test_shutdown_ends_before_its_timeout(tmp_path: Path) -> None:
    """The server stops as soon as the last request is finished."""
    with (
        running(tmp_path, graceful_shutdown_timeout_s=3600.0) as server,
        server.connection() as working,
    ):
        server.engine.is_held = True
        working.sendall(request(server.key))
        wait_until(lambda: server.engine.num_running == 1)
        server.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: server.engine.is_draining)
        server.engine.is_held = False
        assert read_answer(working)[0] == 200
        wait_until(lambda: server.engine.num_stops == 1)
