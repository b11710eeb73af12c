"""Servers that share a database share API keys and the seeds of idempotency keys."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from conftest import MODEL, RunningServer, error_of, running
from postgresql import Cluster

from daguerre.config import Settings

BODY = {"model": MODEL, "prompt": "a red fox"}


@contextmanager
def two(settings: Settings) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Servers that share a data directory, or with a database URL only the database."""
    url, home = settings.database_url, settings.data_dir()
    other = home.with_name("other") if url else home
    with running(home, database_url=url) as first:
        with running(other, database_url=url, alias="OTHER") as second:
            yield first, second


def test_shared_api_keys(on_each_database: Settings) -> None:
    """A key from one server is valid at both, until either rotates it."""
    with two(on_each_database) as (first, second):
        assert first.post(BODY, key=second.key).status_code == 200
        assert second.post(BODY, key=first.key).status_code == 200
        new = second.resources.rotate("DIFFUSION")
        assert first.post(BODY, key=first.key).status_code == 401
        assert first.post(BODY, key=new).status_code == 200


def test_one_seed_for_a_key(on_each_database: Settings) -> None:
    """The same requests with the same keys get the same bytes from both servers at once.

    A different request with a used key is a 409 at either.
    """
    with two(on_each_database) as (first, second), ThreadPoolExecutor(8) as pool:
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


def test_database_outage(postgresql: Cluster, tmp_path: Path) -> None:
    """Requests get 503 with a Retry-After during an outage; those without a key still work."""
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
        assert server.post(BODY, idempotency_key="a").headers["idempotent-replayed"] == "true"
