"""Messages cross a pipe whole, or not at all."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import is_dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daguerre.engine.ended_jobs import OUTCOMES
from daguerre.engine.interface import EngineStats, LoadStats, ModelLoad, WorkerStats
from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.engine.workers.messages import (
    CancelAcknowledged,
    CancelJob,
    InitWorker,
    JobEvent,
    LogRecordMessage,
    MessageWriter,
    StatsUpdate,
    SubmitJob,
    WorkStarted,
    receive,
)
from daguerre.errors import DaguerreError, InternalError, QueueFullError, UnavailableError
from daguerre.params import (
    DEFAULT_CONTEXT,
    GeneratedImage,
    ImageParams,
    JobContext,
    JobFailed,
    JobQueued,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
    Timings,
)
from engine.faulty import build
from engine.networks import params

numbers = st.integers(1, 2**63)
floats = st.floats(0, 1e9)
pixels = arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(3)))
models = st.builds(ModelInfo, st.text(), st.text(), st.integers(), st.text(), st.text())
job_params = st.builds(
    ImageParams, st.text(), st.text(), st.text(), seed=numbers, num_previews=st.integers(0, 3)
)
contexts = st.builds(JobContext, st.text(), st.text(), st.none() | floats, st.booleans())
errors = st.builds(
    lambda kind, text, param, seconds: kind(text, param=param, retry_after_s=seconds),
    st.sampled_from([InternalError, QueueFullError, UnavailableError]),
    st.text(),
    st.none() | st.text(),
    st.none() | st.integers(1, 59),
)
timings = st.builds(Timings, floats, floats, floats, floats)
images = st.builds(GeneratedImage, pixels, job_params, models, timings)
events = (
    st.builds(JobQueued, numbers)
    | st.builds(StepCompleted, numbers, numbers, st.none() | pixels)
    | st.builds(JobSucceeded, images)
    | st.builds(JobFailed, errors)
)
service_times = st.integers(1, 5).map(
    lambda count: ServiceTimes().with_sample("a", count).with_sample("b", 2.0 * count)
)
counts = st.dictionaries(st.text(), numbers)
worker_stats = st.builds(WorkerStats, st.booleans(), numbers, counts, st.just(("m",)), st.text())
loads = st.dictionaries(st.text(), st.builds(LoadStats, numbers, numbers, floats, numbers))
stats = st.builds(
    EngineStats,
    st.booleans(),
    queued=counts,
    running=counts,
    ended=st.dictionaries(st.text(), st.fixed_dictionaries(dict.fromkeys(OUTCOMES, numbers))),
    num_forwards=numbers,
    num_rows=numbers,
    service_times=service_times,
    backlog_s=floats,
    certificates=st.dictionaries(st.text(), st.booleans()),
    failure=st.text(),
    is_draining=st.booleans(),
    loaded=st.dictionaries(st.text(), st.text()),
    load_failures=st.dictionaries(st.text(), st.text()),
    loads=loads,
    resident_bytes=numbers,
    loading=st.none() | st.builds(ModelLoad, st.text(), numbers),
    workers=st.lists(worker_stats).map(tuple),
)
messages = (
    st.builds(
        InitWorker, st.just(build), st.lists(models).map(tuple), numbers, st.integers(0, 50), floats
    )
    | st.builds(SubmitJob, numbers, job_params, contexts)
    | st.builds(CancelJob, numbers)
    | st.builds(WorkStarted, st.lists(numbers).map(tuple), st.booleans(), st.booleans())
    | st.builds(JobEvent, numbers, events)
    | st.builds(CancelAcknowledged, numbers)
    | st.builds(StatsUpdate, stats)
    | st.builds(LogRecordMessage, st.dictionaries(st.text(), st.text() | numbers | st.none()))
)


def is_equal(one: Any, other: Any) -> bool:
    """Compares messages by value: images and errors have no equality of their own."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, DaguerreError):
        return type(one) is type(other) and vars(one) == vars(other)
    if is_dataclass(one):
        names = one.__dataclass_fields__
        return type(one) is type(other) and all(
            is_equal(getattr(one, name), getattr(other, name)) for name in names
        )
    return bool(one == other)


def frames(*sent: Any) -> bytes:
    """What a writer of these messages puts into a pipe."""
    reader, writer = os.pipe()
    parts = []

    def read() -> None:
        with open(reader, "rb") as pipe:
            parts.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    with FileIO(writer, "wb") as pipe:
        for message in sent:
            MessageWriter(pipe).send(message)
    thread.join(20)
    return parts[0]


def image(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> JobEvent:
    return JobEvent(
        7, JobSucceeded(GeneratedImage(pixels, params(), ModelInfo("toy", "0" * 64, created=1)))
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(messages, min_size=1, max_size=3))
def test_round_trip(sent: list[Any]) -> None:
    """Every message arrives as it was sent, in order."""
    pipe = io.BytesIO(frames(*sent))
    for message in sent:
        assert is_equal(receive(pipe), message)
    with pytest.raises(EOFError):
        receive(pipe)


def test_large_images() -> None:
    """An image larger than any pipe arrives writable, whatever the layout of its array."""
    data = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
    pipe = io.BytesIO(frames(image(data), image(data[::2, ::-1])))
    received = receive(pipe)
    assert received.number == 7 and np.array_equal(received.event.image.pixels, data)
    assert received.event.image.pixels.flags.writeable
    assert np.array_equal(receive(pipe).event.image.pixels, data[::2, ::-1])


def test_truncated_frame() -> None:
    """A writer that dies within a frame has sent nothing."""
    data = frames(image(np.zeros((4, 4, 3), np.uint8)))
    for length in range(len(data)):
        with pytest.raises(EOFError):
            receive(io.BytesIO(data[:length]))


def test_no_reader() -> None:
    """Writing to a process that is gone raises OSError, whatever the size."""
    reader, writer = os.pipe()
    os.close(reader)
    with FileIO(writer, "wb") as pipe, pytest.raises(OSError):
        MessageWriter(pipe).send(image(np.zeros((1024, 1024, 3), np.uint8)))


def test_buffered_file(tmp_path: Path) -> None:
    """A buffered file of frames reads like a pipe."""
    sent = [SubmitJob(number, params(), DEFAULT_CONTEXT) for number in (1, 2)]
    (tmp_path / "frames").write_bytes(frames(*sent))
    with open(tmp_path / "frames", "rb") as file:
        assert [receive(file) for _ in sent] == sent
