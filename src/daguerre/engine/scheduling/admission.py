"""Admission control: limits on the accepted jobs of each model, and early rejection by deadline.

Each model has its own limits on jobs and prompt bytes, so requests for one cannot shut out those
for another. A job that cannot meet its deadline is rejected at once, so its client can use the time
for something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from daguerre.errors import NotFoundError, QueueFullError
from daguerre.params import ImageParams, JobContext

# Other load may make the machine half as fast as in the last minute. With 1.5, one in twenty of the
# jobs accepted under overload missed its deadline (bench/LOG.md). The factor costs no throughput.
_WAIT_SAFETY_FACTOR = 2.0


class Admission:
    """Counts the accepted jobs of each model, queued or running."""

    def __init__(self, max_jobs: int, max_prompt_bytes: int) -> None:
        self._max_jobs, self._max_prompt_bytes = max_jobs, max_prompt_bytes
        # Both by model.
        self._num_jobs: Counter[str] = Counter()
        self._prompt_bytes: Counter[str] = Counter()

    def num_jobs(self) -> dict[str, int]:
        """Model -> number of accepted jobs."""
        return dict(self._num_jobs)

    def check_capacity(self, params: ImageParams) -> None:
        """Raises `QueueFullError` if the job exceeds a limit of its model."""
        num_jobs, held_bytes = self._num_jobs[params.model], self._prompt_bytes[params.model]
        if num_jobs >= self._max_jobs:
            raise QueueFullError(
                f"model {params.model!r} already has {num_jobs} jobs queued or running"
                f" (limit: {self._max_jobs})"
            )
        # A single job is accepted whatever the size of its prompts.
        if num_jobs and held_bytes + prompt_bytes(params) > self._max_prompt_bytes:
            raise QueueFullError(
                f"the queued prompts for model {params.model!r} have {held_bytes} bytes;"
                f" with this request they exceed the limit of {self._max_prompt_bytes} bytes"
            )

    def add(self, params: ImageParams) -> None:
        self._num_jobs[params.model] += 1
        self._prompt_bytes[params.model] += prompt_bytes(params)

    def remove(self, params: ImageParams) -> None:
        self._num_jobs[params.model] -= 1
        self._prompt_bytes[params.model] -= prompt_bytes(params)


def check_served(params: ImageParams, served: Collection[str]) -> None:
    """Raises `NotFoundError` if the model is not one of `served`."""
    if params.model not in served:
        names = ", ".join(served)
        raise NotFoundError(f"model {params.model!r} is not served; served: {names}", param="model")


def check_deadline(context: JobContext, num_ahead: int, wait_s: float, own_s: float) -> None:
    """Raises `QueueFullError` if the job cannot meet its deadline.

    `wait_s` is the estimated wait behind `num_ahead` jobs, and `own_s` the job's own time. With no
    job ahead it is always accepted, because only a run shows how long it takes.
    """
    if context.timeout_s is None or not num_ahead:
        return
    if wait_s * _WAIT_SAFETY_FACTOR + own_s > context.timeout_s:
        jobs = "1 job is" if num_ahead == 1 else f"{num_ahead} jobs are"
        raise QueueFullError(
            f"{jobs} queued ahead of this request; it cannot finish within its remaining"
            f" {context.timeout_s:.3g} s"
        )


def prompt_bytes(params: ImageParams) -> int:
    """UTF-8 size of both prompts."""
    return len(params.prompt.encode()) + len(params.negative_prompt.encode())
