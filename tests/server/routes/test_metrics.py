"""How often the metrics are rendered."""

from __future__ import annotations

import asyncio
from typing import cast

from conftest import FakeEngine, ManualClock
from starlette.requests import Request

from daguerre.server.routes.metrics import Metrics


def test_rendered_once_a_second() -> None:
    """However many clients ask, the metrics are rendered once a second."""
    engine, clock = FakeEngine(), ManualClock(100.0)
    metrics, request = Metrics(engine, clock), cast(Request, None)

    async def num_queued() -> list[bytes]:
        responses = await asyncio.gather(*[metrics.show(request) for _ in range(3)])
        lines = [line for response in responses for line in bytes(response.body).splitlines()]
        return [line.split()[1] for line in lines if line.startswith(b"daguerre_jobs_queued ")]

    expected = [(0.0, b"0.0"), (0.9, b"0.0"), (0.1, b"2.0"), (0.9, b"2.0"), (5.0, b"4.0")]
    for number, (elapsed_s, value) in enumerate(expected):
        clock.now += elapsed_s
        engine.num_queued = number
        assert asyncio.run(num_queued()) == [value] * 3
