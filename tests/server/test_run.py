"""Running: the address, and the end by a signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeEngine, RunningServer, read_answer, running, wait_until

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.resources import ResourceStore
from daguerre.server.run import listen, serve

_PROGRAM = """
import sys
from pathlib import Path
from conftest import FakeEngine, MODEL
from daguerre.config import Settings
from daguerre.resources import ResourceStore
from daguerre.server.run import serve
settings = Settings(home=Path(sys.argv[1]), port=0)
engine, resources = FakeEngine(), ResourceStore.open(settings)
engine.is_held = True
_, key = resources.create(MODEL, "DIFFUSION")
def release(*_):
    engine.is_held = False
import signal
signal.signal(signal.SIGUSR1, release)
serve(settings, engine, resources, lambda true: print(true.port, key, flush=True))
print("stops", engine.num_stops, "done", engine.num_done, flush=True)
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


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.77"])
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
        assert server.settings.url() == f"http://127.0.0.1:{server.settings.port}"
        document = server.client.get("/openapi.json").json()
        assert document["servers"] == [{"url": server.settings.url()}]


def test_serve_in_a_thread(tmp_path: Path) -> None:
    """serve works outside the main thread too, where signals cannot be set."""
    settings = Settings(home=tmp_path, port=0)
    seen: list[int] = []

    def ready(true: Settings) -> None:
        seen.append(true.port)
        raise KeyboardInterrupt

    resources = ResourceStore.open(settings)
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


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM and SIGUSR1 there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_graceful_end(tmp_path: Path, number: signal.Signals) -> None:
    """After a signal no one new gets in, the image under way is delivered, and serve returns."""
    with program(tmp_path) as (process, port, key):
        body = b'{"model":"stable-image-ultra","prompt":"unspeakable"}'
        head = (
            f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(head + body)
            wait_until(lambda: _is_running(port))
            process.send_signal(number)
            wait_until(lambda: not _takes_connections(port))
            process.send_signal(signal.SIGUSR1)
            assert read_answer(connection)[0] == 200
        output, log = process.communicate(timeout=20)
    assert output == "stops 1 done 1\n"
    assert process.returncode == 0
    assert "status=200" in log and "Traceback" not in log
    assert key not in log and "unspeakable" not in log


def _is_running(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return b"daguerre_jobs_running 1.0" in read_answer(connection)[2]


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return False
    return True
