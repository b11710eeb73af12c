"""Rate and concurrency limits of a key: admission, returned permits, headers, `Retry-After`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from conftest import MODEL, ManualClock, RunningServer, error_of, running, wait_until
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import (
    MAX_RETRY_AFTER_S,
    DeadlineExceededError,
    InvalidRequestError,
    QueueFullError,
    RateLimitError,
    UnavailableError,
)
from daguerre.server.access.rate_limiter import (
    ConcurrencyLimiter,
    RateLimiter,
    rate_limit_headers,
)
from daguerre.server.http.errors import LOADING_RETRY_AFTER_S, clamp_retry_after, retry_after_s
from daguerre.server.http.request_context import RequestContext
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.rate_limits import RateLimits, Window
from daguerre.storage.resources import Resource, ResourceStore

BODY = {"model": MODEL, "prompt": "a red fox"}


def resource(limit: int | None, id: str = "r") -> Resource:
    return Resource(id, "DIFFUSION", MODEL, limit, created=0, key_prefix="inf-")


@dataclass
class Charges:
    """A rate limiter and a request of a key with a limit."""

    limiter: RateLimiter
    context: RequestContext

    def take(self, error: Exception | None = None) -> None:
        """Charges a request, which ends with the error."""

        async def run() -> None:
            assert self.context.resource
            async with self.limiter.charge(self.context.resource, self.context):
                if error:
                    raise error

        asyncio.run(run())

    @property
    def remaining(self) -> int:
        return int(rate_limit_headers(self.context)["x-ratelimit-remaining-requests"])


@pytest.fixture
def charges(store: ResourceStore, clock: ManualClock) -> Iterator[Charges]:
    """Of a key with three requests a minute."""
    database = DatabaseThreads(store.database)
    limiter = RateLimiter(RateLimits(store.database, lambda connection: clock()), database)
    yield Charges(limiter, RequestContext("id", "POST", resource=resource(3)))
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


def test_retry_after(charges: Charges, clock: ManualClock) -> None:
    """At the limit, Retry-After is the time until the oldest request expires, at most 59 s."""
    for _ in range(3):
        charges.take()
    for wait_s, expected_s in ((0.0, 59), (40.0, 20)):
        clock.now += wait_s
        with pytest.raises(RateLimitError, match=f"in {expected_s} s") as caught:
            charges.take()
        assert caught.value.retry_after_s == expected_s


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        *((QueueFullError("full"), 0), (RuntimeError(), 0), (InvalidRequestError("n is 2"), 0)),
        *((ClientDisconnect(), 1), (DeadlineExceededError("late"), 1)),
    ],
)
def test_returned_permits(charges: Charges, error: Exception, costs: int) -> None:
    """A failed request returns its permit, unless the client disconnects or sets the deadline."""
    charges.take()
    assert charges.remaining == 2
    with pytest.raises(type(error)):
        charges.take(error)
    assert charges.remaining == 2 - costs


def test_refund_during_an_outage(charges: Charges, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a failed request cannot be refunded, the client gets the error of its request."""

    def refund(*arguments: object) -> Window:
        raise UnavailableError("the database is gone")

    monkeypatch.setattr(RateLimits, "refund", refund)
    with pytest.raises(QueueFullError):
        charges.take(QueueFullError("full"))
    assert charges.remaining == 2


def test_headers() -> None:
    """The reset is the time until the oldest request expires, in whole seconds."""
    context = RequestContext("id", "POST", resource=resource(5))
    assert rate_limit_headers(context) == {}
    context.rate_limit_window = Window(2, 50.5)
    assert rate_limit_headers(context) == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "51s",
    }
    context.rate_limit_window = Window(7, 50.5)  # the limit was higher before
    assert rate_limit_headers(context)["x-ratelimit-remaining-requests"] == "0"
    context.resource = resource(None)
    assert rate_limit_headers(context) == {}


def test_retry_after_while_loading() -> None:
    """Retry-After of a loading model is a constant."""
    loading = EngineStats(backlog_s=50.0)
    assert retry_after_s(loading) == LOADING_RETRY_AFTER_S
    assert retry_after_s(replace(loading, is_ready=True)) == 50


