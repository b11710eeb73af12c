"""The control socket: its answers, its errors, and who can open it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import MODEL, FakeEngine, mode

from daguerre.engine.interface import EngineStats, LoadStats, WorkerStats
from daguerre.errors import SettingsError
from daguerre.server import control_socket
from daguerre.server.model_states import model_states


def fail() -> Mapping[str, object]:
    raise SettingsError("the catalog is not TOML")


def crash() -> Mapping[str, object]:
    raise ZeroDivisionError("a bug")


COMMANDS: control_socket.Commands = {
    "models": lambda: {"models": [1, 2]},
    "reload": fail,
    "crash": crash,
}


def test_answers(tmp_path: Path) -> None:
    """A command gets its answer, or the message of its error; only the owner can send one."""
    with control_socket.serve(tmp_path, COMMANDS):
        assert control_socket.request(tmp_path, "models") == {"models": [1, 2]}
        for command, words in {
            "reload": "^the catalog is not TOML$",
            "crash": "ZeroDivisionError: a bug",
            "other": "unknown command 'other'",
            "x" * 1000: "unknown command",
        }.items():
            with pytest.raises(SettingsError, match=words):
                control_socket.request(tmp_path, command)
        assert mode(tmp_path / control_socket.FILE_NAME) == 0o600
    assert control_socket.request(tmp_path, "models") is None
    assert list(tmp_path.iterdir()) == []


def test_directory_with_a_long_name(tmp_path: Path) -> None:
    """The address of a socket has some 100 bytes; a data directory may have more."""
    directory = tmp_path / ("long" * 50)
    directory.mkdir()
    with control_socket.serve(directory, COMMANDS):
        assert control_socket.request(directory, "models") == {"models": [1, 2]}


def test_socket_of_a_killed_server(tmp_path: Path) -> None:
    """It counts as no server, and the next server replaces it."""
    with control_socket.serve(tmp_path, COMMANDS):
        left = tmp_path / "left"
        (tmp_path / control_socket.FILE_NAME).rename(left)
    left.rename(tmp_path / control_socket.FILE_NAME)
    assert control_socket.request(tmp_path, "models") is None
    with control_socket.serve(tmp_path, COMMANDS):
        assert control_socket.request(tmp_path, "models") == {"models": [1, 2]}


def test_no_socket_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that can hold no socket does not stop the server."""
    (tmp_path / control_socket.FILE_NAME).mkdir()
    with control_socket.serve(tmp_path, COMMANDS):
        assert "no control socket" in caplog.text


def test_hostile_clients(tmp_path: Path) -> None:
    """Clients that send nothing, too much or no text do not affect others."""
    with control_socket.serve(tmp_path, COMMANDS):
        path = str(tmp_path / control_socket.FILE_NAME)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for client, sent in zip(
            clients, (b"", b"\xff\n", b"x" * 100_000, b"models\n"), strict=True
        ):
            client.connect(path)
            client.sendall(sent)
        for client in clients[1:3]:
            client.close()
        assert control_socket.request(tmp_path, "models") == {"models": [1, 2]}
        assert json.loads(clients[3].makefile("rb").read()) == {"models": [1, 2]}
        for client in clients:
            client.close()


def test_server_that_ends(tmp_path: Path) -> None:
    """A client whose server ends before it answers gets an error."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / control_socket.FILE_NAME))
    listener.listen()
    thread = threading.Thread(target=lambda: listener.accept()[0].close())
    thread.start()
    with pytest.raises(SettingsError, match="ended before it answered"):
        control_socket.request(tmp_path, "reload")
    thread.join()
    listener.close()


def test_server_that_does_not_answer(tmp_path: Path) -> None:
    gate = threading.Event()

    def hang() -> Mapping[str, object]:
        gate.wait(60)
        return {}

    with control_socket.serve(tmp_path, {"models": hang}):
        with pytest.raises(SettingsError, match="did not answer within 0.01 s"):
            control_socket.request(tmp_path, "models", timeout_s=0.01)
        gate.set()


def test_command_in_the_event_loop() -> None:
    """A coroutine runs in the server's loop; a closed loop is a server that shuts down."""

    async def answer() -> int:
        return 3

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(control_socket.in_loop, loop, answer) == 3

    asyncio.run(main())
    closed = asyncio.new_event_loop()
    closed.close()
    with pytest.raises(SettingsError, match="shutting down"):
        control_socket.in_loop(closed, answer)


def test_model_states() -> None:
    """A model is loaded, loading, not loaded or failed."""

    class Engine(FakeEngine):
        worker = WorkerStats(True, 0, {})

        def stats(self) -> EngineStats:
            failures = {MODEL: "not enough memory"} if self.num_queued else {}
            loads = {MODEL: LoadStats(1, num_bytes=100)}
            workers = (self.worker, self.worker)
            return EngineStats(workers=workers, loads=loads, load_failures=failures)

    engine = Engine()
    plain = {"id": MODEL, "state": "not loaded", "reason": "", "num_workers": 0, "num_bytes": 100}
    assert model_states(engine) == [plain]
    engine.worker = WorkerStats(True, 0, {}, loaded_models=(MODEL,))
    assert model_states(engine) == [{**plain, "state": "loaded", "num_workers": 2}]
    engine.worker = WorkerStats(True, 0, {}, loading=MODEL)
    assert model_states(engine) == [{**plain, "state": "loading"}]
    engine.num_queued = 1
    (failed,) = model_states(engine)
    assert (failed["state"], failed["reason"]) == ("failed", "not enough memory")
