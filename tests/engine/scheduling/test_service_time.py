"""How long jobs take, of one process and of several."""

from __future__ import annotations

import pytest

from daguerre.engine.scheduling.service_time import (
    ExpAverage,
    ServiceTimeEstimate,
    ServiceTimes,
    combine_workers,
)


def measured(of_all_s: float, **by_model_s: float) -> ServiceTimes:
    """After many jobs that took as long as each other."""

    def estimate(cost_s: float) -> ServiceTimeEstimate:
        return ServiceTimeEstimate(ExpAverage(cost_s, 15 / cost_s), ExpAverage(cost_s, 60 / cost_s))

    by_model = {model: estimate(cost_s) for model, cost_s in by_model_s.items()}
    return ServiceTimes(estimate(of_all_s), by_model)


def expected_s(service_times: ServiceTimes) -> dict[str, float]:
    found = {model: estimate.expected_s for model, estimate in service_times.by_model.items()}
    return {"": service_times.mean_service_time_s, **found}


def test_each_model_by_itself() -> None:
    """A quick model's jobs are not thought slow because another's are; one that was never done
    counts as the mean of all."""
    service_times = ServiceTimes().with_sample("slow", 9.0).with_sample("quick", 1.0)
    assert expected_s(service_times) == pytest.approx(
        {"": 5.0, "slow": 9.0, "quick": 1.0}, rel=0.02
    )
    assert service_times.expected_s({"quick": 5, "slow": 1}) == pytest.approx(14.0)
    assert service_times.estimate_wait({"quick": 5, "slow": 1}, "quick") == pytest.approx(
        (14.0, 1.0)
    )
    assert service_times.estimate_wait({"quick": 5}, "new") == pytest.approx(
        (5.0, service_times.mean_service_time_s)
    )
    assert service_times.expected_s({"new": 1}) == service_times.mean_service_time_s
    assert (
        ServiceTimes().expected_s({"new": 1}),
        ServiceTimes().estimate_wait({"new": 1}, "new"),
    ) == (
        0.0,
        (0.0, 0.0),
    )


def test_the_first_count_alike() -> None:
    """A first job that had to wait for something does not count for more than the others."""
    service_times = ServiceTimes().with_sample("one", 3.0)
    for _ in range(9):
        service_times = service_times.with_sample("one", 0.5)
    assert service_times.expected_s({"one": 1}) == pytest.approx(0.75, rel=0.1)


def test_long_jobs_count_no_more_than_short_ones() -> None:
    """Of jobs of two lengths in turns the mean is what a queue of them takes."""
    service_times = ServiceTimes()
    for _ in range(200):
        service_times = service_times.with_sample("one", 4.0).with_sample("one", 0.1)
    assert service_times.expected_s({"one": 2}) == pytest.approx(4.1, rel=0.05)


@pytest.mark.parametrize("job_s", [0.1, 1.0, 10.0])
def test_a_machine_that_has_changed(job_s: float) -> None:
    """After a minute at a third of the pace or three times it the estimate is within a factor of
    two, however long jobs are; what is allowed for follows at once where jobs take longer."""
    for before_s, after_s in ((job_s, 3 * job_s), (3 * job_s, job_s)):
        service_times, passed_s = measured(before_s, one=before_s), 0.0
        while passed_s < 60:
            service_times, passed_s = service_times.with_sample("one", after_s), passed_s + after_s
        estimate = service_times.by_model["one"]
        assert after_s / 2 < estimate.expected_s < after_s * 2
        assert estimate.quick.mean_s == pytest.approx(after_s, rel=0.1)
        assert estimate.conservative_s == max(estimate.expected_s, estimate.quick.mean_s)


def test_a_bad_moment() -> None:
    """Fifteen seconds in which jobs take twice as long make no queue of a minute twice as long, but
    who would be late if it went on is not accepted."""
    service_times, passed_s = measured(1.0, one=1.0), 0.0
    while passed_s < 15:
        service_times, passed_s = service_times.with_sample("one", 2.0), passed_s + 2.0
    assert service_times.expected_s({"one": 10}) < 13.0
    assert service_times.estimate_wait({"one": 10}, "one")[0] > 14.0


def test_wait_behind_others() -> None:
    """Several that serve share the jobs ahead; one that is free is not waited for, and a job takes
    as long as ever."""
    alone, three = measured(4.0, a=4.0), combine_workers([measured(4.0, a=4.0)] * 3, 3)
    assert alone.estimate_wait({"a": 6}, "a") == pytest.approx((24.0, 4.0))
    for num_ahead, wait_s in ((0, 0.0), (2, 0.0), (3, 4 / 3), (6, 16 / 3)):
        assert three.estimate_wait({"a": num_ahead}, "a", 3) == pytest.approx((wait_s, 4.0))


def test_foreseen() -> None:
    """Before the first job is done what is foreseen of it counts, and then nothing foreseen."""
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


def test_what_a_new_process_does_not_know() -> None:
    """Is what the one before it knew; what a process foresees gives way to what another knew."""
    before, new = measured(4.0, a=4.0, b=3.0), measured(1.0, a=1.0)
    assert expected_s(new.with_history(before)) == pytest.approx({"": 1.0, "a": 1.0, "b": 3.0})
    assert (
        ServiceTimes().with_history(before) == before
        and before.with_history(ServiceTimes()) == before
    )
    foresees = ServiceTimes().with_provisional("a", 9.0).with_provisional("c", 7.0)
    assert expected_s(foresees.with_history(before)) == pytest.approx(
        {"": 4.0, "a": 4.0, "b": 3.0, "c": 7.0}
    )
    assert foresees.with_history(ServiceTimes().with_provisional("a", 1.0)) == foresees


def test_rates_add_up() -> None:
    """Two equal processes take half the time for a job; one that has done none yet will do as the
    other does; one that is gone adds nothing."""
    one = measured(4.0, a=4.0)
    assert expected_s(combine_workers([one, one], 2)) == pytest.approx({"": 2.0, "a": 2.0})
    assert expected_s(combine_workers([one, ServiceTimes()], 2)) == pytest.approx(
        {"": 2.0, "a": 2.0}
    )
    assert expected_s(combine_workers([one, one], 1)) == pytest.approx(expected_s(one))
    uneven = combine_workers([one, measured(1.0, a=1.0, b=6.0)], 2)
    assert expected_s(uneven) == pytest.approx({"": 0.8, "a": 1 / (1 / 4 + 1 / 1), "b": 3.0})
    assert combine_workers([ServiceTimes(), ServiceTimes()], 2) == ServiceTimes()
