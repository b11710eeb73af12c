"""The sliding minute of a resource: what it lets in, what costs, what the headers say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from conftest import MODEL, RunningServer, error_of, running, wait_until
from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import QueueFullError, RateLimitError
from daguerre.server.access.rate_limiter import ConcurrencyLimiter, RateLimiter, retry_after_s
from daguerre.storage.api_keys import Resource

BODY = {"model": MODEL, "prompt": "a red fox"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def resource(limit: int | None, id: str = "r") -> Resource:
    return Resource(id, "DIFFUSION", MODEL, limit, created=0, key_prefix="inf-")


def take(limiter: RateLimiter, limited: Resource) -> None:
    with limiter.permit(limited):
        pass


def remaining(limiter: RateLimiter, limited: Resource) -> int:
    return int(limiter.headers(limited)["x-ratelimit-remaining-requests"])


def test_window_slides() -> None:
    """Each entry leaves a minute after it came, not at the turn of a minute."""
    clock = Clock()
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
    """Retry-After stays from 1 to 59, even right after the entry came."""
    limiter, limited = RateLimiter(Clock()), resource(1)
    take(limiter, limited)
    with pytest.raises(RateLimitError) as caught:
        take(limiter, limited)
    assert caught.value.retry_after_s == 59


@pytest.mark.parametrize(
    ("error", "costs"), [(QueueFullError("full"), 0), (RuntimeError(), 0), (ClientDisconnect(), 1)]
)
def test_what_costs(error: Exception, costs: int) -> None:
    """A failed request is given back; one whose client walked away is not."""
    limiter, limited = RateLimiter(Clock()), resource(3)
    take(limiter, limited)
    with pytest.raises(type(error)), limiter.permit(limited):
        assert remaining(limiter, limited) == 1
        raise error
    assert remaining(limiter, limited) == 2 - costs


def test_giving_back_after_the_minute() -> None:
    """A failure after its entry has left the window takes no other entry with it."""
    clock = Clock()
    limiter, limited = RateLimiter(clock), resource(2)
    with pytest.raises(RuntimeError), limiter.permit(limited):
        clock.now += 61
        take(limiter, limited)
        raise RuntimeError
    assert remaining(limiter, limited) == 1


def test_headers_follow_the_oldest() -> None:
    """The reset is when the oldest entry leaves, in whole seconds with an s."""
    clock = Clock()
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
    """A resource without a limit has no headers and takes no memory."""
    limiter = RateLimiter(Clock())
    for _ in range(100):
        take(limiter, resource(None))
    assert limiter.headers(resource(None)) == {}
    assert limiter._entries == {}


def test_memory_is_bounded() -> None:
    """Entries never exceed the limits, and idle resources are forgotten."""
    clock = Clock()
    limiter = RateLimiter(clock)
    for i in range(100):
        take(limiter, resource(1, str(i)))
        with pytest.raises(RateLimitError):
            take(limiter, resource(1, str(i)))
    assert sum(len(entries) for entries in limiter._entries.values()) == 100
    clock.now += 61
    take(limiter, resource(1, "new"))
    assert list(limiter._entries) == ["new"]


def test_resources_do_not_share() -> None:
    """One resource's requests leave another's window alone."""
    limiter = RateLimiter(Clock())
    take(limiter, resource(1, "a"))
    take(limiter, resource(1, "b"))
    with pytest.raises(RateLimitError):
        take(limiter, resource(1, "a"))


def test_retry_after_while_loading() -> None:
    """Without a job to measure, a loading model still gives a number."""
    assert 1 <= retry_after_s(EngineStats(False, 0, 0, 0, 0, 0, 0, 0)) <= 59


def test_parallel_requests_of_one_key(tmp_path: Path) -> None:
    """Past the limit of a key there is 429 before the body is read; other keys are let in, and so
    is this one when a request has ended, whichever way."""
    with (
        running(tmp_path, max_concurrent_requests_per_key=2) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        server.engine.is_held = True
        other = server.limited(100)
        under_way = [pool.submit(server.post, BODY) for _ in range(2)]
        wait_until(lambda: server.engine.num_running == 2)
        refused = server.post(b"{")
        assert (error_of(refused)["code"], refused.headers["retry-after"]) == (429, "2")
        assert "2 requests with the key of DIFFUSION are under way" in refused.text
        assert error_of(server.post(b"{", key=other))["code"] == 400
        server.engine.is_held = False
        assert [answer.result().status_code for answer in under_way] == [200, 200]
        for body, status in ((b"{", 400), (BODY, 200), (b"{", 400), (BODY, 200)):
            assert server.post(body).status_code == status


def test_parallel_takes_no_memory() -> None:
    """Whoever has nothing under way is forgotten; 0 is no limit."""
    parallel, stats = ConcurrencyLimiter(0), EngineStats(True, 0, 0, 0, 0, 0, 0, 0)
    with ExitStack() as held:
        for _ in range(1000):
            held.enter_context(parallel.hold(resource(None), stats))
    assert not parallel._num_held


def limits_of(response: httpx.Response) -> tuple[str, str]:
    names = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    return response.headers[names[0]], response.headers[names[1]]


def test_over_http(server: RunningServer) -> None:
    """Images count down; the one over the limit is a 429 with Retry-After and its headers."""
    key = server.limited(2)
    first = server.post(BODY, key=key)
    assert (first.status_code, limits_of(first)) == (200, ("2", "1"))
    assert first.headers["x-ratelimit-reset-requests"] in ("59s", "60s")
    assert limits_of(server.post(BODY, key=key)) == ("2", "0")
    refused = server.post(BODY, key=key)
    error = error_of(refused)
    assert (refused.status_code, error["type"]) == (429, "rate_limit_error")
    assert 1 <= int(refused.headers["retry-after"]) <= 59
    assert limits_of(refused) == ("2", "0")


def test_refusals_cost_nothing(server: RunningServer) -> None:
    """400, 403, 413, 500 and 503 leave the window as it was, and carry the headers."""
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
    """Where no limit is set, none is spoken of."""
    assert not [name for name in server.generate().headers if name.startswith("x-ratelimit")]


def test_side_by_side(server: RunningServer) -> None:
    """Requests that wait at the same time cannot pass the limit together."""
    key = server.limited(3)
    server.engine.is_held = True
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.post, BODY, key=key) for _ in range(8)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 5)
        assert server.engine.num_running == 3
        server.engine.is_held = False
    assert sorted(answer.result().status_code for answer in answers) == [200] * 3 + [429] * 5


def test_leaving_costs(server: RunningServer) -> None:
    """A client cannot pass its limit by walking away from images."""
    key = server.limited(1)
    server.engine.is_held = True
    body = b'{"model":"stable-image-ultra","prompt":"x"}'
    with server.connection() as leaves:
        leaves.sendall(server.head(len(body), key=key) + body)
        wait_until(lambda: server.engine.num_running == 1)
    wait_until(lambda: server.engine.num_cancelled == 1)
    assert server.post(BODY, key=key).status_code == 429
