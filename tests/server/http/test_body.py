"""What is no JSON object, over HTTP and on its own."""

from __future__ import annotations

import json
import time

import pytest
from conftest import MODEL, RunningServer, error_of, read_answer, running

from daguerre.errors import InvalidRequestError
from daguerre.server.http.body import parse_object

GOOD = {"model": MODEL, "prompt": "ein Füchslein 🦊"}

BROKEN: list[tuple[bytes, str]] = [
    (b"", "the body is empty"),
    (b" \r\n\t", "the body is empty"),
    (b"{", "not valid JSON"),
    (b'{"model": "m",}', "not valid JSON"),
    (b"{'model': 'm'}", "not valid JSON"),
    (b"model=m&prompt=p", "not valid JSON"),
    (b'{"a": 1} x', "not valid JSON"),
    (b"[]", "the body is an array"),
    (b'"text"', "the body is a string"),
    (b"1", "the body is a number"),
    (b"1.5", "the body is a number"),
    (b"true", "the body is a boolean"),
    (b"null", "the body is null"),
    (b'{"a": NaN}', "NaN"),
    (b'{"a": -Infinity}', "-Infinity"),
    (b'{"seed": ' + b"9" * 5000 + b"}", "too many digits"),
    (b'{"seed": 1, "seed": 1}', '"seed" is given more than once'),
    (b'{"a": {"b": 1, "b": 2}}', '"b" is given more than once'),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 40_000, "nested too deeply"),
    (b'{"prompt": "\\ud800"}', '"prompt" holds half of a surrogate pair'),
    (b'{"prompt": "\\uDFFF\\uD800"}', '"prompt" holds half of a surrogate pair'),
    (b'{"\\ud800": 1}', "half of a surrogate pair"),
    (b'{"user": [["\\ud834"]]}', '"user" holds half of a surrogate pair'),
    (b'{"prompt": "\xff"}', "not UTF-8"),
    (b'{"prompt": "caf\xe9"}', "not UTF-8"),
    (b"\xed\xa0\x80", "not UTF-8"),
    ('{"prompt": "x"}'.encode("utf-16"), "not UTF-8"),
    (b'{"prompt": "a\nb"}', "not valid JSON"),
    (b"\x00", "not valid JSON"),
]


@pytest.mark.parametrize(("body", "reason"), BROKEN)
def test_broken_body(server: RunningServer, body: bytes, reason: str) -> None:
    """A body that is no JSON object is a 400 that says why."""
    response = server.post(body)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert reason in error["message"]


def test_huge_number_is_the_fields_problem(server: RunningServer) -> None:
    """A number past any float is refused by the field it is in."""
    assert error_of(server.post(b'{"model":"m","prompt":"p","seed":1e999}'))["param"] == "seed"


def test_param_of_a_duplicate_and_of_a_surrogate() -> None:
    """The name that has the fault is the param."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_object(b'{"seed": 1, "seed": 2}')
    assert caught.value.param == "seed"
    with pytest.raises(InvalidRequestError) as caught:
        parse_object(b'{"a": "\\u0041", "prompt": "\\udc00"}')
    assert caught.value.param == "prompt"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/x-www-form-urlencoded",
        "text/plain; charset=latin-1",
        "multipart/form-data",
    ],
)
def test_content_type_is_not_looked_at(server: RunningServer, content_type: str | None) -> None:
    """The same JSON works under any Content-Type, and under none."""
    headers = {} if content_type is None else {"content_type": content_type}
    assert server.post(json.dumps(GOOD).encode(), **headers).status_code == 200
    assert server.engine.params[0].prompt == GOOD["prompt"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\r\n "])
def test_what_may_stand_before_the_object(server: RunningServer, start: bytes) -> None:
    """A byte order mark or white space before the object is no fault; raw UTF-8 is text."""
    body = start + json.dumps(GOOD, ensure_ascii=False).encode("utf-8")
    assert server.post(body).status_code == 200
    assert server.engine.params[0].prompt == GOOD["prompt"]


def test_surrogate_pair_is_one_character(server: RunningServer) -> None:
    """Both halves together are the character that they stand for."""
    assert server.post(b'{"model":"%s","prompt":"\\ud83e\\udd8a"}' % MODEL.encode()).is_success
    assert server.engine.params[0].prompt == "🦊"


def test_many_keys_are_searched_once() -> None:
    """The key given twice among as many as a body can hold is found at once (a bug was)."""
    names = [f"k{number}" for number in range(23_000)]
    body = ",".join(f'"{name}":1' for name in [*names, names[-1]])
    started = time.monotonic()
    with pytest.raises(InvalidRequestError, match="k22999"):
        parse_object(f"{{{body}}}".encode())
    assert time.monotonic() - started < 1.0


def test_every_depth_of_nesting() -> None:
    """Around the depth that Python can follow there is none that escapes as its own error."""
    num_refused = 0
    for depth in range(500, 1500):
        body = b'{"a":' + b"[" * depth + b'"\\u00e9"' + b"]" * depth + b"}"
        try:
            parse_object(body)
        except InvalidRequestError as error:
            num_refused += "nested" in error.message
    assert num_refused < 1000


def test_encoded_body(server: RunningServer) -> None:
    """A compressed body is refused by the name of its coding."""
    error = error_of(server.post(GOOD, content_encoding="gzip"))
    assert (error["code"], "gzip" in error["message"]) == (400, True)
    assert server.post(GOOD, content_encoding="identity").status_code == 200
    with server.connection() as connection:
        extra = "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
        connection.sendall(server.head(2, extra=extra) + b"{}")
        status, _, body = read_answer(connection)
    assert (status, b"gzip" in body) == (400, True)


def test_longest_prompts_fit(server: RunningServer) -> None:
    """Two prompts of 10,000 characters, all escaped as ASCII, fit into the default limit."""
    response = server.generate(prompt="\U0001f98a" * 10_000, negative_prompt="é" * 10_000)
    assert response.status_code == 200


def test_limit_of_the_body(server: RunningServer) -> None:
    """The limit itself is allowed; one byte more is not."""
    limit = server.settings.max_request_body_bytes
    body = json.dumps(GOOD).encode()
    assert server.post(body.ljust(limit)).status_code == 200
    error = error_of(server.post(body.ljust(limit + 1)))
    assert (error["code"], error["type"]) == (413, "invalid_request_error")
    assert str(limit) in error["message"]


def test_limit_is_a_setting(tmp_path_factory: pytest.TempPathFactory) -> None:
    """max_request_body_bytes decides."""
    with running(tmp_path_factory.mktemp("small"), max_request_body_bytes=1024) as server:
        assert server.post(json.dumps(GOOD).encode().ljust(1024)).status_code == 200
        assert server.post(json.dumps(GOOD).encode().ljust(1025)).status_code == 413
