"""Idempotency-Key: the same request again is the same answer, and its work is done once."""

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
from conftest import MODEL, RunningServer, database_file, error_of, running, wait_until
from openai import ConflictError, OpenAI
from starlette.datastructures import Headers

from daguerre.errors import InvalidRequestError, QueueFullError
from daguerre.params import SIZES
from daguerre.protocol.parsing import parse_request
from daguerre.server import app
from daguerre.server.idempotency.header import fingerprint, idempotency_key
from daguerre.server.idempotency.replay import IdempotencyCoordinator

BODY = {"model": MODEL, "prompt": "a red fox"}
REPLAYED = "idempotent-replayed"
# Of the servers that run, by their ports: when a request has come to wait is not told outside.
REPLAYS: dict[int, IdempotencyCoordinator] = {}


@contextmanager
def watched(folder: Path, **settings: Any) -> Iterator[RunningServer]:
    made: list[IdempotencyCoordinator] = []

    def make(*arguments: Any) -> IdempotencyCoordinator:
        made.append(IdempotencyCoordinator(*arguments))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "IdempotencyCoordinator", make)
        with running(folder, **settings) as server:
            REPLAYS[server.settings.port] = made[0]
            yield server


@pytest.fixture(scope="module")
def _own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with watched(tmp_path_factory.mktemp("idempotency")) as server:
        yield server


@pytest.fixture
def server(_own_server: RunningServer) -> Iterator[RunningServer]:
    _own_server.engine.reset()
    yield _own_server
    _own_server.engine.reset()


def holders(server: RunningServer) -> int:
    """Requests with a key that are being answered."""
    return sum(place.num_holders for place in REPLAYS[server.settings.port]._places.values())


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
    """Plain and quoted keys are read alike."""
    assert idempotency_key(sent(value)) == key


@pytest.mark.parametrize(
    "value", ["", '""', "a b", '"a', r'"a\x"', "ä", "a" * 256, f'"{"a" * 256}"', '"a"b', '"a";x=1']
)
def test_bad_keys(value: str) -> None:
    """Anything else is refused by the name of the header, with what is allowed."""
    with pytest.raises(InvalidRequestError, match="1 to 255 printable ASCII") as caught:
        idempotency_key(sent(value))
    assert caught.value.param == "Idempotency-Key"


def test_one_key_at_a_time() -> None:
    """Two of them say nothing that could be followed."""
    assert idempotency_key(Headers({})) is None
    with pytest.raises(InvalidRequestError, match="2 headers"):
        idempotency_key(sent("a", "a"))


def test_what_makes_a_request_another() -> None:
    """Every field that changes the answer or its form does; how the JSON is written does not."""
    plain = fingerprint("k", parse_request(BODY))
    assert fingerprint("k", parse_request({**BODY, "seed": 0, "size": None, "n": 1.0})) == plain
    others: list[dict[str, object]] = [
        {"prompt": "a red fo"},
        {"negative_prompt": "x"},
        {"seed": 1},
        {"output_format": "jpeg"},
        {"output_compression": 5},
    ]
    others += [{"aspect_ratio": ratio} for ratio in SIZES]
    prints = [fingerprint("k", parse_request({**BODY, **other})) for other in others]
    assert len({plain, fingerprint("l", parse_request(BODY)), *prints}) == len(others) + 2


def test_bad_key_over_http(server: RunningServer) -> None:
    """A bad key is a 400 that names the header, and no image is made."""
    response = post(server, "a b")
    assert error_of(response)["param"] == "Idempotency-Key" and response.status_code == 400
    assert server.engine.params == []


def test_again(server: RunningServer) -> None:
    """The same request with the same key is answered with the same bytes, and drawn once."""
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


def test_other_keys_are_other_requests(server: RunningServer) -> None:
    """Another key, and the same key of another resource, draw seeds of their own."""
    key = new_key()
    seeds = [
        post(server, key).headers["x-seed"],
        post(server, new_key()).headers["x-seed"],
        server.post(BODY, key=server.limited(9), idempotency_key=key).headers["x-seed"],
        server.post(BODY).headers["x-seed"],
    ]
    assert len(set(seeds)) == 4 and len(server.engine.params) == 4


def test_another_request(server: RunningServer) -> None:
    """Another request with the key is a 409, while the first runs and after it; the first stays."""
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


