"""How long jobs take of late, each model's by itself, in one process and in several together.

Times are seconds of the engine's, waits left out, so that jobs in a row take the sum of theirs.
Knows nothing of which jobs there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

# Weight of the newest job in a mean: about the last ten jobs count.
MEAN_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """Exponentially weighted means; 0.0 before the first job is done."""

    mean_job_s: float = 0.0  # of all models
    by_model: Mapping[str, float] = field(default_factory=dict)

    def after(self, model: str, cost_s: float) -> Pace:
        """When one more job is done."""
        mean_s = _drawn_to(self.by_model.get(model, 0.0), cost_s)
        return Pace(_drawn_to(self.mean_job_s, cost_s), {**self.by_model, model: mean_s})

    def kept(self, earlier: Pace) -> Pace:
        """What this one does not know is taken from an earlier one."""
        by_model = {**earlier.by_model, **self.by_model}
        return Pace(self.mean_job_s or earlier.mean_job_s, by_model)

    def needed_s(self, num_jobs: Mapping[str, int]) -> float:
        """For so many jobs of each model. One that was never done counts as the mean of all."""
        return sum(n * self.by_model.get(model, self.mean_job_s) for model, n in num_jobs.items())


def joint(
    paces: Collection[Pace], num_working: int, num_serving: Callable[[str], int] | None = None
) -> Pace:
    """Of `num_working` processes that share the jobs: their rates add up. Those that have not done
    a job of a model yet will do it as the others did. `num_serving` says how many serve a model,
    where not all do."""
    models = {model for pace in paces for model in pace.by_model}
    return Pace(
        _joint_s([pace.mean_job_s for pace in paces], num_working),
        {
            model: _joint_s(
                [pace.by_model.get(model, 0.0) for pace in paces],
                num_serving(model) if num_serving else num_working,
            )
            for model in models
        },
    )


def _drawn_to(mean_s: float, cost_s: float) -> float:
    return mean_s + (MEAN_WEIGHT if mean_s else 1.0) * (cost_s - mean_s)


def _joint_s(means_s: Sequence[float], num_working: int) -> float:
    known = [mean_s for mean_s in means_s if mean_s]
    if not known:
        return 0.0
    rate = sum(1 / mean_s for mean_s in known) / len(known)  # of one process
    return 1 / (rate * num_working)
