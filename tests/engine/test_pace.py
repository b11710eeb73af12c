"""How long jobs take, of one process and of several."""

from __future__ import annotations

import pytest

from daguerre.engine.pace import Pace, joint


def test_each_model_by_itself() -> None:
    """A quick model's jobs are not thought slow because another's are; one that was never done
    counts as the mean of all."""
    pace = Pace().after("slow", 10.0).after("quick", 1.0)
    assert pace.by_model == {"slow": 10.0, "quick": 1.0}
    assert pace.mean_job_s == pytest.approx(8.2)
    assert pace.needed_s({"quick": 5, "slow": 1}) == pytest.approx(15.0)
    assert pace.needed_s({"new": 1}) == pytest.approx(8.2)
    assert Pace().needed_s({"new": 1}) == 0.0


def test_the_newest_count_most() -> None:
    """After ten jobs of another length little is left of the first mean."""
    pace = Pace().after("one", 10.0)
    for _ in range(10):
        pace = pace.after("one", 1.0)
    assert 1.0 < pace.by_model["one"] < 2.0


def test_what_a_new_process_does_not_know() -> None:
    """Is what the one before it knew."""
    before, new = Pace(4.0, {"a": 4.0, "b": 3.0}), Pace(1.0, {"a": 1.0})
    assert new.kept(before) == Pace(1.0, {"a": 1.0, "b": 3.0})
    assert Pace().kept(before) == before


def test_rates_add_up() -> None:
    """Two equal processes take half the time for a job; one that has done none yet will do as the
    other does; one that is gone adds nothing."""
    one = Pace(4.0, {"a": 4.0})
    assert joint([one, one], 2) == Pace(2.0, {"a": 2.0})
    assert joint([one, Pace()], 2) == Pace(2.0, {"a": 2.0})
    assert joint([one, one], 1) == one
    uneven = joint([one, Pace(1.0, {"a": 1.0, "b": 6.0})], 2)
    assert uneven.by_model == {"a": pytest.approx(1 / (1 / 4 + 1 / 1)), "b": 3.0}
    assert joint([Pace(), Pace()], 2) == Pace()