def test_concurrency_limit_over_http(tmp_path: Path) -> None:
    """At the limit a key gets 429 before its body is read; other keys are unaffected. A request
    that ends, with or without success, frees its place."""
    with (
        running(tmp_path, max_concurrent_requests_per_key=2) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        server.engine.is_held = True
        other = server.limited(100)
        active = [pool.submit(server.post, BODY) for _ in range(2)]
        wait_until(lambda: server.engine.num_running == 2)
        refused = server.post(b"{")
        assert (error_of(refused)["code"], refused.headers["retry-after"]) == (429, "2")
        assert "key DIFFUSION already has 2 requests in progress (limit: 2)" in refused.text
        assert error_of(server.post(b"{", key=other))["code"] == 400
        server.engine.is_held = False
        assert [answer.result().status_code for answer in active] == [200, 200]
        for body, status in ((b"{", 400), (BODY, 200), (b"{", 400), (BODY, 200)):
            assert server.post(body).status_code == status


READY = EngineStats(is_ready=True)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_concurrency_limit(limit: int) -> None:
    """Exactly `limit` requests are admitted, and each that ends admits one more."""
    limiter = ConcurrencyLimiter(limit)
    with ExitStack() as held:
        for _ in range(limit - 1):
            held.enter_context(limiter.permit(resource(None), READY))
        for _ in range(3):
            with limiter.permit(resource(None), READY):
                with (
                    pytest.raises(RateLimitError, match=f"limit: {limit}"),
                    limiter.permit(resource(None), READY),
                ):
                    pass
                with limiter.permit(resource(None, "another key"), READY):
                    pass
    assert not limiter._num_active


def test_no_concurrency_limit() -> None:
    """0 disables the limit, and idle keys are forgotten."""
    limiter = ConcurrencyLimiter(0)
    with ExitStack() as held:
        for _ in range(1000):
            held.enter_context(limiter.permit(resource(None), READY))
    assert not limiter._num_active


def test_concurrency_error_returns_the_place() -> None:
    """A request that fails frees its place."""
    limiter = ConcurrencyLimiter(1)
    for _ in range(2):
        with pytest.raises(RuntimeError), limiter.permit(resource(None), READY):
            raise RuntimeError


@given(st.floats(-100, 1000))
def test_clamp_retry_after(seconds: float) -> None:
    """Retry-After is an integer from 1 to 59, and not less than the wait unless that is longer."""
    value = clamp_retry_after(seconds)
    assert 1 <= value <= MAX_RETRY_AFTER_S
    assert seconds <= value < max(seconds, 0) + 1 or value in (1, MAX_RETRY_AFTER_S)


def limits_of(response: httpx.Response) -> tuple[str, str]:
    names = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    return response.headers[names[0]], response.headers[names[1]]


def test_over_http(server: RunningServer) -> None:
    """Each image uses one permit; at the limit the response is a 429 with Retry-After."""
    key = server.limited(2)
    first = server.post(BODY, key=key)
    assert (first.status_code, limits_of(first)) == (200, ("2", "1"))
    assert 1 <= int(first.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert limits_of(server.post(BODY, key=key)) == ("2", "0")
    refused = server.post(BODY, key=key)
    error = error_of(refused)
    assert (refused.status_code, error["type"]) == (429, "rate_limit_error")
    assert 1 <= int(refused.headers["retry-after"]) <= 59
    assert limits_of(refused) == ("2", "0")


def test_errors_return_the_permit(server: RunningServer) -> None:
    """400, 403, 413, 500 and 503 use no permit and have the headers."""
    key = server.limited(1)
    assert limits_of(server.post({**BODY, "n": 2}, key=key)) == ("1", "1")
    assert limits_of(server.post({**BODY, "model": "other"}, key=key)) == ("1", "1")
    assert limits_of(server.post(b"x" * 300_000, key=key)) == ("1", "1")
    for error in (QueueFullError("full"), RuntimeError("broken")):
        server.engine.failure = error
        assert limits_of(server.post(BODY, key=key)) == ("1", "1")
    server.engine.failure = None
    listed = server.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert limits_of(listed) == ("1", "1")
    assert limits_of(server.post(BODY, key=key)) == ("1", "0")


def test_unlimited_has_no_headers(server: RunningServer) -> None:
    """A key without a limit gets no rate limit headers."""
    assert not [name for name in server.generate().headers if name.startswith("x-ratelimit")]


def test_concurrent_requests(server: RunningServer) -> None:
    """Concurrent requests cannot exceed the limit together."""
    key = server.limited(3)
    server.engine.is_held = True
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.post, BODY, key=key) for _ in range(8)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 5)
        assert server.engine.num_running == 3
        server.engine.is_held = False
    assert sorted(answer.result().status_code for answer in answers) == [200] * 3 + [429] * 5


def test_disconnect_uses_the_permit(server: RunningServer) -> None:
    """A client cannot exceed its limit by disconnecting before the images are finished."""
    key = server.limited(1)
    server.engine.is_held = True
    body = b'{"model":"stable-image-ultra","prompt":"x"}'
    with server.connection() as leaves:
        leaves.sendall(server.head(len(body), key=key) + body)
        wait_until(lambda: server.engine.num_running == 1)
    wait_until(lambda: server.engine.num_cancelled == 1)
    assert server.post(BODY, key=key).status_code == 429


@pytest.mark.parametrize("body", [BODY, {**BODY, "stream": True, "partial_images": 3}])
def test_short_deadline_uses_the_permit(server: RunningServer, body: dict[str, object]) -> None:
    """A client cannot exceed its limit with deadlines that pass before the images are finished."""
    key = server.limited(1)
    server.engine.is_held = True
    late = server.post(body, key=key, x_request_timeout="0.1")
    assert "not finished within 0.1 s" in late.text
    server.engine.is_held = False
    assert server.post(BODY, key=key).status_code == 429
