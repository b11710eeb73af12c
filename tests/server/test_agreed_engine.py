"""Servers that share a database serve a model only if they draw the same images."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from conftest import (
    MODEL,
    FakeEngine,
    ManualClock,
    RunningServer,
    error_of,
    two_running,
    wait_until,
)

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.errors import UnavailableError
from daguerre.params import Event, ImageParams, JobSucceeded
from daguerre.server.agreed_engine import REASON, AgreedEngine
from daguerre.server.control_socket import in_loop
from daguerre.server.http.errors import OutageLog
from daguerre.server.membership import RENEW_S, Membership
from daguerre.server.model_states import model_states
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.resources import ResourceStore
from daguerre.storage.server_leases import Registration, Renewal, ServerLeases

X, Y = "weights avx512 openvino-3", "weights avx2 openvino-3"
BODY = {"model": MODEL, "prompt": "a red fox"}


def load(server: RunningServer, fingerprint: str) -> None:
    """The engine has loaded the model; waits until the server has registered it."""
    server.engine.loaded = {MODEL: fingerprint}
    membership = server.server.engine._membership
    wait_until(lambda: membership._fingerprints.get(MODEL, "").startswith(fingerprint))


def is_ready(server: RunningServer) -> bool:
    return server.client.get("/readyz").status_code == 200


def test_server_that_differs(on_each_database: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Its requests get 503, /readyz says why, and the log and the operator see what differs."""
    with two_running(on_each_database) as (first, second):
        load(first, X)
        load(second, Y)
        wait_until(lambda: not is_ready(second))
        refused = second.client.get("/readyz")
        assert error_of(refused)["message"] == f"no model is served: {REASON}"
        refused = second.post(BODY, idempotency_key="k")
        assert error_of(refused)["message"].endswith(
            f"is not served by this server: {REASON}; try again"
        )
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert second.engine.params == []
        assert "daguerre_unavailable_models 1.0" in second.client.get("/metrics").text
        assert "avx2 here, avx512 there; stop the servers that differ" in caplog.text
        [state] = model_states(second.server.engine, second.server.engine.conflicts())
        assert state["state"] == "failed"
        assert str(state["reason"]).endswith("avx2 here, avx512 there")
        assert first.post(BODY, key=first.key).status_code == 200 and is_ready(first)
        again = first.post({**BODY, "prompt": "new"}, key=second.key, idempotency_key="k")
        assert again.status_code == 200


def test_server_that_differs_is_never_ready(settings: Settings) -> None:
    """It is not ready between the end of loading and the comparison of fingerprints."""
    with two_running(settings) as (first, second):
        load(first, X)
        second.engine.is_ready = False
        second.engine.loaded, second.engine.is_ready = {MODEL: Y}, True
        while (answer := second.client.get("/readyz")).status_code == 503:
            if REASON in answer.text:
                break
        assert answer.status_code == 503


def test_takeover(on_each_database: Settings) -> None:
    """When the last server with the fingerprint shuts down, the other one serves the model.

    It does so at the next request, while the first one still finishes its own.
    """
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(1) as pool:
        load(first, X)
        load(second, Y)
        assert second.post(BODY).status_code == 503
        first.engine.is_held = True
        pending = pool.submit(first.post, BODY)
        wait_until(lambda: first.engine.num_running == 1)
        first.server.handle_exit(15, None)
        wait_until(lambda: first.server.engine._membership.has_left)
        wait_until(lambda: second.post(BODY).status_code == 200)
        assert is_ready(second)
        first.engine.is_held = False
        assert pending.result().status_code == 200


def test_equal_servers(on_each_database: Settings) -> None:
    """Servers with one fingerprint all serve the model."""
    with two_running(on_each_database) as servers:
        for server in servers:
            load(server, X)
            assert server.post(BODY, key=server.key).status_code == 200 and is_ready(server)


def test_model_that_is_loaded_on_demand(on_each_database: Settings) -> None:
    """An image of a model whose fingerprint turns out to differ is not returned."""
    with two_running(on_each_database) as (first, second), ThreadPoolExecutor(1) as pool:
        load(first, X)
        second.engine.is_held = True
        pending = pool.submit(second.post, BODY)
        wait_until(lambda: second.engine.num_running == 1)
        second.engine.loaded = {MODEL: Y}
        second.engine.is_held = False
        assert pending.result().status_code == 503


def test_other_models_are_served(settings: Settings) -> None:
    """A server that differs in one model serves the others, and is ready."""
    with two_running(settings) as (first, second):
        second.engine.model_infos += (replace(second.engine.model_infos[0], id="other"),)
        load(first, X)
        second.engine.loaded = {MODEL: Y, "other": Y}
        wait_until(lambda: second.client.get("/readyz").json().get("unavailable_models"))
        assert second.client.get("/readyz").json()["unavailable_models"] == [
            {"id": MODEL, "reason": REASON}
        ]
        _, key = second.resources.create("other", "OTHER_MODEL")
        assert second.post({**BODY, "model": "other"}, key=key).status_code == 200
        second.engine.model_infos = second.engine.model_infos[:1]


