"""Runs a plain call as a coroutine: requests made deep inside its stack are yielded at its top.

The call keeps its own stack, in a greenlet, and waits there for each answer. Everything happens in
the thread that resumes the coroutine.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

# An error of torch records up to 65 native frames. Below a coroutine's own frames, the stack may
# have been overwritten, and reading it can crash. So each coroutine begins with more frames.
_NUM_BASE_FRAMES = 80


class _Task(greenlet):
    """A class of its own, so that no request reaches a greenlet of another library."""

    def __init__(self, call: Callable[[], Any]) -> None:
        nested: list[Any] = [operator.call] * _NUM_BASE_FRAMES  # each is a native frame
        super().__init__(lambda: nested[0](*nested[1:], call))
        self.locals: dict[Any, Any] = {}


def run(call: Callable[[], T]) -> Generator[Any, Any, T]:
    """Yields each value that `call` passes to `request_forward`, and returns its result.

    Closing the generator unwinds the call where it waits, including `with` and `finally` blocks.
    """
    task = _Task(call)
    try:
        request = task.switch()
        while not task.dead:
            request = task.switch((yield request))
        result: T = request
        return result
    finally:
        if task:  # started and not finished
            task.throw()
        task.locals.clear()


def is_inside() -> bool:
    """Whether the caller runs in a coroutine of `run`."""
    return isinstance(getcurrent(), _Task)


def task_locals() -> dict[Any, Any]:
    """Values of the current coroutine, dropped when it ends."""
    return _current().locals


def request_forward(request: Any) -> Any:
    """Suspends the current coroutine and returns the answer that it is resumed with."""
    return _current().parent.switch(request)


def _current() -> _Task:
    task = getcurrent()
    assert isinstance(task, _Task), "the caller runs in no coroutine. This is a bug."
    return task
