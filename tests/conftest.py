"""Shared fixtures: a store, an engine without a model, a server on a socket.

`FakeEngine` returns a flat colour that depends on seed and prompt. It records its requests, and can
hold jobs, fail, be full, be loading, or have failed to load.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import postgresql as postgresql_server
import pytest
from numpy.typing import NDArray

from daguerre.config import Settings
from daguerre.engine.interface import EngineStats, WorkerStats, check_ready
from daguerre.engine.previews import preview_steps
from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.params import (
    DEFAULT_CONTEXT,
    Event,
    GeneratedImage,
    ImageParams,
    JobContext,
    JobFailed,
    JobQueued,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
    Timings,
)
from daguerre.server.playground.one_time_login import OneTimeLogin
from daguerre.server.server import Server
from daguerre.storage import database
from daguerre.storage.resources import Resource, ResourceStore

MODEL = "stable-image-ultra"
PATH = "/v1/images/generations"
# Only detects a hang: no test asserts a time, because the machine may be busy.
PATIENCE_S = 120.0
_PROCESS_WORDS = re.compile(
    r"\b(subprocess|multiprocessing|playwright|ProcessEngine|bench\.soak)\b|bench import process"
)
_PROCESS_FOLDERS = {"clients", "playground"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start processes, by the text of their module; `make check` skips them."""
    for item in items:
        path = item.path
        if (
            path.parent.name in _PROCESS_FOLDERS
            or _starts_processes(path)
            or "postgresql" in (*getattr(item, "fixturenames", ()), *re.findall(r"\w+", item.name))
        ):
            item.add_marker("process")


