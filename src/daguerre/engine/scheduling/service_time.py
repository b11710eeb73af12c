"""Service-time estimates of each model, in one worker and in several together.

A service time is the busy time of the engine that a job costs, without waiting. Jobs that run one
after the other therefore take the sum of their service times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

# Time constants of two averages. The slow one describes a long queue, which lasts through fast and
# slow moments of the machine; the fast one follows a change.
_FAST_S, _SLOW_S = 15.0, 60.0


@dataclass(frozen=True, slots=True)
class ExpAverage:
    """Exponentially weighted mean of job times.

    The weight decays with the engine's busy time. A job's initial weight is independent of its
    duration, so long jobs count no more than short ones.
    """

    mean_s: float = 0.0
    num_jobs: float = 0.0  # sum of the weights

    def with_sample(self, cost_s: float, time_constant_s: float) -> ExpAverage:
        num_jobs = self.num_jobs * math.exp(-cost_s / time_constant_s) + 1
        return ExpAverage(self.mean_s + (cost_s - self.mean_s) / num_jobs, num_jobs)


@dataclass(frozen=True, slots=True)
class ServiceTimeEstimate:
    """Estimated service time of a job; 0.0 if nothing is known yet."""

    fast: ExpAverage = field(default_factory=ExpAverage)
    slow: ExpAverage = field(default_factory=ExpAverage)

    @classmethod
    def provisional(cls, cost_s: float) -> ServiceTimeEstimate:
        """An estimate that holds until the first job ends."""
        return cls(ExpAverage(cost_s), ExpAverage(cost_s))

    @property
    def is_measured(self) -> bool:
        return self.slow.num_jobs > 0

    @property
    def expected_s(self) -> float:
        return self.slow.mean_s

    @property
    def conservative_s(self) -> float:
        """The larger of the two averages.

        An overloaded server accepts a job when the estimate happens to be low, so a mean would
        under-estimate.
        """
        return max(self.fast.mean_s, self.slow.mean_s)

    def with_sample(self, cost_s: float) -> ServiceTimeEstimate:
        return ServiceTimeEstimate(
            self.fast.with_sample(cost_s, _FAST_S), self.slow.with_sample(cost_s, _SLOW_S)
        )

    def with_history(self, earlier: ServiceTimeEstimate) -> ServiceTimeEstimate:
        """The earlier estimate if only that one is measured, else this one."""
        return earlier if earlier.is_measured and not self.is_measured else self


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Estimates for all models together and for each model."""

    overall: ServiceTimeEstimate = field(default_factory=ServiceTimeEstimate)
    by_model: Mapping[str, ServiceTimeEstimate] = field(default_factory=dict)

    @property
    def mean_service_time_s(self) -> float:
        """Mean over the jobs of all models; 0.0 before the first."""
        return self.overall.expected_s

    def with_sample(self, model: str, cost_s: float) -> ServiceTimes:
        """These estimates after one more job."""
        return self._updated(model, lambda estimate: estimate.with_sample(cost_s))

    def with_provisional(self, model: str, cost_s: float) -> ServiceTimes:
        """These estimates while the model's first job runs; a cost of 0.0 changes nothing."""
        if not cost_s or (model in self.by_model and self.by_model[model].is_measured):
            return self
        return self._updated(model, ServiceTimeEstimate.provisional(cost_s).with_history)

    def with_history(self, earlier: ServiceTimes) -> ServiceTimes:
        """These estimates, completed by those of an earlier worker."""
        by_model = {
            model: self.by_model.get(model, estimate).with_history(estimate)
            for model, estimate in earlier.by_model.items()
        }
        return ServiceTimes(
            self.overall.with_history(earlier.overall), {**self.by_model, **by_model}
        )

    def expected_s(self, num_jobs: Mapping[str, int]) -> float:
        """Expected time of so many jobs of each model."""
        return sum(count * self._of(model).expected_s for model, count in num_jobs.items())

    def estimate_wait(
        self, ahead: Mapping[str, int], model: str, num_workers: int = 1
    ) -> tuple[float, float]:
        """Conservative estimates of a new job's wait and of its own time, in seconds.

        `ahead` is the number of jobs ahead of each model. `num_workers` share these jobs. A single
        job is no faster for that, and does not wait if a worker is free.
        """
        job_s = self._of(model).conservative_s
        ahead_s = sum(count * self._of(one).conservative_s for one, count in ahead.items())
        own_s = job_s * num_workers
        return max(0.0, ahead_s + job_s - own_s), own_s

    def _of(self, model: str) -> ServiceTimeEstimate:
        """The model's estimate; that of all models if there is none."""
        return self.by_model.get(model, self.overall)

    def _updated(
        self, model: str, update: Callable[[ServiceTimeEstimate], ServiceTimeEstimate]
    ) -> ServiceTimes:
        updated = update(self.by_model.get(model, ServiceTimeEstimate()))
        return ServiceTimes(update(self.overall), {**self.by_model, model: updated})


def combine_workers(
    workers: Collection[ServiceTimes],
    num_ready: int,
    num_serving: Callable[[str], int] | None = None,
) -> ServiceTimes:
    """Service times of `num_ready` workers that share the jobs: their rates add up.

    A worker without a sample of a model counts as the mean of the others. `num_serving` returns how
    many workers serve a model, if not all do.
    """
    models = {model for times in workers for model in times.by_model}
    by_model = {
        model: _combine(
            [times.by_model.get(model, ServiceTimeEstimate()) for times in workers],
            num_serving(model) if num_serving else num_ready,
        )
        for model in models
    }
    return ServiceTimes(_combine([times.overall for times in workers], num_ready), by_model)


def _combine(estimates: Collection[ServiceTimeEstimate], num_ready: int) -> ServiceTimeEstimate:
    return ServiceTimeEstimate(
        _combine_averages([estimate.fast for estimate in estimates], num_ready),
        _combine_averages([estimate.slow for estimate in estimates], num_ready),
    )


def _combine_averages(averages: Collection[ExpAverage], num_ready: int) -> ExpAverage:
    num_jobs = sum(average.num_jobs for average in averages)
    known_s = [average.mean_s for average in averages if average.mean_s]
    if not known_s:
        return ExpAverage(0.0, num_jobs)
    worker_rate = sum(1 / mean_s for mean_s in known_s) / len(known_s)
    return ExpAverage(1 / (worker_rate * num_ready), num_jobs)
