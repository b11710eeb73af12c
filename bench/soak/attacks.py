"""Hostile and malformed requests: the bytes sent and the behaviour of the sender.

The server must reject all of them, and none with a 5xx.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from daguerre.models.catalog import DEFAULT_MODEL

PATH = "/v1/images/generations"
_FIELDS = ("prompt", "negative_prompt", "size", "aspect_ratio", "seed", "n", "quality", "user")
_TEXT = 'aZ0 "\\/{}[]:,\u0000\u00e9\u4e2d\U0001f98a\ud83e'


@dataclass(frozen=True, slots=True)
class Attack:
    """Parts that are sent `pause_s` apart; then the sender waits for answers or disconnects."""

    name: str
    parts: tuple[bytes, ...]
    num_answers: int = 1  # 0: the sender does not wait
    pause_s: float = 0.0
    is_reset: bool = False


def attack(source: random.Random, key: str) -> Attack:
    return source.choices(_KINDS, _WEIGHTS)[0](source, key)


def _post(key: str, body: bytes, *extra: str, length: str | None = None) -> bytes:
    lines = (
        f"POST {PATH} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        f"Content-Length: {len(body) if length is None else length}",
        *extra,
    )
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _value(source: random.Random, depth: int = 0) -> object:
    kind = source.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [_value(source, depth + 1) for _ in range(source.randrange(4))]
    if kind == 7:
        return {_word(source): _value(source, depth + 1) for _ in range(source.randrange(4))}
    return (
        (None, True, source.randrange(-(2**70), 2**70), source.random() * 1e300, -1)[kind]
        if kind < 5
        else _word(source)
    )


def _word(source: random.Random) -> str:
    return "".join(source.choices(_TEXT, k=source.randrange(40)))


def _fields(source: random.Random, key: str) -> Attack:
    """JSON with wrong values and always one unknown field."""
    body = {"model": DEFAULT_MODEL, "prompt": "x", "no_such_field": 1}
    for name in source.sample(_FIELDS, source.randrange(len(_FIELDS))):
        body[name] = _value(source)
    return Attack("fields", (_post(key, json.dumps(body).encode()),))


def _noise(source: random.Random, key: str) -> Attack:
    """Malformed JSON."""
    return Attack("noise", (_post(key, b"{" + source.randbytes(source.randrange(2000))),))


def _nested(source: random.Random, key: str) -> Attack:
    depth = source.randrange(1000, 60_000)
    return Attack("nested", (_post(key, source.choice((b"[", b'{"a":')) * depth),))


def _large(source: random.Random, key: str) -> Attack:
    """A body over the size limit, with a Content-Length or in chunks."""
    if source.random() < 0.5:
        return Attack(
            "large", (_post(key, b"x" * 1000, length=str(10 ** source.randrange(7, 40))),)
        )
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    chunks = b"".join(b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(9))
    return Attack("large", (head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,))


def _keys(source: random.Random, key: str) -> Attack:
    wrong = source.choice(("", key[:-1], key + "x", "\xff" * 50, "x" * 5000, "a b c"))
    return Attack("keys", (_post(wrong, b"{}"),))


def _heads(source: random.Random, key: str) -> Attack:
    """Malformed, contradictory or oversized request heads."""
    lengths = ("-1", "1e3", "0x10", "5, 6", "9" * 400, "", "\u00b2")
    kinds = (
        _post(key, b"{}", length=source.choice(lengths)),
        _post(key, b"{}", "Transfer-Encoding: chunked"),
        _post(key, b"{}", "Content-Encoding: gzip"),
        _post(key, b"{}", "X: " + "x" * 200_000),
        _post(key, b"{}", *(f"X-{index}: {index}" for index in range(20_000))),
        _post(key, b"{}", "Idempotency-Key: " + "k" * 300),
        _post(key, b"{}", "Idempotency-Key: a", "Idempotency-Key: b"),
        _post(key, b"{}", "No colon here"),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + source.randbytes(200),
        source.randbytes(300) + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    )
    return Attack("heads", (source.choice(kinds),))


def _paths(source: random.Random, key: str) -> Attack:
    paths = ("/../../etc/passwd", "/v1/models/%00", "/%ff%fe", "//", "/v1/" + "a" * 8000, "*")
    method = source.choice(("GET", "PUT", "DELETE", "TRACE", "BREW", "a" * 50))
    line = f"{method} {source.choice((PATH, *paths))} HTTP/1.1\r\nHost: x\r\n\r\n"
    return Attack("paths", (line.encode(),))


def _truncated(source: random.Random, key: str) -> Attack:
    """The sender disconnects before the end of its body."""
    whole = _post(key, json.dumps({"model": DEFAULT_MODEL, "prompt": "x" * 5000}).encode())
    part = whole[: source.randrange(1, len(whole) - 1)]
    return Attack("truncated", (part,), num_answers=0, is_reset=source.random() < 0.5)


def _slow(source: random.Random, key: str) -> Attack:
    """A head or a body that arrives byte by byte and never ends."""
    whole = _post(key, b" " * 1000)
    start = source.choice((10, whole.index(b"\r\n\r\n") + 5))
    parts = (whole[:start], *(whole[start + n : start + n + 1] for n in range(4)))
    return Attack("slow", parts, pause_s=0.1)


def _pipelined(source: random.Random, key: str) -> Attack:
    """Several pipelined requests, valid and invalid ones."""
    alive = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    kinds = [alive, _post(key, b"[]"), _post("wrong", b"{}"), alive]
    sent = source.choices(kinds, k=source.randrange(2, 8))
    return Attack("pipelined", (b"".join(sent),), num_answers=len(sent))


_KINDS: tuple[Callable[[random.Random, str], Attack], ...] = (
    *(_fields, _noise, _nested, _large, _keys, _heads, _paths, _truncated, _pipelined, _slow),
)
_WEIGHTS = (30, 10, 3, 4, 10, 15, 10, 10, 7, 1)
