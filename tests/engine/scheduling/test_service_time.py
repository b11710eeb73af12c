"""Service times of one worker and of several."""

from __future__ import annotations

import pytest

from daguerre.engine.interface import EngineStats, WorkerStats
from daguerre.engine.scheduling.service_time import (
    ExpAverage,
    ServiceTimeEstimate,
    ServiceTimes,
    combine_workers,
)


def measured(overall_s: float, **by_model_s: float) -> ServiceTimes:
    """Service times after many jobs of equal duration."""

    def estimate(cost_s: float) -> ServiceTimeEstimate:
        return ServiceTimeEstimate(ExpAverage(cost_s, 15 / cost_s), ExpAverage(cost_s, 60 / cost_s))

    by_model = {model: estimate(cost_s) for model, cost_s in by_model_s.items()}
    return ServiceTimes(estimate(overall_s), by_model)


def expected_s(service_times: ServiceTimes) -> dict[str, float]:
    by_model = {model: estimate.expected_s for model, estimate in service_times.by_model.items()}
    return {"": service_times.overall.expected_s, **by_model}


def test_each_model_has_its_estimate() -> None:
    """A slow model does not affect the estimate of a fast one. A model without a sample counts as
    the mean of all models."""
    service_times = ServiceTimes().with_sample("slow", 9.0).with_sample("fast", 1.0)
    assert expected_s(service_times) == pytest.approx({"": 5.0, "slow": 9.0, "fast": 1.0}, rel=0.02)
    assert service_times.expected_s({"fast": 5, "slow": 1}) == pytest.approx(14.0)
    assert service_times.estimate_wait({"fast": 5, "slow": 1}, "fast") == pytest.approx((14.0, 1.0))
    assert service_times.estimate_wait({"fast": 5}, "new") == pytest.approx(
        (5.0, service_times.overall.expected_s)
    )
    assert service_times.expected_s({"new": 1}) == service_times.overall.expected_s
    assert (
        ServiceTimes().expected_s({"new": 1}),
        ServiceTimes().estimate_wait({"new": 1}, "new"),
    ) == (
        0.0,
        (0.0, 0.0),
    )


def test_first_job_has_no_extra_weight() -> None:
    """A slow first job counts no more than the later ones."""
    service_times = ServiceTimes().with_sample("one", 3.0)
    for _ in range(9):
        service_times = service_times.with_sample("one", 0.5)
    assert service_times.expected_s({"one": 1}) == pytest.approx(0.75, rel=0.1)


def test_long_jobs_count_no_more_than_short_ones() -> None:
    """The mean of alternating long and short jobs predicts the time of a queue of them."""
    service_times = ServiceTimes()
    for _ in range(200):
        service_times = service_times.with_sample("one", 4.0).with_sample("one", 0.1)
    assert service_times.expected_s({"one": 2}) == pytest.approx(4.1, rel=0.05)


@pytest.mark.parametrize("job_s", [0.1, 1.0, 10.0])
def test_machine_that_changes_speed(job_s: float) -> None:
    """A minute after the speed changes by a factor of three, the estimate is within a factor of
    two. The conservative estimate follows a slowdown sooner."""
    for before_s, after_s in ((job_s, 3 * job_s), (3 * job_s, job_s)):
        service_times, passed_s = measured(before_s, one=before_s), 0.0
        while passed_s < 60:
            service_times, passed_s = service_times.with_sample("one", after_s), passed_s + after_s
        estimate = service_times.by_model["one"]
        assert after_s / 2 < estimate.expected_s < after_s * 2
        assert estimate.fast.mean_s == pytest.approx(after_s, rel=0.1)
        assert estimate.conservative_s == max(estimate.expected_s, estimate.fast.mean_s)


def test_short_slowdown() -> None:
    """Fifteen slow seconds hardly change the expected time of a queue, but the conservative wait
    assumes that the slowdown continues."""
    service_times, passed_s = measured(1.0, one=1.0), 0.0
    while passed_s < 15:
        service_times, passed_s = service_times.with_sample("one", 2.0), passed_s + 2.0
    assert service_times.expected_s({"one": 10}) < 13.0
    assert service_times.estimate_wait({"one": 10}, "one")[0] > 14.0


