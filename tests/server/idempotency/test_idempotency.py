"""Idempotency-Key: a repeated request gets the same response, and its job runs once."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MODEL, PATIENCE_S, RunningServer, database_file, error_of, running, wait_until
from openai import ConflictError, OpenAI
from starlette.datastructures import Headers

from daguerre.errors import InvalidRequestError, QueueFullError
from daguerre.params import SIZES
from daguerre.protocol.parsing import parse_request
from daguerre.server import app
from daguerre.server.idempotency.header import parse_idempotency_key, request_digest
from daguerre.server.idempotency.requests import ImageRequests
from daguerre.storage import database, database_threads

BODY = {"model": MODEL, "prompt": "a red fox"}
REPLAYED = "idempotent-replayed"
# Port -> requests of each running server; a waiting request is not visible from outside.
IMAGE_REQUESTS: dict[int, ImageRequests] = {}


@contextmanager
def observed(directory: Path, **settings: Any) -> Iterator[RunningServer]:
    made: list[ImageRequests] = []

    def make(*arguments: Any, **named: Any) -> ImageRequests:
        made.append(ImageRequests(*arguments, **named))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "ImageRequests", make)
        with running(directory, **settings) as server:
            IMAGE_REQUESTS[server.settings.port] = made[0]
            yield server


@pytest.fixture(scope="module")
def _own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with observed(tmp_path_factory.mktemp("idempotency")) as server:
        yield server


@pytest.fixture
def server(_own_server: RunningServer) -> Iterator[RunningServer]:
    _own_server.engine.reset()
    yield _own_server
    _own_server.engine.reset()


def in_flight(server: RunningServer) -> int:
    """Number of requests in progress with a key."""
    keys = IMAGE_REQUESTS[server.settings.port]._in_flight.values()
    return sum(key.num_requests for key in keys)


def new_key() -> str:
    return str(uuid.uuid4())


def post(server: RunningServer, key: str, body: object = BODY) -> httpx.Response:
    return server.post(body, idempotency_key=key)


def sent(*values: str) -> Headers:
    return Headers(raw=[(b"idempotency-key", value.encode("latin-1")) for value in values])


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("a" * 255, "a" * 255),
        ('a"b', 'a"b'),
    ],
)
def test_keys(value: str, key: str) -> None:
    """Plain and quoted keys are equivalent."""
    assert parse_idempotency_key(sent(value)) == key


@pytest.mark.parametrize(
    "value", ["", '""', "a b", '"a', r'"a\x"', "ä", "a" * 256, f'"{"a" * 256}"', '"a"b', '"a";x=1']
)
def test_bad_keys(value: str) -> None:
    """Any other value is an error that names the header and the rule."""
    with pytest.raises(InvalidRequestError, match="1 to 255 printable ASCII") as caught:
        parse_idempotency_key(sent(value))
    assert caught.value.param == "Idempotency-Key"


def test_one_key_at_a_time() -> None:
    """Two headers are an error; none is no key."""
    assert parse_idempotency_key(Headers({})) is None
    with pytest.raises(InvalidRequestError, match="got 2 Idempotency-Key headers"):
        parse_idempotency_key(sent("a", "a"))


def test_request_digest() -> None:
    """Every field that changes the response changes it; the spelling of the JSON does not."""
    plain = request_digest("k", parse_request(BODY))
    assert request_digest("k", parse_request({**BODY, "seed": 0, "size": None, "n": 1.0})) == plain
    others: list[dict[str, object]] = [
        {"prompt": "a red fo"},
        {"negative_prompt": "x"},
        {"seed": 1},
        {"output_format": "jpeg"},
        {"output_compression": 5},
    ]
    others += [{"aspect_ratio": ratio} for ratio in SIZES]
    digests = [request_digest("k", parse_request({**BODY, **other})) for other in others]
    assert len({plain, request_digest("l", parse_request(BODY)), *digests}) == len(others) + 2


def test_bad_key_over_http(server: RunningServer) -> None:
    """A bad key is a 400 that names the header, without a job."""
    response = post(server, "a b")
    assert error_of(response)["param"] == "Idempotency-Key" and response.status_code == 400
    assert server.engine.params == []


def test_again(server: RunningServer) -> None:
    """The same request with the same key gets the same bytes from one job."""
    key = new_key()
    first = post(server, key)
    assert (first.status_code, first.headers["x-cache"]) == (200, "miss")
    assert REPLAYED not in first.headers
    again = post(server, f'"{key}"', json.dumps(BODY, indent=3).encode())
    assert again.content == first.content
    assert again.headers["x-seed"] == first.headers["x-seed"]
    assert (again.headers["x-cache"], again.headers[REPLAYED]) == ("hit", "true")
    assert again.headers["server-timing"].startswith("queue;dur=0.0, encode;dur=0.0")
    assert len(server.engine.params) == 1


def test_other_keys(server: RunningServer) -> None:
    """Another key, and the same key of another resource, get seeds of their own."""
    key = new_key()
    seeds = [
        post(server, key).headers["x-seed"],
        post(server, new_key()).headers["x-seed"],
        server.post(BODY, key=server.limited(9), idempotency_key=key).headers["x-seed"],
        server.post(BODY).headers["x-seed"],
    ]
    assert len(set(seeds)) == 4 and len(server.engine.params) == 4


def test_different_request(server: RunningServer) -> None:
    """A different request with the key is a 409, during and after the first one."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, server, key)
        wait_until(lambda: server.engine.num_running == 1)
        during = post(server, key, {**BODY, "seed": 5})
        server.engine.is_held = False
        after = post(server, key, {**BODY, "prompt": "a blue fox"})
        for refused in (during, after):
            error = error_of(refused)
            assert (refused.status_code, error["param"]) == (409, "Idempotency-Key")
            assert error["type"] == "invalid_request_error"
        assert post(server, key).content == first.result().content
    assert len(server.engine.params) == 1


