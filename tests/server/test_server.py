"""Running: the address, and the end by a signal."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeEngine, RunningServer, read_answer, running, wait_until

from daguerre.config import Settings
from daguerre.errors import InternalError, SettingsError
from daguerre.server.server import Server, _on_loop_error, listen, serve
from daguerre.storage.api_keys import ResourceStore

_PROGRAM = """
import sys
from pathlib import Path
from conftest import FakeEngine, MODEL
from daguerre.config import Settings
from daguerre.storage.api_keys import ResourceStore
from daguerre.server.server import serve
settings = Settings(home=Path(sys.argv[1]), port=0)
engine, resources = FakeEngine(), ResourceStore.open(settings.database_url, settings.data_dir())
engine.is_held = True
_, key = resources.create(MODEL, "DIFFUSION")
def release(*_):
    engine.is_held = False
import signal
signal.signal(signal.SIGUSR1, release)
serve(settings, engine, resources, lambda true: print(true.port, key, flush=True))
print("stops", engine.num_stops, "done", engine.num_succeeded, flush=True)
"""


def test_taken_port(server: RunningServer) -> None:
    """A taken port is one line that says what to do, and nothing is started."""
    engine = FakeEngine()
    settings = replace(server.settings, host="127.0.0.1")
    with pytest.raises(SettingsError) as caught:
        serve(settings, engine, server.resources)
    assert str(settings.port) in str(caught.value) and "--port" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert engine.num_starts == 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.77", "a..b", "a" * 64])
def test_bad_host(host: str) -> None:
    """A host that is not this machine is a SettingsError as well."""
    with pytest.raises(SettingsError, match=host):
        listen(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_free_port(host: str) -> None:
    """Port 0 is a free port by its number, on every way to name this machine."""
    with listen(host, 0) as bound:
        assert bound.getsockname()[1] > 0
        assert bound.family in (socket.AF_INET, socket.AF_INET6)


def test_settings_tell_the_true_port(tmp_path: Path) -> None:
    """The address that clients are told has the port that was taken."""
    with running(tmp_path) as server:
        assert server.settings.port > 0
        assert server.settings.public_base_url() == f"http://127.0.0.1:{server.settings.port}"
        document = server.client.get("/openapi.json").json()
        assert document["servers"] == [{"url": server.settings.public_base_url()}]


def test_serve_in_a_thread(tmp_path: Path) -> None:
    """serve works outside the main thread too, where signals cannot be set."""
    settings = Settings(home=tmp_path, port=0)
    seen: list[int] = []

    def ready(true: Settings) -> None:
        seen.append(true.port)
        raise KeyboardInterrupt

    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    engine = FakeEngine()

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            serve(settings, engine, resources, ready)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    resources.close()
    assert not thread.is_alive() and len(seen) == 1
    assert engine.num_stops == 1


@contextmanager
def program(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    tests = Path(__file__).parent.parent
    source = Path(sys.modules["daguerre"].__path__[0]).parent
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)],
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


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM and SIGUSR1 there")


def request(key: str) -> bytes:
    body = b'{"model":"stable-image-ultra","prompt":"unspeakable"}'
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_end(tmp_path: Path, number: signal.Signals) -> None:
    """After a signal whoever is new is told so by 503, on old connections and on new ones; the
    image under way is delivered, and serve returns."""
    with program(tmp_path) as (process, port, key):
        with connected(port) as connection, connected(port) as earlier:
            connection.sendall(request(key))
            assert ask(earlier, "/readyz")[0] == 200
            wait_until(lambda: _is_running(port))
            process.send_signal(number)
            wait_until(lambda: ask(earlier, "/readyz")[0] == 503)
            with connected(port) as later:
                for one in (earlier, later):
                    assert b"draining" in ask(one, "/readyz")[2]
                    one.sendall(request(key))
                    status, headers, _ = read_answer(one)
                    assert (status, 1 <= int(headers["retry-after"]) <= 59) == (503, True)
            process.send_signal(signal.SIGUSR1)
            assert read_answer(connection)[0] == 200
        output, log = process.communicate(timeout=20)
    assert output == "stops 1 done 1\n"
    assert process.returncode == 0
    assert "status=200" in log and "Traceback" not in log
    assert key not in log and "unspeakable" not in log


@needs_signals
def test_second_signal(tmp_path: Path) -> None:
    """Who does not want to wait for images under way sends the signal again: they end as 503."""
    with program(tmp_path) as (process, port, key):
        with connected(port) as connection:
            connection.sendall(request(key))
            wait_until(lambda: _is_running(port))
            process.send_signal(signal.SIGTERM)
            with connected(port) as other:
                wait_until(lambda: ask(other, "/readyz")[0] == 503)
            process.send_signal(signal.SIGINT)
            assert read_answer(connection)[0] == 503
        output, log = process.communicate(timeout=20)
    assert output == "stops 1 done 0\n"
    assert process.returncode == 0
    assert "status=503" in log and "Traceback" not in log


@pytest.mark.timeout(30)
def test_signal_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes before uvicorn listens to signals ends the server, too (a bug was)."""
    capture = Server.capture_signals

    def late(server: Server) -> AbstractContextManager[None]:
        signal.raise_signal(signal.SIGTERM)
        return capture(server)

    monkeypatch.setattr(Server, "capture_signals", late)
    settings, engine = Settings(home=tmp_path, port=0), FakeEngine()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    before = signal.getsignal(signal.SIGTERM)
    serve(settings, engine, resources)
    resources.close()
    assert (engine.num_starts, engine.num_stops) == (1, 1)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.timeout(30)
