"""How long jobs take of late, each model's by itself, in one process and in several together.

Times are seconds of the engine's, waits left out, so that jobs in a row take the sum of theirs.
Knows nothing of which jobs there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

# How much of the engine's time two averages go back. A queue that is as long as requests may wait
# meets the machine's good and bad moments: what it takes is told by a minute, not by the last jobs.
_QUICK_S, _STEADY_S = 15.0, 60.0


@dataclass(frozen=True, slots=True)
class ExpAverage:
    """Of jobs' times, which are forgotten exponentially; a job's weight is the same whatever it
    took, or long ones would count for more."""

    mean_s: float = 0.0
    num_jobs: float = 0.0  # the sum of the weights

    def with_sample(self, cost_s: float, memory_s: float) -> ExpAverage:
        num_jobs = self.num_jobs * math.exp(-cost_s / memory_s) + 1
        return ExpAverage(self.mean_s + (cost_s - self.mean_s) / num_jobs, num_jobs)


@dataclass(frozen=True, slots=True)
class ServiceTimeEstimate:
    """Of a job's time; all is 0.0 where nothing is known yet."""

    quick: ExpAverage = field(default_factory=ExpAverage)
    steady: ExpAverage = field(default_factory=ExpAverage)

    @classmethod
    def with_provisional(cls, cost_s: float) -> ServiceTimeEstimate:
        """Counts until the first job is done."""
        return cls(ExpAverage(cost_s), ExpAverage(cost_s))

    @property
    def is_measured(self) -> bool:
        return self.steady.num_jobs > 0

    @property
    def expected_s(self) -> float:
        return self.steady.mean_s

    @property
    def conservative_s(self) -> float:
        """What must not be too little. Who is accepted under overload is accepted when an estimate
        is low, so that errors to that side do not cancel out."""
        return max(self.quick.mean_s, self.steady.mean_s)

    def with_sample(self, cost_s: float) -> ServiceTimeEstimate:
        """When one more job is done."""
        return ServiceTimeEstimate(
            self.quick.with_sample(cost_s, _QUICK_S), self.steady.with_sample(cost_s, _STEADY_S)
        )

    def with_history(self, earlier: ServiceTimeEstimate) -> ServiceTimeEstimate:
        """What is only foreseen gives way to what was measured."""
        return earlier if earlier.is_measured and not self.is_measured else self


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    of_all: ServiceTimeEstimate = field(default_factory=ServiceTimeEstimate)
    by_model: Mapping[str, ServiceTimeEstimate] = field(default_factory=dict)

    @property
    def mean_service_time_s(self) -> float:
        """Of all models; 0.0 before anything is known."""
        return self.of_all.expected_s

    def with_sample(self, model: str, cost_s: float) -> ServiceTimes:
        """When one more job is done."""
        return self._with(model, lambda estimate: estimate.with_sample(cost_s))

    def with_provisional(self, model: str, cost_s: float) -> ServiceTimes:
        """While the first job of its model is under way; 0.0 where that tells nothing yet."""
        if not cost_s or self.by_model.get(model, ServiceTimeEstimate()).is_measured:
            return self
        return self._with(
            model,
            lambda estimate: ServiceTimeEstimate.with_provisional(cost_s).with_history(estimate),
        )

    def with_history(self, earlier: ServiceTimes) -> ServiceTimes:
        """What this one does not know is taken from an earlier one."""
        by_model = {
            model: self.by_model.get(model, estimate).with_history(estimate)
            for model, estimate in earlier.by_model.items()
        }
        return ServiceTimes(self.of_all.with_history(earlier.of_all), {**self.by_model, **by_model})

    def expected_s(self, num_jobs: Mapping[str, int]) -> float:
        """For so many jobs of each model."""
        return sum(count * self._of(model).expected_s for model, count in num_jobs.items())

    def estimate_wait(
        self, ahead: Mapping[str, int], model: str, num_serving: int = 1
    ) -> tuple[float, float]:
        """How long one more job waits for so many of each model, and what it takes then, where
        neither must be too little. `num_serving` processes share the jobs, but one job is no
        quicker for it, and does not wait where one of them is free."""
        own_s = self._of(model).conservative_s * num_serving
        together_s = sum(count * self._of(one).conservative_s for one, count in ahead.items())
        return max(0.0, together_s + self._of(model).conservative_s - own_s), own_s

    def _of(self, model: str) -> ServiceTimeEstimate:
        """A model of which nothing is known counts as all do."""
        return self.by_model.get(model, self.of_all)

    def _with(
        self, model: str, change: Callable[[ServiceTimeEstimate], ServiceTimeEstimate]
    ) -> ServiceTimes:
        changed = change(self.by_model.get(model, ServiceTimeEstimate()))
        return ServiceTimes(change(self.of_all), {**self.by_model, model: changed})


def combine_workers(
    paces: Collection[ServiceTimes],
    num_working: int,
    num_serving: Callable[[str], int] | None = None,
) -> ServiceTimes:
    """Of `num_working` processes that share the jobs: their rates add up. Those that have not done
    a job of a model yet will do it as the others did. `num_serving` says how many serve a model,
    where not all do."""
    models = {model for service_times in paces for model in service_times.by_model}
    return ServiceTimes(
        _joint([service_times.of_all for service_times in paces], num_working),
        {
            model: _joint(
                [
                    service_times.by_model.get(model, ServiceTimeEstimate())
                    for service_times in paces
                ],
                num_serving(model) if num_serving else num_working,
            )
            for model in models
        },
    )


def _joint(estimates: Collection[ServiceTimeEstimate], num_working: int) -> ServiceTimeEstimate:
    return ServiceTimeEstimate(
        _joint_average([estimate.quick for estimate in estimates], num_working),
        _joint_average([estimate.steady for estimate in estimates], num_working),
    )


def _joint_average(averages: Collection[ExpAverage], num_working: int) -> ExpAverage:
    num_jobs = sum(average.num_jobs for average in averages)
    return ExpAverage(_joint_s((average.mean_s for average in averages), num_working), num_jobs)


def _joint_s(means_s: Iterable[float], num_working: int) -> float:
    known = [mean_s for mean_s in means_s if mean_s]
    if not known:
        return 0.0
    rate = sum(1 / mean_s for mean_s in known) / len(known)  # of one process
    return 1 / (rate * num_working)
