"""What crosses between the server's process and the engine's: messages in frames on a pipe.

A frame is one pickled message; arrays travel beside the pickle, uncopied, so that an image's three
megabytes are moved by the kernel alone. Both ends are of one installation and trust each other.
Knows nothing of who sends what when.
"""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedIOBase, FileIO
from typing import Any, TypeAlias

from daguerre.engine.interface import EngineStats
from daguerre.engine.job import WorkObserver
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.params import Event, ImageParams, JobContext, ModelInfo

# Makes the engine in its process; a function of a module, or a partial of one, so that it pickles.
EngineFactory: TypeAlias = Callable[[WorkObserver], ThreadEngine]

_LENGTHS = struct.Struct("!IQ")  # number of buffers, bytes of the pickle
_SIZE = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class InitWorker:
    """The first message: what to be, serving `models`, and nothing else.

    `parent` is the number of the process to die with.
    """

    build: EngineFactory
    models: tuple[ModelInfo, ...]
    parent: int
    log_level: int
    sign_of_life_s: float  # so often there is a `StatsUpdate`


@dataclass(frozen=True, slots=True)
class SubmitJob:
    number: int
    params: ImageParams
    context: JobContext


@dataclass(frozen=True, slots=True)
class CancelJob:
    number: int


@dataclass(frozen=True, slots=True)
class WorkStarted:
    """Sent before anything is done for these jobs: if it kills, they are the ones it was for. With
    no jobs: all is done."""

    numbers: tuple[int, ...]
    has_begun: bool  # it is a forward
    is_preparing: bool = False  # it is something done once, and may take long and be silent


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job."""

    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class CancelAcknowledged:
    """The answer to `CancelJob`: the process will begin nothing more for this job."""

    number: int


@dataclass(frozen=True, slots=True)
class StatsUpdate:
    stats: EngineStats


@dataclass(frozen=True, slots=True)
class LogRecordMessage:
    """The attributes of a `logging.LogRecord`, its text and traceback rendered."""

    record: dict[str, Any]


WorkerCommand: TypeAlias = InitWorker | SubmitJob | CancelJob
WorkerMessage: TypeAlias = (
    WorkStarted | JobEvent | CancelAcknowledged | StatsUpdate | LogRecordMessage
)


class MessageWriter:
    """Sends whole frames; may be called from several threads. Raises OSError when nobody reads."""

    def __init__(self, pipe: FileIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: WorkerCommand | WorkerMessage) -> None:
        beside: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(message, protocol=5, buffer_callback=beside.append)
        buffers = [buffer.raw() for buffer in beside]
        sizes = b"".join(_SIZE.pack(buffer.nbytes) for buffer in buffers)
        head = _LENGTHS.pack(len(buffers), len(pickled)) + sizes + pickled
        with self._lock:
            for part in (memoryview(head), *buffers):
                self._write(part)

    def _write(self, part: memoryview) -> None:
        while part:
            part = part[self._pipe.write(part) :]


def receive(pipe: BufferedIOBase) -> Any:
    """The next message; raises EOFError where the other end is gone, also within a frame."""
    num_buffers, length = _LENGTHS.unpack(_read(pipe, _LENGTHS.size))
    sizes = _read(pipe, num_buffers * _SIZE.size)
    pickled = _read(pipe, length)
    buffers = [_read(pipe, size) for (size,) in _SIZE.iter_unpack(sizes)]
    return pickle.loads(pickled, buffers=buffers)


def _read(pipe: BufferedIOBase, length: int) -> bytearray:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)
        if not count:
            raise EOFError("the other process is gone")
        rest = rest[count:]
    return data
