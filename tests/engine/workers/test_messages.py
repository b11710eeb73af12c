"""Messages cross a pipe whole, or not at all."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from daguerre.engine.workers.messages import JobEvent, MessageWriter, SubmitJob, receive
from daguerre.errors import QueueFullError
from daguerre.params import (
    DEFAULT_CONTEXT,
    GeneratedImage,
    JobContext,
    JobFailed,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
)
from engine.networks import params


def image(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> JobEvent:
    return JobEvent(
        7, JobSucceeded(GeneratedImage(pixels, params(), ModelInfo("toy", "0" * 64, created=1)))
    )


def sent(*messages: SubmitJob | JobEvent) -> bytes:
    reader, writer = os.pipe()
    parts = []

    def read() -> None:
        with open(reader, "rb") as pipe:
            parts.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    with FileIO(writer, "wb") as pipe:
        for message in messages:
            MessageWriter(pipe).send(message)
    thread.join(20)
    return parts[0]


def test_there_and_back() -> None:
    """Parameters, errors and an image larger than any pipe arrive as they were sent."""
    pixels = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
    refusal = JobEvent(8, JobFailed(QueueFullError("full", param="model", retry_after_s=3)))
    data = sent(
        SubmitJob(1, params(5, "猫 " * 5000), JobContext("owner", "id")),
        image(pixels),
        refusal,
        image(pixels[::2, ::-1]),
    )
    pipe = io.BytesIO(data)
    assert receive(pipe) == SubmitJob(1, params(5, "猫 " * 5000), JobContext("owner", "id"))
    told = receive(pipe)
    assert told.number == 7 and np.array_equal(told.event.image.pixels, pixels)
    assert told.event.image.pixels.flags.writeable
    error = receive(pipe).event.error
    assert isinstance(error, QueueFullError)
    assert (error.message, error.param, error.retry_after_s) == ("full", "model", 3)
    assert np.array_equal(receive(pipe).event.image.pixels, pixels[::2, ::-1])
    with pytest.raises(EOFError):
        receive(pipe)


def test_preview() -> None:
    """A step arrives with its preview, and parameters with the wish for some."""
    preview = np.random.default_rng(1).integers(0, 256, (48, 84, 3), np.uint8)
    wish = SubmitJob(1, replace(params(), num_previews=2), DEFAULT_CONTEXT)
    pipe = io.BytesIO(sent(JobEvent(3, StepCompleted(4, 20, preview)), wish))
    told = receive(pipe)
    assert told.event == StepCompleted(4, 20) and np.array_equal(told.event.preview, preview)
    assert receive(pipe).params.num_previews == 2


def test_cut_off_anywhere() -> None:
    """A writer that dies in the middle of a frame has sent nothing."""
    data = sent(image(np.zeros((4, 4, 3), np.uint8)))
    for length in range(len(data)):
        with pytest.raises(EOFError):
            receive(io.BytesIO(data[:length]))


def test_nobody_reads() -> None:
    """Writing to a process that is gone is an OSError, whatever the size."""
    reader, writer = os.pipe()
    os.close(reader)
    with FileIO(writer, "wb") as pipe, pytest.raises(OSError):
        MessageWriter(pipe).send(image(np.zeros((1024, 1024, 3), np.uint8)))


def test_files_are_not_needed(tmp_path: Path) -> None:
    """A buffered file of frames reads like a pipe."""
    (tmp_path / "frames").write_bytes(
        sent(SubmitJob(1, params(), DEFAULT_CONTEXT), SubmitJob(2, params(), DEFAULT_CONTEXT))
    )
    with open(tmp_path / "frames", "rb") as file:
        assert [receive(file).number for _ in range(2)] == [1, 2]
