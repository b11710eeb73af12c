"""How long jobs take, of one process and of several."""

from __future__ import annotations

import pytest

from daguerre.engine.scheduling.service_time import (
    ExpAverage,
    ServiceTimeEstimate,
    ServiceTimes,
    joint,
)


def measured(of_all_s: float, **by_model_s: float) -> ServiceTimes:
    """After many jobs that took as long as each other."""

    def estimate(cost_s: float) -> ServiceTimeEstimate:
        return ServiceTimeEstimate(ExpAverage(cost_s, 15 / cost_s), ExpAverage(cost_s, 60 / cost_s))

    by_model = {model: estimate(cost_s) for model, cost_s in by_model_s.items()}
    return ServiceTimes(estimate(of_all_s), by_model)


def likely_s(pace: ServiceTimes) -> dict[str, float]:
    found = {model: estimate.likely_s for model, estimate in pace.by_model.items()}
    return {"": pace.mean_job_s, **found}


def test_each_model_by_itself() -> None:
    """A quick model's jobs are not thought slow because another's are; one that was never done
    counts as the mean of all."""
    pace = ServiceTimes().after("slow", 9.0).after("quick", 1.0)
    assert likely_s(pace) == pytest.approx({"": 5.0, "slow": 9.0, "quick": 1.0}, rel=0.02)
    assert pace.likely_s({"quick": 5, "slow": 1}) == pytest.approx(14.0)
    assert pace.behind({"quick": 5, "slow": 1}, "quick") == pytest.approx((14.0, 1.0))
    assert pace.behind({"quick": 5}, "new") == pytest.approx((5.0, pace.mean_job_s))
    assert pace.likely_s({"new": 1}) == pace.mean_job_s
    assert (ServiceTimes().likely_s({"new": 1}), ServiceTimes().behind({"new": 1}, "new")) == (
        0.0,
        (0.0, 0.0),
    )


def test_the_first_count_alike() -> None:
    """A first job that had to wait for something does not count for more than the others."""
    pace = ServiceTimes().after("one", 3.0)
    for _ in range(9):
        pace = pace.after("one", 0.5)
    assert pace.likely_s({"one": 1}) == pytest.approx(0.75, rel=0.1)


def test_long_jobs_count_no_more_than_short_ones() -> None:
    """Of jobs of two lengths in turns the mean is what a queue of them takes."""
    pace = ServiceTimes()
    for _ in range(200):
        pace = pace.after("one", 4.0).after("one", 0.1)
    assert pace.likely_s({"one": 2}) == pytest.approx(4.1, rel=0.05)


@pytest.mark.parametrize("job_s", [0.1, 1.0, 10.0])
def test_a_machine_that_has_changed(job_s: float) -> None:
    """After a minute at a third of the pace or three times it the estimate is within a factor of
    two, however long jobs are; what is allowed for follows at once where jobs take longer."""
    for before_s, after_s in ((job_s, 3 * job_s), (3 * job_s, job_s)):
        pace, passed_s = measured(before_s, one=before_s), 0.0
        while passed_s < 60:
            pace, passed_s = pace.after("one", after_s), passed_s + after_s
        estimate = pace.by_model["one"]
        assert after_s / 2 < estimate.likely_s < after_s * 2
        assert estimate.quick.mean_s == pytest.approx(after_s, rel=0.1)
        assert estimate.most_s == max(estimate.likely_s, estimate.quick.mean_s)


def test_a_bad_moment() -> None:
    """Fifteen seconds in which jobs take twice as long make no queue of a minute twice as long, but
    who would be late if it went on is not accepted."""
    pace, passed_s = measured(1.0, one=1.0), 0.0
    while passed_s < 15:
        pace, passed_s = pace.after("one", 2.0), passed_s + 2.0
    assert pace.likely_s({"one": 10}) < 13.0
    assert pace.behind({"one": 10}, "one")[0] > 14.0


def test_wait_behind_others() -> None:
    """Several that serve share the jobs ahead; one that is free is not waited for, and a job takes
    as long as ever."""
    alone, three = measured(4.0, a=4.0), joint([measured(4.0, a=4.0)] * 3, 3)
    assert alone.behind({"a": 6}, "a") == pytest.approx((24.0, 4.0))
    for num_ahead, wait_s in ((0, 0.0), (2, 0.0), (3, 4 / 3), (6, 16 / 3)):
        assert three.behind({"a": num_ahead}, "a", 3) == pytest.approx((wait_s, 4.0))


def test_foreseen() -> None:
    """Before the first job is done what is foreseen of it counts, and then nothing foreseen."""
    pace = ServiceTimes().foreseen("one", 0.0)
    assert pace == ServiceTimes()
    pace = pace.foreseen("one", 8.0).foreseen("one", 6.0)
    assert pace.likely_s({"one": 10}) == pytest.approx(60.0)
    assert pace.behind({"other": 10}, "one") == pytest.approx((60.0, 6.0))
    pace = pace.after("one", 5.0)
    assert likely_s(pace) == pytest.approx({"": 5.0, "one": 5.0})
    assert pace.foreseen("one", 100.0) == pace
    pace = pace.foreseen("other", 1.0)
    assert likely_s(pace) == pytest.approx({"": 5.0, "one": 5.0, "other": 1.0})


def test_what_a_new_process_does_not_know() -> None:
    """Is what the one before it knew; what a process foresees gives way to what another knew."""
    before, new = measured(4.0, a=4.0, b=3.0), measured(1.0, a=1.0)
    assert likely_s(new.kept(before)) == pytest.approx({"": 1.0, "a": 1.0, "b": 3.0})
    assert ServiceTimes().kept(before) == before and before.kept(ServiceTimes()) == before
    foresees = ServiceTimes().foreseen("a", 9.0).foreseen("c", 7.0)
    assert likely_s(foresees.kept(before)) == pytest.approx({"": 4.0, "a": 4.0, "b": 3.0, "c": 7.0})
    assert foresees.kept(ServiceTimes().foreseen("a", 1.0)) == foresees


def test_rates_add_up() -> None:
    """Two equal processes take half the time for a job; one that has done none yet will do as the
    other does; one that is gone adds nothing."""
    one = measured(4.0, a=4.0)
    assert likely_s(joint([one, one], 2)) == pytest.approx({"": 2.0, "a": 2.0})
    assert likely_s(joint([one, ServiceTimes()], 2)) == pytest.approx({"": 2.0, "a": 2.0})
    assert likely_s(joint([one, one], 1)) == pytest.approx(likely_s(one))
    uneven = joint([one, measured(1.0, a=1.0, b=6.0)], 2)
    assert likely_s(uneven) == pytest.approx({"": 0.8, "a": 1 / (1 / 4 + 1 / 1), "b": 3.0})
    assert joint([ServiceTimes(), ServiceTimes()], 2) == ServiceTimes()
