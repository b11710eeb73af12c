"""A toy engine for a process of its own, whose prompts kill it, hang it or take its memory.

What shall happen once only is written down in a folder, where the next process finds it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from daguerre.engine.forward import Inputs
from daguerre.engine.job import WorkObserver
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.errors import InternalError
from daguerre.params import BatchingMode, ImageParams
from engine.networks import ChangingNetwork, CompilingNetwork, ToyModel, ToyNetwork, params

NUM_STEPS = 4
NEVER = sys.maxsize


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    threading.Event().wait()


def _hang_in_native_code() -> None:
    ctypes.PyDLL(None).sleep(1000)  # and no other thread runs meanwhile


def _doze_in_native_code() -> None:
    ctypes.PyDLL(None).sleep(3)


def _doze() -> None:
    time.sleep(3.0)


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fill_memory() -> NoReturn:
    raise RuntimeError("Check failed: std::bad_alloc")


def _end() -> NoReturn:
    os._exit(3)


def _raise() -> NoReturn:
    raise InternalError("the weights are damaged")


DEEDS: Mapping[str, Callable[[], None]] = {
    "kill": _kill,
    "hang": _hang,
    "doze": _doze,
    "native": _hang_in_native_code,
    "native-doze": _doze_in_native_code,
    "freeze": _freeze,
    "memory": _fill_memory,
    "end": _end,
    "raise": _raise,
}


def prompt(deed: str, once: Path | None = None) -> str:
    """Does the deed whenever it is run, or only if the file `once` is not there."""
    return f"{deed} {once or ''}"


def _do(words: str) -> None:
    deed, _, once = words.partition(" ")
    if deed not in DEEDS or (once and Path(once).exists()):
        return
    if once:
        Path(once).touch()
    DEEDS[deed]()


class DeadlyModel(ToyModel):
    """Does its deed between two forwards, while others run beside it."""

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._deadly(super().pipeline(params), params.prompt)

    def _deadly(self, pipeline: Pipeline, words: str) -> Pipeline:
        forward, num_forwards = next(pipeline), 0
        try:
            while True:
                num_forwards += 1
                if num_forwards == NUM_STEPS:
                    _do(words)
                forward = pipeline.send((yield forward))
        except StopIteration as end:
            pixels: Pixels = end.value
            return pixels
        finally:
            pipeline.close()


def model(
    forward_s: float = 0.0,
    on_load: str = "",
    changes_at: int = NEVER,
    batching: BatchingMode = "exact",
    on_prepare: str = "",
) -> DeadlyModel:
    """`changes_at` 0 draws other bits from the start."""

    def pause(inputs: Inputs) -> None:
        time.sleep(forward_s)

    denoiser: ToyNetwork = ChangingNetwork("denoiser", on_call=pause, changes_at=changes_at)
    if on_prepare:
        denoiser = CompilingNetwork("denoiser", on_call=pause, on_compile=lambda: _do(on_prepare))
    return DeadlyModel(denoiser, NUM_STEPS, on_load=lambda: _do(on_load), batching=batching)


def build(
    forward_s: float,
    on_load: str,
    changes_at: int,
    batching: BatchingMode,
    on_prepare: str,
    running: int,
    observer: WorkObserver,
) -> ThreadEngine:
    return ThreadEngine(
        [model(forward_s, on_load, changes_at, batching, on_prepare)],
        max_queued_jobs=64,
        max_running_jobs=running,
        observer=observer,
    )


def engine(
    forward_s: float = 0.0,
    on_load: str | Sequence[str] = "",
    running: int = 8,
    waiting: int = 64,
    hang_timeout_s: float = 60.0,
    model_load_timeout_s: float = 60.0,
    weights_sha256: str = "0" * 64,
    changes_at: Sequence[int] = (),
    batching: BatchingMode = "exact",
    on_prepare: str = "",
) -> ProcessEngine:
    """With a process for each of the deeds that are done when its model is loaded. Another may be
    done before the denoiser's first forward with a number of rows."""
    deeds = [on_load] if isinstance(on_load, str) else on_load
    return ProcessEngine(
        [
            functools.partial(build, forward_s, deed, changes, batching, on_prepare, running)
            for deed, changes in zip(deeds, changes_at or [NEVER] * len(deeds), strict=True)
        ],
        [replace(model(batching=batching).info, weights_sha256=weights_sha256)],
        max_queued_jobs=waiting,
        max_running_jobs=running,
        hang_timeout_s=hang_timeout_s,
        model_load_timeout_s=model_load_timeout_s,
    )


def pids(engine: ProcessEngine) -> list[int]:
    """Process IDs of the running workers."""
    found = (worker.identity.removeprefix("pid ") for worker in engine.stats().workers)
    return [int(pid) for pid in found if pid]


def asked(seed: int, words: str = "a cat") -> ImageParams:
    return params(seed, words)
