"""A plain call as a coroutine: what is asked for deep inside its stack is yielded at its top.

Code that was written to run from start to end in one go keeps its own stack, in a greenlet, while
the asker waits. All of it happens in one thread, the one that resumes the coroutine. Knows nothing
of pipelines, networks or tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class _Task(greenlet):
    """Its own class, so that a question is never put to a greenlet of somebody else's."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(call)
        self.kept: dict[Any, Any] = {}


def run(call: Callable[[], T]) -> Generator[Any, Any, T]:
    """Yields each question that `request_forward` puts inside `call`, and returns what `call`
    returns.

    Closing it unwinds the call where it waits: its `with` and `finally` are run.
    """
    task = _Task(call)
    try:
        asked = task.switch()
        while not task.dead:
            asked = task.switch((yield asked))
        result: T = asked
        return result
    finally:
        if task:  # begun and not ended
            task.throw()
        task.kept.clear()


def kept() -> dict[Any, Any]:
    """Called inside: what belongs to the present call of `run`, and goes with it."""
    task = getcurrent()
    assert isinstance(task, _Task), "nobody is here to keep it for. This is a bug."
    return task.kept


def is_inside() -> bool:
    """Whether the present code was called by `run`."""
    return isinstance(getcurrent(), _Task)


def request_forward(question: Any) -> Any:
    """Called inside: the answer that the coroutine is sent."""
    task = getcurrent()
    assert isinstance(task, _Task), "nobody is there to answer. This is a bug."
    return task.parent.switch(question)
