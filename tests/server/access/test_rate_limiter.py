"""Rate and concurrency limits of a key: admission, returned permits, headers, `Retry-After`."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from conftest import MODEL, ManualClock, RunningServer, error_of, running, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import (
    MAX_RETRY_AFTER_S,
    DeadlineExceededError,
    InvalidRequestError,
    QueueFullError,
    RateLimitError,
)
from daguerre.server.access.rate_limiter import WINDOW_S, ConcurrencyLimiter, RateLimiter
from daguerre.server.http.errors import LOADING_RETRY_AFTER_S, clamp_retry_after, retry_after_s
from daguerre.storage.resources import Resource

BODY = {"model": MODEL, "prompt": "a red fox"}


def resource(limit: int | None, id: str = "r") -> Resource:
    return Resource(id, "DIFFUSION", MODEL, limit, created=0, key_prefix="inf-")


def take(limiter: RateLimiter, limited: Resource) -> None:
    with limiter.charge(limited):
        pass


def remaining(limiter: RateLimiter, limited: Resource) -> int:
    return int(limiter.headers(limited)["x-ratelimit-remaining-requests"])


def test_window_slides() -> None:
    """Each request counts for exactly 60 seconds, independent of clock minutes."""
    clock = ManualClock(1000.0)
    limiter, limited = RateLimiter(clock), resource(2)
    take(limiter, limited)
    clock.now += 40
    take(limiter, limited)
    clock.now += 19.5
    with pytest.raises(RateLimitError) as caught:
        take(limiter, limited)
    assert caught.value.retry_after_s == 1
    clock.now += 0.5
    take(limiter, limited)
    with pytest.raises(RateLimitError) as caught:
        take(limiter, limited)
    assert caught.value.retry_after_s == 40


def test_retry_after_is_never_a_minute() -> None:
    """Retry-After is at most 59, even directly after the first request."""
    limiter, limited = RateLimiter(ManualClock(1000.0)), resource(1)
    take(limiter, limited)
    with pytest.raises(RateLimitError) as caught:
        take(limiter, limited)
    assert caught.value.retry_after_s == 59


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        *((QueueFullError("full"), 0), (RuntimeError(), 0), (InvalidRequestError("n is 2"), 0)),
        *((ClientDisconnect(), 1), (DeadlineExceededError("late"), 1)),
    ],
)
def test_returned_permits(error: Exception, costs: int) -> None:
    """A failed request returns its permit, unless the client disconnects or sets the deadline."""
    limiter, limited = RateLimiter(ManualClock(1000.0)), resource(3)
    take(limiter, limited)
    with pytest.raises(type(error)), limiter.charge(limited):
        assert remaining(limiter, limited) == 1
        raise error
    assert remaining(limiter, limited) == 2 - costs


def test_late_failure_returns_no_other_permit() -> None:
    """A request that fails after its minute does not return the permit of another request."""
    clock = ManualClock(1000.0)
    limiter, limited = RateLimiter(clock), resource(2)
    with pytest.raises(RuntimeError), limiter.charge(limited):
        clock.now += 61
        take(limiter, limited)
        raise RuntimeError
    assert remaining(limiter, limited) == 1


def test_headers() -> None:
    """The reset is the time until the oldest request expires, in whole seconds."""
    clock = ManualClock(1000.0)
    limiter, limited = RateLimiter(clock), resource(5)
    assert limiter.headers(limited)["x-ratelimit-reset-requests"] == "0s"
    take(limiter, limited)
    clock.now += 9.5
    take(limiter, limited)
    assert limiter.headers(limited) == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "51s",
    }


def test_no_limit() -> None:
    """A key without a limit has no headers and uses no memory."""
    limiter = RateLimiter(ManualClock(1000.0))
    for _ in range(100):
        take(limiter, resource(None))
    assert limiter.headers(resource(None)) == {}
    assert limiter._entries == {}


def test_memory_is_bounded() -> None:
    """Only admitted requests are stored, and idle keys are forgotten."""
    clock = ManualClock(1000.0)
    limiter = RateLimiter(clock)
    for i in range(100):
        take(limiter, resource(1, str(i)))
        with pytest.raises(RateLimitError):
            take(limiter, resource(1, str(i)))
    assert sum(len(entries) for entries in limiter._entries.values()) == 100
    for wait_s, id in ((WINDOW_S, "new"), (WINDOW_S + 1, "newer")):
        clock.now += wait_s
        take(limiter, resource(1, id))
        assert list(limiter._entries) == [id]


def test_keys_are_independent() -> None:
    """The requests of one key do not count for another."""
    limiter = RateLimiter(ManualClock(1000.0))
    take(limiter, resource(1, "a"))
    take(limiter, resource(1, "b"))
    with pytest.raises(RateLimitError):
        take(limiter, resource(1, "a"))


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


@dataclass
class Active:
    """A request that has a permit."""

    id: str
    entered_s: float
    exit: Callable[[Exception | None], object]


class RateLimiterMachine(RuleBasedStateMachine):
    """Compares the limiter with a list of all permits ever taken."""

    LIMITS = {"a": 1, "b": 3}

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1000.0)
        self.limiter = RateLimiter(self.clock)
        self.taken: list[tuple[str, float]] = []
        self.active: list[Active] = []

    def current(self, id: str) -> list[float]:
        """Times of the permits of the last minute, oldest first."""
        return [time for other, time in self.taken if other == id and self.age(time) < WINDOW_S]

    def age(self, time: float) -> float:
        return self.clock.now - time

    @rule(seconds=st.integers(0, 61) | st.sampled_from([59.5, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(id=st.sampled_from("ab"))
    def enter(self, id: str) -> None:
        times, limit = self.current(id), self.LIMITS[id]
        permit = self.limiter.charge(resource(limit, id))
        if len(times) < limit:
            permit.__enter__()

            def end(error: Exception | None) -> object:
                return permit.__exit__(type(error) if error else None, error, None)

            self.active.append(Active(id, self.clock.now, end))
            self.taken.append((id, self.clock.now))
        else:
            with pytest.raises(RateLimitError) as caught:
                permit.__enter__()
            expected = clamp_retry_after(times[0] + WINDOW_S - self.clock.now)
            assert caught.value.retry_after_s == expected

    @rule(index=st.integers(0, 10), how=st.sampled_from(["success", "failure", "disconnect"]))
    def leave(self, index: int, how: str) -> None:
        if not self.active:
            return
        request = self.active.pop(index % len(self.active))
        if how == "success":
            request.exit(None)
        elif how == "disconnect":
            assert not request.exit(ClientDisconnect())
        else:
            assert not request.exit(RuntimeError())
            self.taken.remove((request.id, request.entered_s))

    @invariant()
    def headers_match(self) -> None:
        for id, limit in self.LIMITS.items():
            times = self.current(id)
            reset_s = times[0] + WINDOW_S - self.clock.now if times else 0
            assert self.limiter.headers(resource(limit, id)) == {
                "x-ratelimit-limit-requests": str(limit),
                "x-ratelimit-remaining-requests": str(limit - len(times)),
                "x-ratelimit-reset-requests": f"{math.ceil(reset_s)}s",
            }


RateLimiterMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None
)
TestRateLimiter = RateLimiterMachine.TestCase


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