def test_openai_client_does_not_retry(server: RunningServer) -> None:
    """A 409 tells OpenAI's client, which retries it by default, not to."""
    client = OpenAI(
        base_url=f"{server.settings.public_base_url()}/v1", api_key=server.key, max_retries=2
    )
    headers = {"Idempotency-Key": new_key()}
    with client:
        client.images.generate(model=MODEL, prompt="a", extra_headers=headers)
        with pytest.raises(ConflictError) as caught:
            client.images.generate(model=MODEL, prompt="b", extra_headers=headers)
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_concurrent_requests(server: RunningServer) -> None:
    """Requests that arrive during the first share its job and its response."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(5) as pool:
        answers: list[Future[httpx.Response]] = []
        for count in range(5):
            answers.append(pool.submit(post, server, key))
            wait_until(lambda count=count: in_flight(server) == count + 1)  # type: ignore[misc]
        server.engine.is_held = False
        contents = {answer.result().content for answer in answers}
    assert len(contents) == 1 and b"b64_json" in contents.pop()
    assert sum(REPLAYED in answer.result().headers for answer in answers) == 4
    assert (len(server.engine.params), server.engine.num_cancelled) == (1, 0)
    assert in_flight(server) == 0


def leaving(server: RunningServer, key: str) -> None:
    """A request whose client disconnects while its job runs."""
    body = json.dumps(BODY).encode()
    before = in_flight(server)
    with server.connection() as connection:
        connection.sendall(server.head(len(body), extra=f"Idempotency-Key: {key}\r\n") + body)
        wait_until(lambda: in_flight(server) == before + 1 and server.engine.num_running == 1)


@pytest.mark.parametrize("who", ["first", "second"])
def test_disconnect_does_not_affect_others(server: RunningServer, who: str) -> None:
    """A client that disconnects, the first or a later one, does not cancel the shared job."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(1) as pool, server.connection() as first:
        if who == "first":
            body = json.dumps(BODY).encode()
            first.sendall(server.head(len(body), extra=f"Idempotency-Key: {key}\r\n") + body)
            wait_until(lambda: server.engine.num_running == 1)
        stays = pool.submit(post, server, key)
        if who == "first":
            wait_until(lambda: in_flight(server) == 2)
            first.close()
        else:
            wait_until(lambda: server.engine.num_running == 1)
            leaving(server, key)
        wait_until(lambda: in_flight(server) == 1)
        assert (server.engine.num_running, server.engine.num_cancelled) == (1, 0)
        server.engine.is_held = False
        assert stays.result().status_code == 200
    assert len(server.engine.params) == 1


def test_streams(server: RunningServer) -> None:
    """During a stream with a key, a repeat gets all its events; afterwards only the image.

    The same request without `stream` is a different one.
    """
    key, body = new_key(), {**BODY, "stream": True, "partial_images": 1}
    server.engine.is_held = True
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post, server, key, body) for _ in range(2)]
        wait_until(lambda: in_flight(server) == 2)
        server.engine.is_held = False
        during = [answer.result() for answer in answers]
    after = post(server, key, body)
    assert during[0].text.count("event: image_generation.partial_image") == 1
    assert events(during[0]) == events(during[1])
    assert events(after) == events(during[0])[-1:]
    assert (after.headers["x-cache"], after.headers[REPLAYED]) == ("hit", "true")
    assert len(server.engine.params) == 1
    assert post(server, key).status_code == 409


