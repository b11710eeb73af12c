"""Request bodies: invalid JSON, encodings, and the size limit."""

from __future__ import annotations

import json

import pytest
from conftest import MODEL, PATH, RunningServer, error_of, read_answer, running

from daguerre.errors import InvalidRequestError
from daguerre.server.http.body import parse_object

VALID = {"model": MODEL, "prompt": "ein Füchslein 🦊"}

INVALID: list[tuple[bytes, str]] = [
    (b"", "the body is empty"),
    (b" \r\n\t", "the body is empty"),
    (b"{", "not valid JSON"),
    (b'{"model": "m",}', "not valid JSON"),
    (b"{'model': 'm'}", "not valid JSON"),
    (b"model=m&prompt=p", "the body is form fields (name=value); send a JSON object in UTF-8"),
    (b"extra%5Bseed%5D=1", "form fields"),
    (b"a[]=caf\xe9", "form fields"),
    (b"--", "not valid JSON"),
    (b"a = 1", "not valid JSON"),
    (b'{"a": 1} x', "not valid JSON"),
    (b"[]", "the body is an array"),
    (b'"text"', 'the body is "text"; it must be'),
    (b"1", "the body is 1;"),
    (b"1.5", "the body is 1.5;"),
    (b"true", "the body is true;"),
    (b"null", "the body is null;"),
    (b'{"a": NaN}', "NaN"),
    (b'{"a": -Infinity}', "-Infinity"),
    (b'{"seed": ' + b"9" * 5000 + b"}", "too many digits"),
    (b'{"seed": 1, "seed": 1}', '"seed" occurs more than once'),
    (b'{"a": {"b": 1, "b": 2}}', '"b" occurs more than once'),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 40_000, "nested too deeply"),
    (b'{"prompt": "\\ud800"}', '"prompt" contains half of a surrogate pair'),
    (b'{"prompt": "\\uDFFF\\uD800"}', '"prompt" contains half of a surrogate pair'),
    (b'{"\\ud800": 1}', "half of a surrogate pair"),
    (b'{"user": [["\\ud834"]]}', '"user" contains half of a surrogate pair'),
    (b'{"prompt": "\xff"}', "not UTF-8"),
    (b'{"prompt": "caf\xe9"}', "not UTF-8"),
    (b"\xed\xa0\x80", "not UTF-8"),
    ('{"prompt": "x"}'.encode("utf-16"), "the body is UTF-16; send a JSON object in UTF-8"),
    ('{"prompt": "x"}'.encode("utf-16-be"), "the body is UTF-16;"),
    ('{"prompt": "x"}'.encode("utf-16-le"), "the body is UTF-16;"),
    ('{"prompt": "é"}'.encode("utf-32"), "the body is UTF-32;"),
    ('{"prompt": "x"}'.encode("utf-32-be"), "the body is UTF-32;"),
    (b'{"prompt": "a\nb"}', "not valid JSON"),
    (b"\x00", "not valid JSON"),
]


@pytest.mark.parametrize(("body", "reason"), INVALID)
def test_invalid_body(server: RunningServer, body: bytes, reason: str) -> None:
    """A body that is not a JSON object is a 400 with the reason."""
    response = server.post(body)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert reason in error["message"]


def test_multipart_body(server: RunningServer) -> None:
    """A form with files, as sent to image edits, is named as what it is."""
    for files in ({"prompt": (None, "x")}, {"image": ("x.png", b"\x89PNG\xff", "image/png")}):
        headers = {"authorization": f"Bearer {server.key}"}
        response = server.client.post(PATH, files=files, headers=headers)
        wanted = "the body is multipart/form-data; send a JSON object in UTF-8"
        assert error_of(response)["message"] == wanted


def test_huge_number(server: RunningServer) -> None:
    """The error of a number beyond any float names its field."""
    assert error_of(server.post(b'{"model":"m","prompt":"p","seed":1e999}'))["param"] == "seed"


def test_param_of_a_duplicate_and_of_a_surrogate() -> None:
    """`param` is the name of the invalid field."""
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
def test_content_type_is_ignored(server: RunningServer, content_type: str | None) -> None:
    """The same JSON works with any Content-Type and without one."""
    headers = {} if content_type is None else {"content_type": content_type}
    assert server.post(json.dumps(VALID).encode(), **headers).status_code == 200
    assert server.engine.params[0].prompt == VALID["prompt"]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\r\n "])
def test_prefixes(server: RunningServer, start: bytes) -> None:
    """A byte order mark and white space before the object are accepted, and so is raw UTF-8."""
    body = start + json.dumps(VALID, ensure_ascii=False).encode("utf-8")
    assert server.post(body).status_code == 200
    assert server.engine.params[0].prompt == VALID["prompt"]


def test_surrogate_pair_is_one_character(server: RunningServer) -> None:
    """A surrogate pair is decoded to its character."""
    assert server.post(b'{"model":"%s","prompt":"\\ud83e\\udd8a"}' % MODEL.encode()).is_success
    assert server.engine.params[0].prompt == "🦊"


def test_duplicate_among_many_keys() -> None:
    """A duplicate among as many keys as fit into a body is found."""
    names = [f"k{number}" for number in range(23_000)]
    body = ",".join(f'"{name}":1' for name in [*names, names[-1]])
    with pytest.raises(InvalidRequestError, match="k22999"):
        parse_object(f"{{{body}}}".encode())


def test_every_depth_of_nesting() -> None:
    """Around Python's recursion limit no depth causes another error."""
    num_rejected = 0
    for depth in range(500, 1500):
        body = b'{"a":' + b"[" * depth + b'"\\u00e9"' + b"]" * depth + b"}"
        try:
            parse_object(body)
        except InvalidRequestError as error:
            num_rejected += "nested" in error.message
    assert num_rejected < 1000


def test_encoded_body(server: RunningServer) -> None:
    """The error of a compressed body names its encoding."""
    error = error_of(server.post(VALID, content_encoding="gzip"))
    assert (error["code"], "gzip" in error["message"]) == (400, True)
    assert server.post(VALID, content_encoding="identity").status_code == 200
    with server.connection() as connection:
        extra = "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
        connection.sendall(server.head(2, extra=extra) + b"{}")
        status, _, body = read_answer(connection)
    assert (status, b"gzip" in body) == (400, True)


def test_longest_prompts(server: RunningServer) -> None:
    """Two prompts of 10,000 escaped characters fit into the default limit."""
    response = server.generate(prompt="\U0001f98a" * 10_000, negative_prompt="é" * 10_000)
    assert response.status_code == 200


def test_body_limit(server: RunningServer) -> None:
    """A body of exactly the limit is accepted; one more byte is a 413."""
    limit = server.settings.max_request_body_bytes
    body = json.dumps(VALID).encode()
    assert server.post(body.ljust(limit)).status_code == 200
    error = error_of(server.post(body.ljust(limit + 1)))
    assert (error["code"], error["type"]) == (413, "invalid_request_error")
    assert str(limit) in error["message"]


def test_body_limit_setting(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`max_request_body_bytes` sets the limit."""
    with running(tmp_path_factory.mktemp("small"), max_request_body_bytes=1024) as server:
        assert server.post(json.dumps(VALID).encode().ljust(1024)).status_code == 200
        assert server.post(json.dumps(VALID).encode().ljust(1025)).status_code == 413
