"""The usual cost of a job: the unit in which tenants pay for theirs."""

from __future__ import annotations

from collections.abc import Hashable

_NUM_RECENT = 32


class UsualCosts:
    """Harmonic mean of the costs of recent jobs, for each batch class.

    Cheap jobs dominate a harmonic mean, so a tenant with expensive jobs cannot raise it.
    """

    def __init__(self) -> None:
        self._rates: dict[Hashable, tuple[float, int]] = {}  # mean of 1 / cost, number of jobs

    def add(self, batch_class: Hashable, cost_s: float) -> None:
        """Adds the cost of a finished job."""
        if cost_s > 0:
            rate, num_jobs = self._rates.get(batch_class, (0.0, 0))
            num_jobs = min(num_jobs + 1, _NUM_RECENT)
            self._rates[batch_class] = rate + (1 / cost_s - rate) / num_jobs, num_jobs

    def num_turns(self, batch_class: Hashable, cost_s: float) -> int:
        """The turns that a job of this cost uses: at least 1, also while no cost is known."""
        rate, _ = self._rates.get(batch_class, (0.0, 0))
        return max(1, int(cost_s * rate))
