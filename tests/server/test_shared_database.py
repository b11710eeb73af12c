"""Servers that share a database share API keys and the seeds of idempotency keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from conftest import (
    MODEL,
    PATIENCE_S,
    RunningServer,
    error_of,
    running,
    two_running,
    wait_until,
)
from postgresql import Cluster
from sqlalchemy import text

from daguerre.config import Settings
from daguerre.errors import QueueFullError
from daguerre.params import Event, ImageParams, JobContext
from daguerre.storage import database_threads

BODY = {"model": MODEL, "prompt": "a red fox"}


def test_shared_api_keys(on_each_database: Settings) -> None:
    """A key from one server is valid at both, until either rotates it."""
    with two_running(on_each_database) as (first, second):
        assert first.post(BODY, key=second.key).status_code == 200
        assert second.post(BODY, key=first.key).status_code == 200
        new = second.resources.rotate("DIFFUSION")
        assert first.post(BODY, key=first.key).status_code == 401
        assert first.post(BODY, key=new).status_code == 200


def test_one_rate_limit(on_each_database: Settings) -> None:
    """Both servers together accept as many requests as the limit of a key allows."""
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(6) as pool:
        key = first.limited(10)
        asked = [(first, second)[index % 2] for index in range(30)]
        answers = [*pool.map(lambda server: server.post(BODY, key=key), asked)]
        assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 20
        left = second.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
        assert left.headers["x-ratelimit-remaining-requests"] == "0"


def test_one_seed_for_a_key(on_each_database: Settings) -> None:
    """The same requests with the same keys get the same bytes from both servers at once.

    A different request with a used key is a 409 at either.
    """
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(8) as pool:
        asked = [(server, f"key-{index}") for index in range(16) for server in (first, second)]
        answers = [
            *pool.map(lambda ask: ask[0].post(BODY, key=first.key, idempotency_key=ask[1]), asked)
        ]
        assert {answer.status_code for answer in answers} == {200}
        pairs = [*zip(answers[::2], answers[1::2], strict=True)]
        assert all(one.headers["x-seed"] == other.headers["x-seed"] for one, other in pairs)
        images = {one.json()["data"][0]["b64_json"] for one, _ in pairs}
        assert images == {other.json()["data"][0]["b64_json"] for _, other in pairs}
        assert len(images) == 16
        for server in (first, second):
            changed = {**BODY, "prompt": "a blue fox"}
            refused = server.post(changed, key=first.key, idempotency_key="key-0")
            assert refused.status_code == 409


@contextmanager
def refusing(server: RunningServer) -> Iterator[threading.Event]:
    """The server's engine refuses each job, but not before the event is set."""
    is_refusing, original = threading.Event(), server.engine.generate
    server.engine.refusal = QueueFullError("the queue is full")

    async def generate(params: ImageParams, context: JobContext) -> AsyncGenerator[Event, None]:
        while not is_refusing.is_set():
            await asyncio.sleep(0.002)
        async for event in original(params, context):
            yield event

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.engine, "generate", generate)
        yield is_refusing
        is_refusing.set()
    server.engine.refusal = None


def num_keys(server: RunningServer) -> int:
    with server.resources.database.connect() as connection:
        query = text("SELECT COUNT(*) FROM daguerre_idempotency_keys")
        return int(connection.execute(query).scalar_one())


@pytest.mark.parametrize("first_to_end", ["refused", "answered"])
def test_refusal_does_not_release_the_key_of_another_server(
    on_each_database: Settings, first_to_end: str
) -> None:
    """If one server refuses a key and another answers it, in any order, the answer stays valid."""
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(2) as pool:

        def post(server: RunningServer, **changes: object) -> httpx.Response:
            return server.post({**BODY, **changes}, key=first.key, idempotency_key="k")

        with refusing(first) as is_refusing:
            refused = pool.submit(post, first)
            wait_until(lambda: num_keys(first) == 1)
            second.engine.is_held = True
            pending = pool.submit(post, second)
            wait_until(lambda: second.engine.num_running == 1)
            if first_to_end == "refused":
                is_refusing.set()
                assert refused.result().status_code == 503
            second.engine.is_held = False
            answered = pending.result()
            is_refusing.set()
            assert (refused.result().status_code, answered.status_code) == (503, 200)
        for server in (first, second):
            assert post(server).content == answered.content
            assert post(server, prompt="a blue fox").status_code == 409


def test_refused_key_is_new_everywhere(on_each_database: Settings) -> None:
    """A key that one server has refused, and no other one has used, is new at both."""
    with two_running(on_each_database) as (first, second):
        first.engine.refusal = QueueFullError("the queue is full")
        assert first.post(BODY, idempotency_key="k").status_code == 503
        changed = {**BODY, "prompt": "a blue fox"}
        answer = second.post(changed, key=first.key, idempotency_key="k")
        assert answer.status_code == 200 and "idempotent-replayed" not in answer.headers


def test_server_that_dies(on_each_database: Settings) -> None:
    """A key whose server stopped halfway keeps its request and its seed at the others."""
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(1) as pool:
        second.engine.is_held = True
        pending = pool.submit(second.post, BODY, key=first.key, idempotency_key="k")
        wait_until(lambda: second.engine.num_running == 1)
        second.stop_at_once()
        assert pending.result().status_code == 503
        changed = {**BODY, "prompt": "a blue fox"}
        assert first.post(changed, idempotency_key="k").status_code == 409
        answer = first.post(BODY, idempotency_key="k")
        assert answer.headers["x-seed"] == str(second.engine.params[0].seed)


def num_waiting_for_locks(server: RunningServer) -> int:
    with server.resources.database.connect() as connection:
        query = text(
            "SELECT COUNT(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(connection.execute(query).scalar_one())


def test_locked_keys(postgresql: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While PostgreSQL waits for a lock on the idempotency keys, other requests succeed."""
    monkeypatch.setattr(database_threads, "_LIMITS", "SELECT 1")
    monkeypatch.setattr(database_threads, "CALL_TIMEOUT_S", PATIENCE_S)
    with running(tmp_path, database_url=postgresql.new_database()) as server:
        with ThreadPoolExecutor(20) as pool, server.resources.database.connect() as connection:
            connection.execute(text("LOCK TABLE daguerre_idempotency_keys"))
            keys = [f"k{index}" for index in range(20)]
            pending = [pool.submit(server.post, BODY, idempotency_key=key) for key in keys]
            wait_until(lambda: num_waiting_for_locks(server) == database_threads.NUM_THREADS)
            assert server.post(BODY).status_code == 200
            assert not any(answer.done() for answer in pending)
            connection.rollback()
            assert {answer.result().status_code for answer in pending} == {200}


def test_database_outage(postgresql: Cluster, tmp_path: Path) -> None:
    """Requests get 503 with a Retry-After during an outage, and /readyz says why."""
    settings = replace(Settings(home=tmp_path), database_url=postgresql.new_database())
    with running(tmp_path, database_url=settings.database_url) as server:
        assert server.post(BODY, idempotency_key="a").status_code == 200
        with postgresql.outage(server.resources.database):
            for sent in ({}, {"idempotency_key": "a"}):
                refused = server.post(BODY, **sent)
                assert refused.status_code == 503
                assert error_of(refused)["message"].startswith(("cannot read", "cannot store"))
                assert int(refused.headers["retry-after"]) > 0
            assert server.client.get("/healthz").status_code == 200
            ready = server.client.get("/readyz")
            assert ready.status_code == 200
            assert "cannot read the API keys; try again" in ready.json()["outages"]
        assert server.post(BODY, idempotency_key="a").headers["idempotent-replayed"] == "true"