@functools.cache
def _starts_processes(path: Path) -> bool:
    return bool(_PROCESS_WORDS.search(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Replaces the user's home directory. No test may write there, but the driver of a GPU does."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        for name in os.environ:
            if name.startswith("XDG_"):
                patched.delenv(name)
        yield
    assert [path.name for path in home.iterdir() if path.name != ".nv"] == []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Cluster]:
    if reason := postgresql_server.why_none():
        pytest.skip(reason)
    with postgresql_server.started() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each_database(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an empty database, once per kind of database."""
    if request.param == "sqlite":
        return Settings(home=tmp_path / "home")
    cluster: postgresql_server.Cluster = request.getfixturevalue("postgresql")
    return Settings(home=tmp_path / "home", database_url=cluster.new_database())


@pytest.fixture
def store(settings: Settings) -> Iterator[ResourceStore]:
    opened = ResourceStore.open(settings.database_url, settings.data_dir())
    yield opened
    opened.close()


@dataclass
class ManualClock:
    """A clock that the test sets."""

    now: float

    def __call__(self) -> float:
        return self.now


def database_file(settings: Settings) -> Path:
    return settings.data_dir() / database.FILE_NAME


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def flat_colour(params: ImageParams) -> tuple[int, int, int]:
    red, green, blue = hashlib.sha256(f"{params.seed} {params.prompt}".encode()).digest()[:3]
    return red, green, blue


class FakeEngine:
    def __init__(self) -> None:
        self.model_infos: tuple[ModelInfo, ...] = (
            ModelInfo(MODEL, "0" * 64, created=1_700_000_000),
        )
        self.num_starts = self.num_stops = self.num_reloads = 0
        self._numbers = itertools.count()
        self._submitted: dict[
            int, tuple[asyncio.AbstractEventLoop, asyncio.Task[None], threading.Thread]
        ] = {}
        self.reset()

    def reset(self) -> None:
        self.is_ready = True
        self.is_draining = False
        self.load_failure = ""
        self.load_failures: dict[str, str] = {}
        self.loaded: dict[str, str] = {}  # fingerprints
        self.is_held = False
        self.place = 0  # in the queue; may change while it is held
        self.refusal: Exception | None = None  # raised before any event
        self.failure: Exception | None = None  # the last event
        self.num_steps = 4
        self.reload_gate = threading.Event()
        self.reload_gate.set()
        self.num_queued = self.num_running = 0
        self.num_succeeded = self.num_failed = self.num_cancelled = 0
        self.job_interval_s = 2.0
        self.params: list[ImageParams] = []
        self.contexts: list[JobContext] = []

    async def start(self) -> None:
        self.num_starts += 1

    async def stop(self) -> None:
        self.num_stops += 1

    async def drain(self) -> None:
        self.is_draining = True
        while self.num_running:
            await asyncio.sleep(0.002)

    def models(self) -> tuple[ModelInfo, ...]:
        return self.model_infos

    async def reload(self) -> str:
        self.num_reloads += 1
        await asyncio.to_thread(self.reload_gate.wait, PATIENCE_S)
        return "no change"

    def hold(self) -> AbstractContextManager[FakeEngine]:
        return nullcontext(self)

    async def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        check_ready(self.load_failure, self.is_draining, self.is_ready)
        if self.refusal:
            raise self.refusal
        self.params.append(params)
        self.contexts.append(context)
        self.num_running += 1
        has_ended = False
        try:
            yield JobQueued(told := self.place)
            for index in range(1, self.num_steps + 1):
                while self.is_held:
                    if told != self.place:
                        yield JobQueued(told := self.place)
                    await asyncio.sleep(0.002)
                yield StepCompleted(index, self.num_steps, self._preview(params, index))
            has_ended = True
            yield self._last(params)
        finally:
            self.num_running -= 1
            self.num_cancelled += not has_ended

    def _preview(self, params: ImageParams, index: int) -> NDArray[np.uint8] | None:
        """A small flat preview whose brightness is its step."""
        if index not in preview_steps(self.num_steps, params.num_previews):
            return None
        return np.full((params.height // 16, params.width // 16, 3), index, np.uint8)

    def _last(self, params: ImageParams) -> Event:
        if self.failure:
            self.num_failed += 1
            return JobFailed(self.failure)
        self.num_succeeded += 1
        pixels = np.full((params.height, params.width, 3), flat_colour(params), np.uint8)
        timings = Timings(queue_ms=1.5, encode_ms=2.5, denoise_ms=30.0, decode_ms=4.0)
        return JobSucceeded(GeneratedImage(pixels, params, self.model_infos[0], timings))

    def start_thread(self) -> None:
        self.num_starts += 1

    def stop_thread(self) -> None:
        self.num_stops += 1

    def submit(self, params: ImageParams, emit: Callable[[Event], None]) -> tuple[int, int]:
        """Runs `generate` in a thread, for callers without an event loop."""

        async def run() -> None:
            async for event in self.generate(params):
                emit(event)

        loop = asyncio.new_event_loop()
        task = loop.create_task(run())
        thread = threading.Thread(target=loop.run_until_complete, args=[asyncio.wait([task])])
        number = next(self._numbers)  # several threads may submit
        self._submitted[number] = loop, task, thread
        thread.start()
        return number, 0

    def cancel(self, number: int) -> None:
        loop, task, thread = self._submitted.pop(number)
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()

    def stats(self) -> EngineStats:
        return EngineStats(
            is_ready=self.is_ready and not (self.is_draining or self.load_failure),
            queued={MODEL: self.num_queued},
            running={MODEL: self.num_running},
            ended={
                MODEL: {
                    "succeeded": self.num_succeeded,
                    "failed": self.num_failed,
                    "cancelled": self.num_cancelled,
                }
            },
            num_forwards=7,
            num_rows=21,
            service_times=ServiceTimes().with_provisional(MODEL, self.job_interval_s),
            backlog_s=(self.num_queued + self.num_running) * self.job_interval_s,
            certificates={"denoiser (2, 256)": True, "denoiser (4, 256)": False},
            failure=self.load_failure,
            is_draining=self.is_draining,
            load_failures=self.load_failures,
            loaded=self.loaded,
            workers=(WorkerStats(self.is_ready, self.num_running, {"crash": 0}),),
        )


@dataclass
class RunningServer:
    """A server in a thread, and ways to call it."""

    settings: Settings
    engine: FakeEngine
    resources: ResourceStore
    resource: Resource
    key: str
    client: httpx.Client = field(repr=False)
    server: Server = field(repr=False)

    def post(self, body: object, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Post bytes unchanged, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {key or self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(PATH, content=content, headers=sent)

    def generate(self, **fields: object) -> httpx.Response:
        return self.post({"model": MODEL, "prompt": "a red fox", **fields})

    def stop_at_once(self) -> None:
        """Stop like a second signal does."""
        self.server.handle_exit(signal.SIGTERM, None)
        self.server.handle_exit(signal.SIGTERM, None)

    def limited(self, requests_per_minute: int) -> str:
        """API key of a new resource with this rate limit."""
        alias = f"LIMITED_{len(self.resources.list())}"
        return self.resources.create(MODEL, alias, requests_per_minute)[1]

    def head(self, length: int | None, *, key: str | None = None, extra: str = "") -> bytes:
        size = "" if length is None else f"Content-Length: {length}\r\n"
        authorization = f"Authorization: Bearer {key or self.key}\r\n"
        return f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{authorization}{size}{extra}\r\n".encode()

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(
            ("127.0.0.1", self.settings.port), timeout=PATIENCE_S
        ) as connection:
            yield connection


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object of a response, after checking its structure."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert list(error) == ["code", "message", "type", "param"]
    assert error["code"] == response.status_code and type(error["code"]) is int
    assert isinstance(error["message"], str) and error["message"]
    assert isinstance(error["type"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    return error


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one response with a Content-Length, and nothing after it. Raises `ConnectionError` if
    the connection is closed early."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _received(connection, 1)
    first, *lines = head.removesuffix(b"\r\n\r\n").decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length, body = int(headers.get("content-length", 0)), b""
    while len(body) < length:
        body += _received(connection, length - len(body))
    return int(first.split()[1]), headers, body


def _received(connection: socket.socket, most: int) -> bytes:
    data = connection.recv(most)
    if not data:
        raise ConnectionError("closed before the answer was complete")
    return data


def wait_until(is_true: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(0.005)


@contextmanager
def running(
    folder: Path,
    one_time_login: OneTimeLogin | None = None,
    alias: str = "DIFFUSION",
    **settings: Any,
) -> Iterator[RunningServer]:
    """Run a server with other settings."""
    engine, is_up = FakeEngine(), threading.Event()
    wanted = replace(Settings(home=folder, port=0), **settings)
    resources = ResourceStore.open(wanted.database_url, wanted.data_dir())
    resource, key = resources.create(MODEL, alias)
    server = Server(wanted, engine, resources, lambda _: is_up.set(), one_time_login, engine.reload)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert is_up.wait(PATIENCE_S)
        address = f"http://127.0.0.1:{server.settings.port}"  # whatever the public one is
        with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
            yield RunningServer(server.settings, engine, resources, resource, key, client, server)
    finally:
        engine.is_held = False
        server.should_exit = True
        thread.join(PATIENCE_S)
        resources.close()
    assert not thread.is_alive()


@contextmanager
def two_running(settings: Settings, **more: Any) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Servers that share a data directory, or with a database URL only the database."""
    url, home = settings.database_url, settings.data_dir()
    other = home.with_name("other") if url else home
    with running(home, database_url=url, **more) as first:
        with running(other, database_url=url, alias="OTHER", **more) as second:
            yield first, second


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(_shared_server: RunningServer) -> Iterator[RunningServer]:
    """The shared server with default settings; its engine is reset for every test."""
    _shared_server.engine.reset()
    yield _shared_server
    _shared_server.engine.reset()
