"""A plain call as a coroutine: requests, answers, errors and closing."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import REASON

pytest.importorskip("greenlet", reason=REASON)

from daguerre.models.diffusers.coroutine import is_inside, request_forward, run


def test_answers_reach_the_depth_of_the_call() -> None:
    """A request from deep inside the call is yielded, and returns the answer there."""

    def deep(depth: int) -> int:
        return int(request_forward(f"at {depth}")) if depth == 3 else deep(depth + 1) + 1

    coroutine = run(lambda: deep(0))
    assert next(coroutine) == "at 3"
    with pytest.raises(StopIteration) as end:
        coroutine.send(10)
    assert end.value.value == 13


def test_interleaved_coroutines() -> None:
    """Two interleaved calls keep their own stacks."""

    def call(name: str) -> list[Any]:
        return [request_forward((name, number)) for number in range(3)]

    one, other = run(lambda: call("one")), run(lambda: call("other"))
    assert next(one) == ("one", 0) and next(other) == ("other", 0)
    assert one.send("a") == ("one", 1) and other.send("b") == ("other", 1)
    assert one.send("c") == ("one", 2) and other.send("d") == ("other", 2)
    for coroutine, last, expected in ((other, "f", ["b", "d", "f"]), (one, "e", ["a", "c", "e"])):
        with pytest.raises(StopIteration) as end:
            coroutine.send(last)
        assert end.value.value == expected


def test_call_without_requests() -> None:
    """The call runs at the first step, and its result is the coroutine's."""
    with pytest.raises(StopIteration) as end:
        next(run(lambda: 7))
    assert end.value.value == 7


def test_error_is_raised() -> None:
    """An error in the call is raised where the coroutine is resumed."""

    def call() -> None:
        raise ZeroDivisionError(request_forward("how"))

    coroutine = run(call)
    next(coroutine)
    with pytest.raises(ZeroDivisionError, match="so"):
        coroutine.send("so")


def test_closing_unwinds_the_call() -> None:
    """Closing a coroutine runs the clean-up of its call at once."""
    done = []

    def call() -> None:
        try:
            request_forward("anything")
            done.append("not reached")
        finally:
            done.append("unwound")

    coroutine = run(call)
    next(coroutine)
    coroutine.close()
    assert done == ["unwound"]


def test_is_inside() -> None:
    """Code can tell whether it runs in a coroutine."""
    assert not is_inside()
    coroutine = run(lambda: request_forward(is_inside()))
    assert next(coroutine) is True and not is_inside()
    coroutine.close()
    with pytest.raises(AssertionError, match="bug"):
        request_forward("outside")


def test_native_stack() -> None:
    """torch records 65 native frames of an error; all of them belong to the coroutine."""
    backtrace = ctypes.CDLL(None).backtrace

    def count() -> int:
        return int(backtrace((ctypes.c_void_p * 200)(), 200))

    def call() -> tuple[int, int]:
        with pytest.raises(StopIteration) as end:
            next(run(count))
        return end.value.value, count()

    with ThreadPoolExecutor() as pool:  # a thread's own stack is short
        inside, outside = pool.submit(call).result()
    assert inside >= outside + 65
