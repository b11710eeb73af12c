"""Admission control: limits on the accepted jobs of each model, and early rejection by deadline.

Each model has its own limits on jobs and prompt bytes, so requests for one cannot shut out those
for another. A job that cannot meet its deadline is rejected at once, so its client can use the time
for something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from daguerre.errors import QueueFullError, QueueTooLongError
from daguerre.params import ImageParams, JobContext

# Other load may make the machine half as fast as in the last minute. With 1.5, one in twenty of the
# jobs accepted under overload missed its deadline (bench/LOG.md). The factor costs no throughput.
_WAIT_SAFETY_FACTOR = 2.0


MAX_QUEUED_PROMPT_BYTES = 4 * 1024 * 1024


class Admission:
    """Accepts jobs, and counts those of each model, queued or running.

    `max_running_jobs` is that of all workers together; it may change.
    """

    def __init__(self, max_queued_jobs: int, max_running_jobs: int, max_prompt_bytes: int) -> None:
        self._max_queued, self.max_running_jobs = max_queued_jobs, max_running_jobs
        self._max_prompt_bytes = max_prompt_bytes
        # Both by model.
        self._num_jobs: Counter[str] = Counter()
        self._prompt_bytes: Counter[str] = Counter()

    def num_jobs(self) -> dict[str, int]:
        """Model -> number of accepted jobs."""
        return dict(self._num_jobs)

    def admit(
        self,
        params: ImageParams,
        context: JobContext,
        estimate_wait: Callable[[ImageParams, JobContext], tuple[int, float, float]],
        num_elsewhere: int = 0,
    ) -> int:
        """Accepts a job, and returns the number of jobs ahead; raises `QueueFullError`.

        `estimate_wait` returns that number, the wait behind them and the job's own time.
        `num_elsewhere` is the number of the model's jobs that other servers have accepted.
        """
        self._check_capacity(params, num_elsewhere)
        num_ahead, wait_s, own_s = estimate_wait(params, context)
        check_deadline(context, num_ahead, wait_s, own_s)
        self._num_jobs[params.model] += 1
        self._prompt_bytes[params.model] += prompt_bytes(params)
        return num_ahead

    def _check_capacity(self, params: ImageParams, num_elsewhere: int) -> None:
        num_own, held_bytes = self._num_jobs[params.model], self._prompt_bytes[params.model]
        num_jobs = num_own + num_elsewhere
        if num_jobs >= self._max_queued + self.max_running_jobs:
            raise QueueFullError(
                f"model {params.model!r} already has {num_jobs} jobs queued or running"
                f" (limit: {self._max_queued} queued + {self.max_running_jobs} running)"
            )
        # A single job is accepted whatever the size of its prompts.
        if num_own and held_bytes + prompt_bytes(params) > self._max_prompt_bytes:
            raise QueueFullError(
                f"the queued prompts for model {params.model!r} have {held_bytes} bytes;"
                f" with this request they exceed the limit of {self._max_prompt_bytes} bytes"
            )

    def remove(self, params: ImageParams) -> None:
        self._num_jobs[params.model] -= 1
        self._prompt_bytes[params.model] -= prompt_bytes(params)


def check_deadline(context: JobContext, num_ahead: int, wait_s: float, own_s: float) -> None:
    """Raises `QueueTooLongError` if the job cannot meet its deadline.

    `wait_s` is the estimated wait behind `num_ahead` jobs, and `own_s` the job's own time. With no
    job ahead it is always accepted, because only a run shows how long it takes.
    """
    if context.timeout_s is None or not num_ahead:
        return
    if wait_s * _WAIT_SAFETY_FACTOR + own_s > context.timeout_s:
        jobs = "1 job is" if num_ahead == 1 else f"{num_ahead} jobs are"
        raise QueueTooLongError(
            f"{jobs} queued ahead of this request; it cannot finish within its remaining"
            f" {context.timeout_s:.3g} s"
        )


def prompt_bytes(params: ImageParams) -> int:
    """UTF-8 size of both prompts."""
    return len(params.prompt.encode()) + len(params.negative_prompt.encode())
