"""Service-time estimates of each model, in one worker and in several together.

A service time is the busy time of the engine that a job costs, without waiting. Jobs that run one
after the other therefore take the sum of their service times.
"""

from __future__ import annotations

import math
from collections import Counter
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

    @property
    def is_measured(self) -> bool:
        return self.slow.num_jobs > 0

    @property
    def expected_s(self) -> float:
        return self.slow.mean_s

    @property
    def conservative_s(self) -> float:
        """The larger of the two averages: jobs are admitted when an estimate happens to be low."""
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
    """Estimates of one worker, or of the mean one, for all models together and for each model."""

    overall: ServiceTimeEstimate = field(default_factory=ServiceTimeEstimate)
    by_model: Mapping[str, ServiceTimeEstimate] = field(default_factory=dict)

    def with_sample(self, model: str, cost_s: float) -> ServiceTimes:
        """These estimates after one more job."""
        estimate = self.by_model.get(model, ServiceTimeEstimate()).with_sample(cost_s)
        return ServiceTimes(self.overall.with_sample(cost_s), {**self.by_model, model: estimate})

    def with_provisional(self, model: str, cost_s: float) -> ServiceTimes:
        """These estimates while the model's first job runs; a cost of 0.0 changes nothing."""
        if not cost_s or self.by_model.get(model, ServiceTimeEstimate()).is_measured:
            return self
        estimate = ServiceTimeEstimate(ExpAverage(cost_s), ExpAverage(cost_s))
        overall = self.overall if self.overall.is_measured else estimate
        return ServiceTimes(overall, {**self.by_model, model: estimate})

    def with_history(self, earlier: ServiceTimes) -> ServiceTimes:
        """These estimates, completed by those of an earlier worker."""
        by_model = {
            model: self.by_model.get(model, estimate).with_history(estimate)
            for model, estimate in earlier.by_model.items()
        }
        return ServiceTimes(
            self.overall.with_history(earlier.overall), {**self.by_model, **by_model}
        )

    def expected_s(
        self, num_jobs: Mapping[str, int], num_workers: Callable[[str], int] = lambda model: 1
    ) -> float:
        """Expected time of these numbers of jobs of each model, which `num_workers` share."""
        return sum(
            count * self._of(model).expected_s / num_workers(model)
            for model, count in num_jobs.items()
        )

    def estimate_wait(
        self,
        ahead: Mapping[str, int],
        model: str,
        num_workers: Callable[[str], int] = lambda model: 1,
    ) -> tuple[float, float]:
        """Conservative estimates of a new job's wait and of its own time, in seconds.

        `ahead` is the number of jobs ahead of each model, which `num_workers` share. A single job
        is no faster for that, and does not wait if a worker is free.
        """
        own_s = self._of(model).conservative_s
        jobs = Counter(ahead) + Counter({model: 1})
        total_s = sum(
            count * self._of(one).conservative_s / num_workers(one) for one, count in jobs.items()
        )
        return max(0.0, total_s - own_s), own_s

    def _of(self, model: str) -> ServiceTimeEstimate:
        """The model's estimate; that of all models if there is none."""
        return self.by_model.get(model, self.overall)


def combine_workers(workers: Collection[ServiceTimes]) -> ServiceTimes:
    """Service times of the mean worker. One without a sample of a model does not count for it."""
    models = {model for times in workers for model in times.by_model}
    by_model = {
        model: _mean([times.by_model[model] for times in workers if model in times.by_model])
        for model in models
    }
    return ServiceTimes(_mean([times.overall for times in workers]), by_model)


def _mean(estimates: Collection[ServiceTimeEstimate]) -> ServiceTimeEstimate:
    return ServiceTimeEstimate(
        _harmonic_mean([estimate.fast for estimate in estimates]),
        _harmonic_mean([estimate.slow for estimate in estimates]),
    )


def _harmonic_mean(averages: Collection[ExpAverage]) -> ExpAverage:
    """The mean of the rates, since the rates of workers add up."""
    rates = [1 / average.mean_s for average in averages if average.mean_s]
    num_jobs = sum(average.num_jobs for average in averages)
    return ExpAverage(len(rates) / sum(rates) if rates else 0.0, num_jobs)
