"""All time in which the engine is busy is charged to some job."""

from __future__ import annotations

import pytest

from daguerre.engine.job import Job
from daguerre.engine.scheduling.cost_meter import CostMeter
from engine.networks import params


def job(number: int) -> Job:
    return Job(number, params(), lambda event: None, stage_started_s=0.0)


def test_all_busy_time_is_charged() -> None:
    """What lies between forwards is shared by those that took part; idle time is nobody's."""
    now_s = [100.0]
    meter, one, two = CostMeter(lambda: now_s[0]), job(1), job(2)
    for charged in ((one, two), (one,)):
        meter.begin()
        for each in charged:
            meter.charge(each, 1.0)
        now_s[0] += 5.0
        meter.end(charged)
    assert one.cost_s == pytest.approx(2.5 + 5.0)
    assert two.cost_s == pytest.approx(2.5)
    now_s[0] += 3.0  # between two turns, as when events are passed on
    meter.begin()
    meter.end([two])
    assert two.cost_s == 5.5
    meter.begin()
    meter.end([])
    now_s[0] += 1000.0
    meter.begin()
    meter.end([one])
    assert one.cost_s == pytest.approx(7.5)


def test_what_is_left_out_is_not_charged() -> None:
    """Nobody pays for what a network does once, within a turn."""
    now_s, one = [0.0], job(1)
    meter = CostMeter(lambda: now_s[0])
    meter.begin()
    now_s[0] += 61.0
    meter.leave_out(60.0)
    meter.end([one])
    assert one.cost_s == 1.0


def test_loading_is_not_charged() -> None:
    """Nobody pays for a model that is loaded between two turns."""
    now_s, one = [0.0], job(1)
    meter = CostMeter(lambda: now_s[0])
    meter.begin()
    meter.end([one])
    now_s[0] += 60.0
    meter.pause()
    meter.begin()
    now_s[0] += 1.0
    meter.end([one])
    assert one.cost_s == 1.0
