"""Idempotency keys at several servers that share a database, in any order of events."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import MODEL, PATIENCE_S, FakeEngine, wait_until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from daguerre.errors import (
    ConflictError,
    DeadlineExceededError,
    QueueFullError,
    UnavailableError,
)
from daguerre.imagefile.encoding import encode
from daguerre.protocol.parsing import parse_request
from daguerre.server.http.errors import OutageLog
from daguerre.server.idempotency.environment_fingerprint import EnvironmentFingerprint
from daguerre.server.idempotency.requests import ImageRequest, ImageRequests
from daguerre.storage import database, database_threads
from daguerre.storage.database import open_database, write_transaction
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.storage.image_store import ImageStore
from daguerre.storage.resources import Resource

NUM_SERVERS = 2
PROMPTS = ("a red fox", "a blue fox")
RESOURCE = Resource("r", "R", MODEL, None, 0, "inf-")
ENDS = (None, ClientDisconnect(), DeadlineExceededError("late"), RuntimeError("broken"))


@dataclass
class OpenRequest:
    server: int
    opening: AbstractAsyncContextManager[ImageRequest]


@dataclass
class Key:
    """What a key must have: one request and one seed, from the first use until all are refused."""

    prompt: str = ""
    seed: int = 0
    is_kept: bool = False  # a request was not refused
    servers: set[int] = field(default_factory=set)
    requests: list[OpenRequest] = field(default_factory=list)


def image_requests(
    database: sa.Engine, threads: DatabaseThreads, environment: EnvironmentFingerprint
) -> ImageRequests:
    return ImageRequests(
        IdempotencyStore(database),
        threads,
        ImageStore("", 0, 1.0),
        environment,
        OutageLog(),
        encode=functools.partial(encode, with_prompt=False),
        cache_seeded_requests=False,
    )


def opened(server: ImageRequests, prompt: str) -> AbstractAsyncContextManager[ImageRequest]:
    body = parse_request({"model": MODEL, "prompt": prompt})
    info, headers = FakeEngine().model_infos[0], Headers({"idempotency-key": "k"})
    return server.open(RESOURCE, headers, body, body.to_image_params(), info)


class KeyMachine(RuleBasedStateMachine):
    """Requests with one key at servers that answer, refuse and die."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.database = open_database("", Path(self.directory.name))
        self.threads = DatabaseThreads(self.database)
        self.runner = asyncio.Runner()
        self.environment = EnvironmentFingerprint()
        self.servers = [self.new_server() for _ in range(NUM_SERVERS)]
        self.key = Key()

    def new_server(self) -> ImageRequests:
        return image_requests(self.database, self.threads, self.environment)

    @rule(server=st.integers(0, NUM_SERVERS - 1), prompt=st.sampled_from(PROMPTS))
    def request(self, server: int, prompt: str) -> None:
        opening = opened(self.servers[server], prompt)
        try:
            request = self.runner.run(opening.__aenter__())
        except ConflictError:
            assert self.key.prompt not in ("", prompt)
            return
        if self.key.prompt:
            assert (self.key.prompt, self.key.seed) == (prompt, request.params.seed)
            # Two servers that both refuse a key at once may keep it, or not.
            assert request.is_replay or not (self.key.is_kept or self.key.requests)
        self.key.prompt, self.key.seed = prompt, request.params.seed
        self.key.servers.add(server)
        self.key.requests.append(OpenRequest(server, opening))

    @precondition(lambda self: self.key.requests)
    @rule(data=st.data(), error=st.sampled_from(ENDS))
    def end(self, data: st.DataObject, error: Exception | None) -> None:
        self._end(self._drawn(data), error)
        self.key.is_kept = True

    @precondition(lambda self: self.key.requests)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        self._end(self._drawn(data), QueueFullError("full"))
        if not self.key.requests and not self.key.is_kept and len(self.key.servers) == 1:
            self.key = Key()

    @precondition(lambda self: self.key.requests)
    @rule(server=st.integers(0, NUM_SERVERS - 1))
    def die(self, server: int) -> None:
        self.servers[server] = self.new_server()
        lost = [request for request in self.key.requests if request.server == server]
        self.key.is_kept |= bool(lost)
        self.key.requests = [request for request in self.key.requests if request not in lost]

    def _drawn(self, data: st.DataObject) -> OpenRequest:
        return self.key.requests.pop(data.draw(st.integers(0, len(self.key.requests) - 1)))

    def _end(self, request: OpenRequest, error: Exception | None) -> None:
        kind = type(error) if error else None
        assert not self.runner.run(request.opening.__aexit__(kind, error, None))

    def teardown(self) -> None:
        self.threads.close()
        self.runner.close()
        self.database.dispose()
        self.directory.cleanup()


def test_any_order() -> None:
    """A used key has one request and one seed at every server, whoever refuses or dies."""
    run_state_machine_as_test(
        KeyMachine,
        settings=settings(max_examples=30, stateful_step_count=12, deadline=None),
    )


def test_time_limit_of_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request waits for a slow database no longer because others with its key wait, too."""
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 1000 * int(PATIENCE_S))
    monkeypatch.setattr(database_threads, "CALL_TIMEOUT_S", PATIENCE_S)

    async def main() -> None:
        engine = open_database("", tmp_path)
        threads = DatabaseThreads(engine)
        server = image_requests(engine, threads, EnvironmentFingerprint())
        with write_transaction(engine):
            first = asyncio.ensure_future(opened(server, PROMPTS[0]).__aenter__())
            await asyncio.to_thread(wait_until, lambda: bool(threads._running))
            monkeypatch.setattr(database_threads, "CALL_TIMEOUT_S", 0.05)
            with pytest.raises(UnavailableError, match="did not respond within 0.05 s"):
                await opened(server, PROMPTS[0]).__aenter__()
            assert not first.done()
        assert not (await first).is_replay
        threads.close()
        engine.dispose()

    asyncio.run(main())
