"""The usual cost of a job, and the turns that one uses."""

from __future__ import annotations

from daguerre.engine.scheduling.usual_cost import UsualCosts


def test_turns() -> None:
    """A job uses a turn per usual cost of its class, and one while no cost is known."""
    costs = UsualCosts()
    assert costs.num_turns("a", 100.0) == 1
    costs.add("a", 0.0)
    assert costs.num_turns("a", 100.0) == 1
    costs.add("a", 2.0)
    assert [costs.num_turns("a", cost_s) for cost_s in (0.1, 3.9, 4.0, 9.0)] == [1, 1, 2, 4]
    assert costs.num_turns("b", 9.0) == 1


def test_expensive_jobs_count_little() -> None:
    """Half of the jobs may cost a hundred times as much; the usual cost is near the others'."""
    costs = UsualCosts()
    for _ in range(50):
        costs.add("a", 100.0)
        costs.add("a", 1.0)
    assert 1.9 < 100 / costs.num_turns("a", 100.0) < 2.1


def test_recent_jobs_count() -> None:
    """The usual cost follows a change."""
    costs = UsualCosts()
    for cost_s in [1.0] * 100 + [4.0] * 200:
        costs.add("a", cost_s)
    assert costs.num_turns("a", 7.9) == 1 and costs.num_turns("a", 8.1) == 2