def events(stream: httpx.Response) -> list[tuple[str, str]]:
    """Names and images; the timestamps of streams differ."""
    blocks = [block.split("\n") for block in stream.text.split("\n\n") if block[:6] == "event:"]
    return [(name, json.loads(data.removeprefix("data: "))["b64_json"]) for name, data in blocks]


def test_all_disconnect(server: RunningServer) -> None:
    """The last disconnect cancels the job; the key keeps the seed for the next request."""
    key = new_key()
    server.engine.is_held = True
    leaving(server, key)
    wait_until(lambda: server.engine.num_cancelled == 1)
    wait_until(lambda: in_flight(server) == 0)
    assert server.engine.num_running == 0
    server.engine.is_held = False
    again = post(server, key)
    assert again.headers["x-seed"] == str(server.engine.params[0].seed)
    assert again.headers[REPLAYED] == "true" and len(server.engine.params) == 2
    assert post(server, key, {**BODY, "n": 1, "seed": 3}).status_code == 409


def test_refused_request_releases_its_key(server: RunningServer) -> None:
    """A refused request leaves its key free, even for a different request."""
    key = new_key()
    server.engine.refusal = QueueFullError("the queue is full")
    assert post(server, key).status_code == 503
    server.engine.refusal = None
    assert post(server, key, {**BODY, "seed": 5}).status_code == 200
    assert post(server, key, {**BODY, "size": "1x1"}).status_code == 400
    assert post(server, key, {**BODY, "seed": 5}).headers["x-cache"] == "hit"


def test_failed_request_is_retried(server: RunningServer) -> None:
    """All waiting requests get a failure; the next one with the key runs again, with the seed."""
    key = new_key()
    server.engine.failure, server.engine.is_held = RuntimeError("broken"), True
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post, server, key) for _ in range(2)]
        wait_until(lambda: in_flight(server) == 2)
        server.engine.is_held = False
        assert {answer.result().status_code for answer in answers} == {500}
    server.engine.failure = None
    again = post(server, key)
    assert again.status_code == 200
    assert {params.seed for params in server.engine.params} == {int(again.headers["x-seed"])}


def test_deadline_of_the_owner(server: RunningServer) -> None:
    """If the request that started a shared job times out, the others get a new job."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(server.post, BODY, idempotency_key=key, x_request_timeout="4")
        wait_until(lambda: server.engine.num_running == 1)
        late = pool.submit(post, server, key)
        wait_until(lambda: in_flight(server) == 2 or early.done())
        assert early.result().status_code == 504
        server.engine.is_held = False
        assert late.result().status_code == 200
        assert len(server.engine.params) == 1


def test_after_a_restart(tmp_path: Path) -> None:
    """After a restart the key gives the same bytes, from the store or generated again."""
    key = new_key()
    with running(tmp_path) as server:
        resource_key = server.key
        first = post(server, key)
    for max_bytes, cache in ((2**20, "hit"), (0, None)):
        rename_alias(server)
        with running(tmp_path, image_store_max_bytes=max_bytes) as server:
            again = server.post(BODY, key=resource_key, idempotency_key=key)
            assert again.content == first.content
            assert (again.headers.get("x-cache"), again.headers[REPLAYED]) == (cache, "true")
            assert len(server.engine.params) == (0 if cache else 1)


def test_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process locks the database, requests without a key succeed.

    Those with a key wait for it, but not longer than their deadline.
    """
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 1000 * int(PATIENCE_S))
    monkeypatch.setattr(database_threads, "CALL_TIMEOUT_S", PATIENCE_S)
    with observed(tmp_path) as server, ThreadPoolExecutor(40) as pool:
        with closing(
            sqlite3.connect(database_file(server.settings), isolation_level=None)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            waiting = [pool.submit(post, server, new_key()) for _ in range(40)]
            wait_until(lambda: in_flight(server) == 40)
            assert server.post(BODY).status_code == 200
            late = server.post(BODY, idempotency_key=new_key(), x_request_timeout="0.2")
            assert late.status_code == 504
            assert not any(answer.done() for answer in waiting)
            connection.execute("ROLLBACK")
        assert {answer.result().status_code for answer in waiting} == {200}


def rename_alias(server: RunningServer) -> None:
    """The next server in the directory creates a resource with the same alias."""
    with closing(sqlite3.connect(database_file(server.settings))) as connection:
        connection.execute("UPDATE daguerre_resources SET alias = alias || '_BEFORE'")
        connection.commit()
