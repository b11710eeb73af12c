"""Previews of the embedded model, and the process that draws them beside the engine's.

Composing a scene is Python, and ThorVG draws with one pool of memory for all canvases: a second
thread would hold the engine's up, or break what it draws. The process gets only the time that
nobody else wants, and is expendable: what it does not draw, whoever asked draws. Knows nothing of
jobs or of steps.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded.decoder import picture
from daguerre.models.embedded.fields import MASKED, NUM_LOGITS, CompatibilityTables
from daguerre.models.embedded.negative_prompt import unwanted
from daguerre.models.embedded.sampler import Noise, SceneSampler, guide

logger = logging.getLogger(__name__)

SCALE = 8  # the image's size is divided by this
# Of drafts that wait; past it the process gets no time, and what comes is not drawn.
MAX_WAITING = 16
# In a row, before it has drawn anything.
MAX_DEATHS = 3
# Modules are found where they were found here (see `daguerre.engine.workers.process`).
_PROGRAM = (
    "import sys; folder, *sys.path[:] = sys.argv[1:];"
    "from daguerre.models.embedded.previews import main; main(folder)"
)


def read_rules(folder: Path) -> CompatibilityTables:
    with (folder / "rules.npz").open("rb") as file, np.load(file) as arrays:
        return CompatibilityTables.from_arrays(dict(arrays))


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What is known of a picture after a step: tokens (F,) of its scene, those that are not decided
    masked, and logits (2, NUM_LOGITS) with the prompts and without."""

    seed: int
    negative_prompt: str
    shape: int  # a place in `SHAPES`
    guidance_scale: float
    tokens: NDArray[np.int64]
    logits: NDArray[np.float32]

    def drawn(self, rules: CompatibilityTables) -> Pixels:
        """The likeliest scene by now."""
        noise = Noise.draw(self.seed)
        sampler = SceneSampler(noise, rules, 1, 0.0, unwanted(self.negative_prompt))
        sampler.tokens = self.tokens
        prompted, free = self.logits
        tokens = sampler.estimate(guide(prompted, free, self.guidance_scale))
        return picture(tokens, self.shape, noise.layout, noise.palette, SCALE)


EMPTY = Draft(1, "", 0, 1.0, MASKED.copy(), np.zeros((2, NUM_LOGITS), np.float32))
_Asked: TypeAlias = tuple[Future[Pixels], Draft]
_Drafts: TypeAlias = "queue.SimpleQueue[_Asked | None]"


class DrawingProcess:
    """Is started by the first draft, and ends with whoever holds this. `folder` has rules.npz."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drafts: _Drafts = queue.SimpleQueue()
        self._is_ready = threading.Event()
        self._thread: threading.Thread | None = None

    def draw(self, draft: Draft) -> Future[Pixels] | None:
        """Costs the caller some microseconds. None where there is no process, or not yet: then
        whoever wants the preview draws it."""
        if self._thread is None:
            self._begin()
        if not self._is_ready.is_set():
            return None
        asked: Future[Pixels] = Future()
        if self._drafts.qsize() < MAX_WAITING:
            self._drafts.put((asked, draft))
        else:
            asked.cancel()
        return asked

    def _begin(self) -> None:
        self._thread = threading.Thread(
            target=_keep,  # nothing of this object, so that it can go
            args=(self._folder, self._drafts, self._is_ready),
            name="daguerre-previews",
            daemon=True,
        )
        self._thread.start()
        weakref.finalize(self, self._drafts.put, None)


def _keep(folder: Path, drafts: _Drafts, is_ready: threading.Event) -> None:
    """Keeps a process until there is a None among the drafts."""
    if hasattr(signal, "pthread_sigmask"):  # of this thread, which the process begins with
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    num_deaths = 0
    while num_deaths < MAX_DEATHS:
        num_deaths += 1
        try:
            with _started(folder) as process:
                assert process.stdin is not None and process.stdout is not None
                pickle.load(process.stdout)  # it has loaded what it draws with
                is_ready.set()
                while asked := drafts.get():
                    _fulfil(asked, process.stdin, process.stdout)
                    num_deaths = 0
            return
        except (OSError, EOFError, pickle.UnpicklingError):
            again = "another is started" if num_deaths < MAX_DEATHS else "it is not started again"
            logger.warning("the process that draws previews has ended; %s", again)
        finally:
            is_ready.clear()


def _fulfil(asked: _Asked, to: IO[bytes], of: IO[bytes]) -> None:
    """Raises where the process is gone; then the preview is not drawn here."""
    future, draft = asked
    if not future.set_running_or_notify_cancel():
        return
    try:
        pickle.dump(draft, to, protocol=5)
        to.flush()
        drawn: Pixels | Exception = pickle.load(of)
    except BaseException as error:
        future.set_exception(error)
        raise
    if isinstance(drawn, Exception):
        future.set_exception(drawn)
    else:
        future.set_result(drawn)


def _started(folder: Path) -> subprocess.Popen[bytes]:
    """The end of its standard input is the end of whoever started it; signals are for others. Not a
    session of its own: on Linux each may be a group with a share of the processor of its own, and
    priorities count within one (measured: a preview then delayed its image by half a forward)."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    _hold_back(process.pid)
    return process


def _hold_back(pid: int) -> None:
    """To the lowest priority that the system has; from here, so that its start has it, too."""
    try:
        if sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.setpriority(os.PRIO_PROCESS, pid, 19)
    except (AttributeError, OSError):  # not on every system, nor everywhere allowed
        pass


def main(folder: str) -> None:
    """Draws what comes until nothing comes any more."""
    drafts, pixels = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no picture
    rules = read_rules(Path(folder))
    EMPTY.drawn(rules)  # so that the first preview finds all of the art loaded
    answer: object = None
    try:
        while True:
            pickle.dump(answer, pixels, protocol=5)
            pixels.flush()
            answer = _drawn(pickle.load(drafts), rules)
    except (EOFError, OSError):
        os._exit(0)


def _drawn(draft: Draft, rules: CompatibilityTables) -> Pixels | Exception:
    try:
        return draft.drawn(rules)
    except Exception as error:  # told to whoever asked, who tells the log
        return error
