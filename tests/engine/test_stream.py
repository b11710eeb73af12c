"""A job's events as a caller hears them, from an engine that only says what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from daguerre.engine import stream as stream_module
from daguerre.engine.stream import QueuePositions, stream
from daguerre.errors import UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, JobFailed, JobQueued
from engine.networks import params

LAST = JobFailed(UnavailableError("the end"))
WATCHED = JobContext(wants_progress=True)


class JobEvent:
    """Takes one job, and has its place from a list that ends with the job."""

    def __init__(self, *places: int) -> None:
        self._places = list(places)
        self.num_looks = 0

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        self._emit = emit
        return 1, self._places.pop(0)

    def queue_position(self, number: int) -> int | None:
        self.num_looks += 1
        if len(self._places) == 1:
            self._emit(LAST)
        return self._places.pop(0) if self._places else None

    def cancel(self, number: int) -> None:
        pass


def heard(engine: JobEvent, context: JobContext) -> list[Event]:
    async def scene() -> list[Event]:
        async with asyncio.timeout(20), aclosing(stream(engine, params(), context)) as events:
            return [event async for event in events]

    return asyncio.run(scene())


def test_the_place_never_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others come between, what was told stays until fewer are ahead again."""
    monkeypatch.setattr(stream_module, "PLACE_POLL_S", 0.001)
    told = heard(JobEvent(5, 4, 4, 6, 5, 3, 0), WATCHED)
    assert told == [JobQueued(5), JobQueued(4), JobQueued(3), JobQueued(0), LAST]


def test_nobody_looks_for_those_that_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not told of it does not ask for its place."""
    monkeypatch.setattr(stream_module, "PLACE_POLL_S", 0.001)

    class Ends(JobEvent):
        def submit(
            self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
        ) -> tuple[int, int]:
            asyncio.get_running_loop().call_later(0.05, emit, LAST)
            return super().submit(params, emit, context)

    engine = Ends(5, 4, 3)
    assert heard(engine, DEFAULT_CONTEXT) == [JobQueued(5), LAST]
    assert engine.num_looks == 0


def test_places_are_found_out_once_for_all() -> None:
    """However many ask at about the same time, and again when that is over."""
    now_s, looks = [0.0], list[int]()

    def look() -> dict[int, int]:
        looks.append(1)
        return {number: number - 1 - len(looks) for number in range(1, 100)}

    places = QueuePositions(look, lambda: now_s[0])
    assert [places.position(number) for number in (5, 50, 100)] == [3, 48, None]
    assert len(looks) == 1
    now_s[0] += stream_module.PLACE_POLL_S
    assert places.position(50) == 47 and len(looks) == 2


def test_who_is_far_back_looks_less_often() -> None:
    """Ten thousand that wait look less often together than one in ten of them would, and each
    does before long."""
    pauses_s = [stream_module._pause_s(ahead) for ahead in range(10_000)]
    assert pauses_s[0] == stream_module.PLACE_POLL_S and pauses_s == sorted(pauses_s)
    assert pauses_s[-1] <= 10.0
    assert sum(1 / pause_s for pause_s in pauses_s) < 1000 / stream_module.PLACE_POLL_S