def test_promote(settings: Settings) -> None:
    """A promoted server serves the model, and the other one refuses it."""
    with two_running(settings) as (first, second):
        load(first, X)
        load(second, Y)
        assert second.post(BODY).status_code == 503
        loop = second.server._loop
        assert loop and in_loop(loop, second.server.engine.promote) == [MODEL]
        assert second.post(BODY).status_code == 200 and is_ready(second)
        first.engine.loaded = {MODEL: f"{X} again"}  # has it renew at once
        wait_until(lambda: not is_ready(first))
        assert first.post(BODY, key=first.key).status_code == 503
        assert in_loop(loop, second.server.engine.promote) == []


def test_concurrency_limit_is_shared(settings: Settings) -> None:
    """Each of two servers admits half of the concurrent requests of a key, rounded up."""
    with two_running(settings, max_concurrent_requests_per_key=3) as servers:
        first, second = servers
        load(second, X)
        load(first, X)
        with ThreadPoolExecutor(2) as pool:
            first.engine.is_held = True
            pending = [pool.submit(first.post, BODY) for _ in range(2)]
            wait_until(lambda: first.engine.num_running == 2)
            refused = first.post(BODY)
            first.engine.is_held = False
            assert [one.result().status_code for one in pending] == [200, 200]
        assert refused.status_code == 429
        assert "(limit: 2, 3 on 2 servers)" in error_of(refused)["message"]


class FakeLeases(ServerLeases):
    """Leases without a database: an answer, or an error."""

    def __init__(self) -> None:
        self.answer: Renewal | Exception = Renewal()
        self.renewed: list[tuple[dict[str, str], bool]] = []

    def renew(self, fingerprints: object, *, replace: bool = False) -> Renewal:
        assert isinstance(fingerprints, dict)
        self.renewed.append((fingerprints, replace))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def release(self) -> None:
        self.renewed.append(({}, False))


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def membership(
    store: ResourceStore, leases: FakeLeases, clock: ManualClock
) -> Iterator[Membership]:
    threads = DatabaseThreads(store.database, num_threads=1)
    yield Membership(leases, threads, OutageLog(), clock)
    threads.close()


def test_renewals(membership: Membership, leases: FakeLeases, clock: ManualClock) -> None:
    """A lease is renewed in time, at once if a fingerprint has changed, and not after its end."""

    async def main() -> None:
        await membership.renew_if_due({"m": "x"})
        clock.now += RENEW_S - 1
        await membership.renew_if_due({"m": "x"})
        assert leases.renewed == [({"m": "x"}, False)]
        await membership.renew_if_due({"m": "y"})
        assert membership.is_registered("m", "y") and not membership.is_registered("m", "x")
        clock.now += RENEW_S
        await membership.renew_if_due({"m": "y"})
        assert leases.renewed[1:] == 2 * [({"m": "y"}, False)]
        await membership.leave()
        await membership.leave()
        clock.now += RENEW_S
        await membership.renew({"m": "y"})
        assert leases.renewed[3:] == [({}, False)]

    asyncio.run(main())


def test_outage(
    membership: Membership, leases: FakeLeases, caplog: pytest.LogCaptureFixture
) -> None:
    """During an outage the last answer holds; only a promotion fails."""

    async def main() -> None:
        leases.answer = Renewal(2, {"m": Registration("y", "web1:42")})
        await membership.renew({"m": "x"})
        leases.answer = UnavailableError("the database is gone")
        leases.answer.__cause__ = OSError("no route")
        for fingerprints in 3 * [{"m": "x", "n": "x"}]:
            await membership.renew_if_due(fingerprints)
        assert len(leases.renewed) == 2
        assert membership.is_refused("m") and membership.num_servers() == 2
        assert "no route" in caplog.text
        with pytest.raises(UnavailableError):
            await membership.promote({"m": "x"})
        leases.answer = Renewal()
        await membership.renew({"m": "x"})
        assert not membership.is_refused("m")
        assert "m is served now" in caplog.text

    asyncio.run(main())


def test_engine_of_before_a_reload(membership: Membership, leases: FakeLeases) -> None:
    """Its images are returned, and its fingerprints are not registered again."""
    old, new = FakeEngine(), FakeEngine()
    old.loaded, new.loaded = {MODEL: X}, {MODEL: Y}

    class Reloadable(FakeEngine):
        @contextmanager
        def hold(self) -> Iterator[Engine]:  # type: ignore[override]
            yield old

    root = Reloadable()
    root.loaded = new.loaded

    async def main() -> list[Event]:
        engine = AgreedEngine(root, membership, "daguerre=1")
        await membership.renew(engine._fingerprints())
        with engine.hold() as held:
            return [event async for event in held.generate(ImageParams(MODEL, "x"))]

    events = asyncio.run(main())
    assert isinstance(events[-1], JobSucceeded)
    [(registered, _)] = leases.renewed
    assert registered == {MODEL: f"{Y} daguerre=1 options="}


def test_throughput(membership: Membership, leases: FakeLeases) -> None:
    """A model that does not promise equal bytes registers its weights alone."""
    engine = FakeEngine()
    engine.model_infos = (replace(engine.model_infos[0], batching="throughput"),)
    engine.loaded = {MODEL: "weights"}
    agreed = AgreedEngine(engine, membership, "daguerre=1")
    assert agreed._fingerprints() == {MODEL: "weights"}
