"""Stages of a request on the monotonic clock."""

from __future__ import annotations

import pytest

from daguerre.params import ImageParams, Timings
from daguerre.server.http.request_context import RequestContext
from daguerre.server.tracing.stages import Stage, stages

PARAMS = ImageParams("m", "a red fox")
TIMINGS = Timings(queue_ms=1000, encode_ms=500, denoise_ms=3000, decode_ms=250)


def context(**fields: object) -> RequestContext:
    made = RequestContext("r", "POST", started=100.0)
    for name, value in {"params": PARAMS, **fields}.items():
        setattr(made, name, value)
    return made


def spans_of(made: RequestContext, ended: float = 110.0) -> dict[str, tuple[float, float]]:
    return {stage.name: (stage.begin, stage.end) for stage in stages(made, ended)}


def test_image() -> None:
    """The stages of the engine end with the arrival of the pixels."""
    made = context(accepted=101.0, timings=TIMINGS, file_started=106.0, file_ms=500.0)
    assert spans_of(made) == {
        "admission": (100.0, 101.0),
        "queue": (101.25, 102.25),
        "encode": (102.25, 102.75),
        "denoise": (102.75, 105.75),
        "decode": (105.75, 106.0),
        "file": (106.0, 106.5),
    }


def test_joined_job() -> None:
    """A request that joins a running job has a part of one stage, and nothing of earlier ones."""
    made = context(accepted=104.0, timings=TIMINGS, file_started=106.0, file_ms=500.0)
    assert spans_of(made) == {
        "admission": (100.0, 104.0),
        "queue": (104.0, 104.0),
        "encode": (104.0, 104.0),
        "denoise": (104.0, 105.75),
        "decode": (105.75, 106.0),
        "file": (106.0, 106.5),
    }


def test_stored_image() -> None:
    """An image from the store has an admission and a file."""
    made = context(timings=Timings(), file_started=100.5, file_ms=20.0)
    assert spans_of(made) == {"admission": (100.0, 100.5), "file": (100.5, 100.52)}


@pytest.mark.parametrize(("accepted", "end"), [(None, 110.0), (103.0, 103.0)])
def test_no_image(accepted: float | None, end: float) -> None:
    """Without an image, only the admission is known; it ends when the job is accepted."""
    assert [*stages(context(accepted=accepted), 110.0)] == [Stage("admission", 100.0, end)]


def test_no_parameters() -> None:
    """A request that is not about an image, or whose body is invalid, has no stages."""
    assert [*stages(context(params=None), 110.0)] == []
