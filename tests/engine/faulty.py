"""A toy engine whose prompts crash it, hang it or exhaust its memory.

A fault that must happen only once creates a file, which the next worker finds.
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
    ctypes.PyDLL(None).sleep(1000)  # holds the GIL


def _block_all_threads() -> None:
    """Computes for three seconds without a thread switch."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    until_s = time.monotonic() + 3
    while time.monotonic() < until_s:
        pass
    sys.setswitchinterval(interval_s)


def _sleep() -> None:
    time.sleep(3.0)


def _freeze() -> None:
    """Stops this thread at once. After a signal to the whole process it may go on for a while."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _fill_memory() -> NoReturn:
    raise RuntimeError("Check failed: std::bad_alloc")


def _end() -> NoReturn:
    os._exit(3)


def _raise() -> NoReturn:
    raise InternalError("the weights are damaged")


FAULTS: Mapping[str, Callable[[], None]] = {
    "kill": _kill,
    "hang": _hang,
    "sleep": _sleep,
    "native": _hang_in_native_code,
    "block": _block_all_threads,
    "freeze": _freeze,
    "memory": _fill_memory,
    "end": _end,
    "raise": _raise,
}


def prompt(fault: str, once: Path | None = None) -> str:
    """A prompt that causes a fault in every run, or only if the file `once` does not exist."""
    return f"{fault} {once or ''}"


def _fail(prompt: str) -> None:
    fault, _, once = prompt.partition(" ")
    if fault not in FAULTS or (once and Path(once).exists()):
        return
    if once:
        Path(once).touch()
    FAULTS[fault]()


class FaultyModel(ToyModel):
    """Causes the fault of a prompt between two forwards, while other jobs run."""

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._with_fault(super().pipeline(params), params.prompt)

    def _with_fault(self, pipeline: Pipeline, prompt: str) -> Pipeline:
        forward, num_forwards = next(pipeline), 0
        try:
            while True:
                num_forwards += 1
                if num_forwards == NUM_STEPS:
                    _fail(prompt)
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
    on_warmup: str = "",
) -> FaultyModel:
    """A toy model whose denoiser changes its output from call `changes_at` on."""

    def pause(inputs: Inputs) -> None:
        time.sleep(forward_s)

    denoiser: ToyNetwork = ChangingNetwork("denoiser", on_call=pause, changes_at=changes_at)
    if on_warmup:
        denoiser = CompilingNetwork("denoiser", on_call=pause, on_compile=lambda: _fail(on_warmup))
    return FaultyModel(denoiser, NUM_STEPS, on_load=lambda: _fail(on_load), batching=batching)


def build(
    forward_s: float,
    on_load: str,
    changes_at: int,
    batching: BatchingMode,
    on_warmup: str,
    running: int,
    observer: WorkObserver,
) -> ThreadEngine:
    return ThreadEngine(
        [model(forward_s, on_load, changes_at, batching, on_warmup)],
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
    on_warmup: str = "",
) -> ProcessEngine:
    """An engine with a worker for each fault in `on_load`, caused when it loads its model.

    The fault `on_warmup` is caused when the denoiser is compiled for a batch size.
    """
    faults = [on_load] if isinstance(on_load, str) else on_load
    return ProcessEngine(
        [
            functools.partial(build, forward_s, fault, changes, batching, on_warmup, running)
            for fault, changes in zip(faults, changes_at or [NEVER] * len(faults), strict=True)
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


def fork_and_exit(file: Path, has_own_group: bool, observer: WorkObserver) -> NoReturn:
    """Instead of building an engine, writes a child's process ID to `file` and exits with 3.

    The child holds the worker's open files. It ends by itself only when the server is gone.
    """
    server = os.getppid()
    if os.fork() == 0:
        if has_own_group:
            os.setpgid(0, 0)
        file.write_text(str(os.getpid()))
        while Path(f"/proc/{server}").exists():
            time.sleep(0.1)
        os._exit(0)
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)
    os._exit(3)
