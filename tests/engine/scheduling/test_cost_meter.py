"""The cost meter charges all busy time of the engine to jobs."""

from __future__ import annotations

import pytest

from daguerre.engine.job import Job
from daguerre.engine.scheduling.cost_meter import CostMeter
from engine.networks import params


def job(number: int) -> Job:
    return Job(number, params(), lambda event: None, accepted_s=0.0)


def test_all_busy_time_is_charged() -> None:
    """Time between forwards is divided among an iteration's jobs; idle time is not charged."""
    now_s = [100.0]
    meter, one, two = CostMeter(lambda: now_s[0]), job(1), job(2)
    for charged in ((one, two), (one,)):
        meter.start_iteration()
        for each in charged:
            meter.charge(each, 1.0)
        now_s[0] += 5.0
        meter.end_iteration(charged)
    assert one.cost_s == pytest.approx(2.5 + 5.0)
    assert two.cost_s == pytest.approx(2.5)
    now_s[0] += 3.0  # between two iterations
    meter.start_iteration()
    meter.end_iteration([two])
    assert two.cost_s == 5.5
    meter.start_iteration()
    meter.end_iteration([])
    now_s[0] += 1000.0
    meter.start_iteration()
    meter.end_iteration([one])
    assert one.cost_s == pytest.approx(7.5)


def test_excluded_time_is_not_charged() -> None:
    """A warm-up within an iteration is charged to no job."""
    now_s, one = [0.0], job(1)
    meter = CostMeter(lambda: now_s[0])
    meter.start_iteration()
    now_s[0] += 61.0
    meter.exclude(60.0)
    meter.end_iteration([one])
    assert one.cost_s == 1.0


def test_loading_is_not_charged() -> None:
    """Loading a model between two iterations is charged to no job."""
    now_s, one = [0.0], job(1)
    meter = CostMeter(lambda: now_s[0])
    meter.start_iteration()
    meter.end_iteration([one])
    now_s[0] += 60.0
    meter.reset()
    meter.start_iteration()
    now_s[0] += 1.0
    meter.end_iteration([one])
    assert one.cost_s == 1.0