def test_drain_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that never gets done is waited for as long as a request may take, not longer."""
    settings, engine = Settings(home=tmp_path, port=0, request_timeout_s=0.2), FakeEngine()
    engine.num_running = 1
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    serve(settings, engine, resources, lambda true: signal.raise_signal(signal.SIGTERM))
    resources.close()
    assert (engine.is_draining, engine.num_stops) == (True, 1)


@pytest.mark.timeout(30)
def test_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """A server without a model ends with the reason; clients do not wait for it (a bug was)."""
    settings, engine = Settings(home=tmp_path, port=0), FakeEngine()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())

    def fail(true: Settings) -> None:
        engine.load_failure = "the model could not be loaded: no weights"

    with pytest.raises(InternalError, match="no weights"):
        serve(settings, engine, resources, fail)
    resources.close()
    assert engine.num_stops == 1


def test_no_files_for_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    """That no connection can be taken is a line in the log; any other error keeps its traceback."""
    loop = asyncio.new_event_loop()
    for number in (errno.EMFILE, errno.EPIPE):
        context = {"message": "accept", "exception": OSError(number, os.strerror(number))}
        _on_loop_error(loop, context)
    loop.close()
    line, other = caplog.records
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert "no connection can be taken for a moment: Too many open files" in line.getMessage()
    assert (other.levelname, other.name) == ("ERROR", "asyncio") and other.exc_info


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def ask(connection: socket.socket, path: str) -> tuple[int, dict[str, str], bytes]:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return read_answer(connection)


def _is_running(port: int) -> bool:
    with connected(port) as connection:
        return b"daguerre_jobs_running 1.0" in ask(connection, "/metrics")[2]


def test_grace_has_an_end(tmp_path: Path) -> None:
    """What is not done by `graceful_shutdown_timeout_s` after the first signal gets 503 with
    Retry-After, and the server ends; a newcomer is refused in between."""
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


def test_drain_begins_at_once(tmp_path: Path) -> None:
    """A request that comes after the signal is refused, however soon (for a tenth of a second it
    was still accepted)."""
    with running(tmp_path) as server, server.connection() as working, server.connection() as other:
        server.engine.is_held = True
        working.sendall(request(server.key))
        wait_until(lambda: server.engine.num_running == 1)
        server.server.handle_exit(signal.SIGTERM, None)
        other.sendall(request(server.key))
        assert read_answer(other)[0] == 503
        server.engine.is_held = False
        assert read_answer(working)[0] == 200


def test_grace_is_long_enough(tmp_path: Path) -> None:
    """Work that is done within it is answered, and the server ends without waiting for its end."""
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
