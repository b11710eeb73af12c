"""Previews: at which steps of a job one is due, what is begun of them, and when one is told.

A model draws a preview at once, or promises it and has it drawn beside the forwards that follow.
It goes with the first step that ends when it is there; one that is not there when the image is, or
that could not be drawn elsewhere, is drawn here and now. One that cannot be drawn at all is told to
the log, and the job goes on. Knows nothing of how a model draws one.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from daguerre.engine.forward import ForwardRequest, Outputs, Promise
from daguerre.engine.pipeline import Pixels
from daguerre.params import StepCompleted

logger = logging.getLogger(__name__)


def due(num_steps: int, num_previews: int) -> set[int]:
    """The steps after which there is one: evenly spaced, never the last, whose image is next."""
    return {num_steps * part // (num_previews + 1) for part in range(1, num_previews + 1)} - {0}


def is_due(forward: ForwardRequest, num_previews: int) -> bool:
    """Whether there is one of this forward, where the model can draw it."""
    if forward.preview is None or forward.step is None:
        return False
    index, total = forward.step
    return index in due(total, num_previews)


class PendingPreviews:
    """Those of one job that have been begun and not told, in their order."""

    def __init__(self) -> None:
        self._begun: deque[tuple[ForwardRequest, Promise]] = deque()

    def begin(self, forward: ForwardRequest, outputs: Outputs) -> None:
        """From the outputs of a forward of which one is due."""
        assert forward.preview is not None, "a preview that is not due. This is a bug."
        try:
            drawn = forward.preview(outputs)
        except Exception as error:  # a model's code may raise anything; the image does not need it
            _log(forward, error)
        else:
            self._begun.append((forward, drawn if isinstance(drawn, Promise) else _kept(drawn)))

    def take(self, *, is_last: bool = False) -> Pixels | None:
        """The next one, where it is drawn by now; at last also where it is not."""
        while self._begun and (is_last or self._begun[0][1].elsewhere.done()):
            forward, promise = self._begun.popleft()
            try:
                return _checked(_pixels(promise))
            except Exception as error:  # of a model's code, too
                _log(forward, error)
        return None

    def give_up(self) -> None:
        """Nobody waits for them any more."""
        for _, promise in self._begun:
            promise.elsewhere.cancel()
        self._begun.clear()


def _pixels(promise: Promise) -> Pixels:
    promise.elsewhere.cancel()
    if promise.elsewhere.done() and not promise.elsewhere.cancelled():
        if promise.elsewhere.exception() is None:
            return promise.elsewhere.result()
        logger.warning("a preview could not be drawn elsewhere: %r", promise.elsewhere.exception())
    return promise.draw()


@dataclass(slots=True)
class ProgressFilter:
    """What the caller of a job that may be run again was told of its steps."""

    num_steps: int = 0
    num_previews: int = 0

    def news(self, step: StepCompleted, max_previews: int) -> StepCompleted | None:
        """What of a step is to be told. The last one comes again with previews that are late."""
        preview = step.preview if self.num_previews < max_previews else None
        is_late = step.index == self.num_steps == step.total and preview is not None
        if step.index <= self.num_steps and not is_late:
            return None
        self.num_steps = step.index
        self.num_previews += preview is not None
        return replace(step, preview=preview)


def _kept(pixels: Pixels) -> Promise:
    future: Future[Pixels] = Future()
    future.set_result(pixels)
    return Promise(future, lambda: pixels)


def _log(forward: ForwardRequest, error: BaseException) -> None:
    index, total = forward.step or (0, 0)
    words = ("no preview after step %d of %d of %s", index, total, forward.network)
    logger.error(*words, exc_info=error)


def _checked(pixels: Pixels) -> Pixels:
    """In one piece, as it crosses to another process."""
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"a preview is {pixels.dtype} {pixels.shape} instead of uint8 (h, w, 3)")
    return pixels
