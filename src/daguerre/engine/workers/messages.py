"""Messages between the server and a worker, and their framing on a byte stream.

A frame is one pickled message. Arrays follow the pickle as raw buffers, so an image's three
megabytes are not copied into it. Both ends run the same installation and trust each other.
"""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedIOBase, RawIOBase
from typing import Any, TypeAlias

from daguerre.engine.interface import EngineStats
from daguerre.engine.job import WorkObserver
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.params import Event, ImageParams, JobContext, ModelInfo

# Builds the engine inside the worker. Must be picklable: a module-level function or a partial.
EngineFactory: TypeAlias = Callable[[WorkObserver], ThreadEngine]

_FRAME_HEADER = struct.Struct("!IQ")  # number of buffers, bytes of the pickle
_BUFFER_SIZE = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class InitWorker:
    """The first message to a worker process, which must serve exactly `models`.

    The worker sends `StatsUpdate` every `heartbeat_interval_s` and exits with `parent_pid`. It does
    not load the `excluded` models, whose values are reasons for clients.
    """

    build_engine: EngineFactory
    models: tuple[ModelInfo, ...]
    parent_pid: int
    log_level: int
    heartbeat_interval_s: float
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """Why a worker ended: `reason` follows its name in the log."""

    reason: str
    is_out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Asks the worker to run a job."""

    number: int
    params: ImageParams
    context: JobContext


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Asks the worker to drop a job. It replies with `CancelAcknowledged`."""

    number: int


@dataclass(frozen=True, slots=True)
class WorkStarted:
    """The worker is about to do work for these jobs; no jobs: it is idle.

    Sent before the work, so that after a crash the server knows which jobs were involved.
    `is_running` is set from the jobs' first forward on. `is_warmup` marks loading or compiling,
    which may take long and block the worker's heartbeat.
    """

    numbers: tuple[int, ...]
    is_running: bool
    is_warmup: bool = False


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of one job."""

    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class CancelAcknowledged:
    """The worker starts nothing more for this job."""

    number: int


@dataclass(frozen=True, slots=True)
class StatsUpdate:
    """The statistics of the worker's engine, which also serve as its heartbeat."""

    stats: EngineStats


@dataclass(frozen=True, slots=True)
class LogRecordMessage:
    """The attributes of a `logging.LogRecord` with its message and traceback formatted."""

    record: dict[str, Any]


WorkerCommand: TypeAlias = SubmitJob | CancelJob
JobMessage: TypeAlias = WorkStarted | JobEvent | CancelAcknowledged
WorkerMessage: TypeAlias = JobMessage | StatsUpdate | LogRecordMessage
AnyMessage: TypeAlias = InitWorker | WorkerCommand | WorkerMessage


class MessageWriter:
    """Writes whole frames to a pipe or a socket. Thread-safe.

    Raises OSError if the reader is gone.
    """

    def __init__(self, pipe: RawIOBase) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: AnyMessage) -> None:
        buffers: list[memoryview] = []
        pickled = pickle.dumps(
            message, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw())
        )
        sizes = b"".join(_BUFFER_SIZE.pack(buffer.nbytes) for buffer in buffers)
        header = _FRAME_HEADER.pack(len(buffers), len(pickled)) + sizes + pickled
        with self._lock:
            for part in (memoryview(header), *buffers):
                while part:
                    part = part[self._pipe.write(part) or 0 :]


def receive(pipe: BufferedIOBase) -> Any:
    """Returns the next message. Raises EOFError if the writer is gone, even within a frame.

    `pipe` is a buffered reader, whose `readinto` returns less only at the end of the file.
    """
    num_buffers, length = _FRAME_HEADER.unpack(_read_exactly(pipe, _FRAME_HEADER.size))
    sizes = _read_exactly(pipe, num_buffers * _BUFFER_SIZE.size)
    pickled = _read_exactly(pipe, length)
    buffers = [_read_exactly(pipe, size) for (size,) in _BUFFER_SIZE.iter_unpack(sizes)]
    return pickle.loads(pickled, buffers=buffers)


def _read_exactly(pipe: BufferedIOBase, length: int) -> bytearray:
    data, num_read = bytearray(length), 0
    with suppress(ConnectionResetError):  # a socket whose other end died with unread data
        num_read = pipe.readinto(data)
    if num_read < length:
        raise EOFError("the writer closed the connection")
    return data