def test_openai_client_does_not_insist(server: RunningServer) -> None:
    """OpenAI's client, which tries a 409 again by default, is told that this is of no use."""
    client = OpenAI(
        base_url=f"{server.settings.public_base_url()}/v1", api_key=server.key, max_retries=2
    )
    headers = {"Idempotency-Key": new_key()}
    with client:
        client.images.generate(model=MODEL, prompt="a", extra_headers=headers)
        with pytest.raises(ConflictError) as caught:
            client.images.generate(model=MODEL, prompt="b", extra_headers=headers)
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_while_it_runs(server: RunningServer) -> None:
    """Requests that come while the first is drawn wait for it: one job, and one answer for all."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(5) as pool:
        answers: list[Future[httpx.Response]] = []
        for count in range(5):
            answers.append(pool.submit(post, server, key))
            wait_until(lambda count=count: holders(server) == count + 1)  # type: ignore[misc]
        server.engine.is_held = False
        contents = {answer.result().content for answer in answers}
    assert len(contents) == 1 and b"b64_json" in contents.pop()
    assert sum(REPLAYED in answer.result().headers for answer in answers) == 4
    assert (len(server.engine.params), server.engine.num_cancelled) == (1, 0)
    assert holders(server) == 0


def leaving(server: RunningServer, key: str) -> None:
    """A request whose client leaves once the engine works on it."""
    body = json.dumps(BODY).encode()
    before = holders(server)
    with server.connection() as connection:
        connection.sendall(server.head(len(body), extra=f"Idempotency-Key: {key}\r\n") + body)
        wait_until(lambda: holders(server) == before + 1 and server.engine.num_running == 1)


@pytest.mark.parametrize("who", ["first", "second"])
def test_leaving_takes_nothing_from_others(server: RunningServer, who: str) -> None:
    """Whoever leaves, the one that began the work or one that waits for it, the others get it."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(1) as pool, server.connection() as first:
        if who == "first":
            body = json.dumps(BODY).encode()
            first.sendall(server.head(len(body), extra=f"Idempotency-Key: {key}\r\n") + body)
            wait_until(lambda: server.engine.num_running == 1)
        stays = pool.submit(post, server, key)
        if who == "first":
            wait_until(lambda: holders(server) == 2)
            first.close()
        else:
            wait_until(lambda: server.engine.num_running == 1)
            leaving(server, key)
        wait_until(lambda: holders(server) == 1)
        assert (server.engine.num_running, server.engine.num_cancelled) == (1, 0)
        server.engine.is_held = False
        assert stays.result().status_code == 200
    assert len(server.engine.params) == 1


def test_streams(server: RunningServer) -> None:
    """A stream with a key is repeated as well: whoever comes while it runs gets all its events,
    whoever comes later the image; without the stream it is another request."""
    key, body = new_key(), {**BODY, "stream": True, "partial_images": 1}
    server.engine.is_held = True
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post, server, key, body) for _ in range(2)]
        wait_until(lambda: holders(server) == 2)
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
    """Names and images; the time of the first byte is each stream's own."""
    blocks = [block.split("\n") for block in stream.text.split("\n\n") if block[:6] == "event:"]
    return [(name, json.loads(data.removeprefix("data: "))["b64_json"]) for name, data in blocks]


def test_all_leave(server: RunningServer) -> None:
    """The last that leaves ends the work; the key stands, and the next gets the first's seed."""
    key = new_key()
    server.engine.is_held = True
    leaving(server, key)
    wait_until(lambda: server.engine.num_cancelled == 1)
    wait_until(lambda: holders(server) == 0)
    assert server.engine.num_running == 0
    server.engine.is_held = False
    again = post(server, key)
    assert again.headers["x-seed"] == str(server.engine.params[0].seed)
    assert again.headers[REPLAYED] == "true" and len(server.engine.params) == 2
    assert post(server, key, {**BODY, "n": 1, "seed": 3}).status_code == 409


def test_refused_requests_claim_nothing(server: RunningServer) -> None:
    """A request that was refused leaves its key free, also for another request."""
    key = new_key()
    server.engine.refusal = QueueFullError("the queue is full")
    assert post(server, key).status_code == 503
    server.engine.refusal = None
    assert post(server, key, {**BODY, "seed": 5}).status_code == 200
    assert post(server, key, {**BODY, "size": "1x1"}).status_code == 400
    assert post(server, key, {**BODY, "seed": 5}).headers["x-cache"] == "hit"


def test_failed_requests_are_tried_again(server: RunningServer) -> None:
    """A failure is told to all that wait for it, and kept for nobody: the key tries again."""
    key = new_key()
    server.engine.failure, server.engine.is_held = RuntimeError("broken"), True
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post, server, key) for _ in range(2)]
        wait_until(lambda: holders(server) == 2)
        server.engine.is_held = False
        assert {answer.result().status_code for answer in answers} == {500}
    server.engine.failure = None
    again = post(server, key)
    assert again.status_code == 200
    assert {params.seed for params in server.engine.params} == {int(again.headers["x-seed"])}


def test_the_deadline_of_another(server: RunningServer) -> None:
    """Who waits for a job whose owner's time is over gets an image all the same."""
    key = new_key()
    server.engine.is_held = True
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(server.post, BODY, idempotency_key=key, x_request_timeout="4")
        wait_until(lambda: server.engine.num_running == 1)
        late = pool.submit(post, server, key)
        wait_until(lambda: holders(server) == 2 or early.done())
        assert early.result().status_code == 504
        server.engine.is_held = False
        assert late.result().status_code == 200
        assert len(server.engine.params) == 1


def test_after_a_restart(tmp_path: Path) -> None:
    """The key holds, and the bytes are the same, after a restart: from the disk, and made again."""
    key = new_key()
    with running(tmp_path) as server:
        resource_key = server.key
        first = post(server, key)
    for max_bytes, cache in ((2**20, "hit"), (0, None)):
        rename_alias(server)
        with running(tmp_path, results_max_bytes=max_bytes) as server:
            again = server.post(BODY, key=resource_key, idempotency_key=key)
            assert again.content == first.content
            assert (again.headers.get("x-cache"), again.headers[REPLAYED]) == (cache, "true")
            assert len(server.engine.params) == (0 if cache else 1)


def rename_alias(server: RunningServer) -> None:
    """The next server on the folder makes a resource of its own under the same name."""
    with closing(sqlite3.connect(database_file(server.settings))) as connection:
        connection.execute("UPDATE daguerre_resources SET alias = alias || '_BEFORE'")
        connection.commit()