def test_wait_behind_others() -> None:
    """Several workers share the jobs ahead, and a free worker needs no wait. A single job is no
    faster."""
    alone, three = measured(4.0, a=4.0), combine_workers([measured(4.0, a=4.0)] * 3)
    assert alone.estimate_wait({"a": 6}, "a") == pytest.approx((24.0, 4.0))
    for num_ahead, wait_s in ((0, 0.0), (2, 0.0), (3, 4 / 3), (6, 16 / 3)):
        assert three.estimate_wait({"a": num_ahead}, "a", lambda model: 3) == pytest.approx(
            (wait_s, 4.0)
        )


def test_provisional_estimate() -> None:
    """A provisional estimate counts until the first job ends, and not after that."""
    service_times = ServiceTimes().with_provisional("one", 0.0)
    assert service_times == ServiceTimes()
    service_times = service_times.with_provisional("one", 8.0).with_provisional("one", 6.0)
    assert service_times.expected_s({"one": 10}) == pytest.approx(60.0)
    assert service_times.estimate_wait({"other": 10}, "one") == pytest.approx((60.0, 6.0))
    service_times = service_times.with_sample("one", 5.0)
    assert expected_s(service_times) == pytest.approx({"": 5.0, "one": 5.0})
    assert service_times.with_provisional("one", 100.0) == service_times
    service_times = service_times.with_provisional("other", 1.0)
    assert expected_s(service_times) == pytest.approx({"": 5.0, "one": 5.0, "other": 1.0})


def test_history_completes_a_new_worker() -> None:
    """Estimates of an earlier worker fill gaps, and replace provisional ones."""
    before, new = measured(4.0, a=4.0, b=3.0), measured(1.0, a=1.0)
    assert expected_s(new.with_history(before)) == pytest.approx({"": 1.0, "a": 1.0, "b": 3.0})
    assert (
        ServiceTimes().with_history(before) == before
        and before.with_history(ServiceTimes()) == before
    )
    provisional = ServiceTimes().with_provisional("a", 9.0).with_provisional("c", 7.0)
    assert expected_s(provisional.with_history(before)) == pytest.approx(
        {"": 4.0, "a": 4.0, "b": 3.0, "c": 7.0}
    )
    assert provisional.with_history(ServiceTimes().with_provisional("a", 1.0)) == provisional


def test_workers_are_averaged_by_rate() -> None:
    """The mean worker has the mean rate; one without samples does not count."""
    one = measured(4.0, a=4.0)
    assert expected_s(combine_workers([one, one])) == pytest.approx({"": 4.0, "a": 4.0})
    assert expected_s(combine_workers([one, ServiceTimes()])) == pytest.approx(expected_s(one))
    uneven = combine_workers([one, measured(1.0, a=1.0, b=6.0)])
    assert expected_s(uneven) == pytest.approx({"": 1.6, "a": 2 / (1 / 4 + 1 / 1), "b": 6.0})
    assert combine_workers([ServiceTimes(), ServiceTimes()]) == ServiceTimes()


def test_workers_share_the_backlog() -> None:
    """Each model's jobs are shared by the workers that serve it."""
    times = measured(4.0, a=4.0, b=6.0)
    num_workers = {"a": 2, "b": 1}.__getitem__
    assert times.expected_s({"a": 3, "b": 1}, num_workers) == pytest.approx(12.0)
    assert times.estimate_wait({"a": 3}, "b", num_workers) == pytest.approx((6.0, 6.0))


@pytest.mark.parametrize(("num_ready", "interval_s"), [(0, 4.0), (1, 4.0), (2, 2.0)])
def test_job_interval(num_ready: int, interval_s: float) -> None:
    """Ready workers finish jobs in parallel; one that is not ready adds nothing."""
    workers = tuple(WorkerStats(number < num_ready, 0, {}) for number in range(2))
    stats = EngineStats(service_times=measured(4.0), workers=workers)
    assert stats.job_interval_s == pytest.approx(interval_s)
