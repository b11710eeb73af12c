"""How much of each model may be accepted at a time, and what is refused.

Every model has a queue of its own, so that many requests for one do not shut out those for another.
It is bounded by jobs and by the bytes of their prompts. A job that would hardly be done in the time
it has is refused at once: its client can still do something else with that time. Knows no order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from daguerre.errors import NotFoundError, QueueFullError
from daguerre.params import ImageParams, JobContext

# The wait of a job is a mean of others' times, as often as there are jobs ahead, and under overload
# there are always as many as may be. Without a reserve a quarter of those accepted came too late;
# with a half, one in twenty still did on a machine that had other work (bench/LOG.md), whose pace
# may be half of what it was a minute before. No image is lost by it; only fewer wait.
_RESERVE = 2.0


@dataclass(slots=True)
class _WorkerLoad:
    num_jobs: int = 0
    num_bytes: int = 0


class Admission:
    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs, self._max_bytes = max_jobs, max_bytes
        self._held: dict[str, _WorkerLoad] = {}  # by model

    def num_jobs(self) -> dict[str, int]:
        """Of each model."""
        return {model: held.num_jobs for model, held in self._held.items()}

    def check_capacity(self, params: ImageParams) -> None:
        """Raises `QueueFullError`."""
        held, size = self._held.setdefault(params.model, _WorkerLoad()), num_bytes(params)
        if held.num_jobs >= self._max_jobs:
            raise QueueFullError(
                f"{held.num_jobs} jobs of {params.model} are queued or running, the most that are"
                " accepted"
            )
        # One alone is always taken, however large.
        if held.num_jobs and held.num_bytes + size > self._max_bytes:
            raise QueueFullError(
                f"the prompts that are queued for {params.model} have {held.num_bytes} bytes, and"
                f" with this one they would have more than {self._max_bytes}"
            )

    def add(self, params: ImageParams) -> None:
        held = self._held.setdefault(params.model, _WorkerLoad())
        held.num_jobs += 1
        held.num_bytes += num_bytes(params)

    def remove(self, params: ImageParams) -> None:
        held = self._held[params.model]
        held.num_jobs -= 1
        held.num_bytes -= num_bytes(params)


def check_served(params: ImageParams, served: Collection[str]) -> None:
    """Raises `NotFoundError`."""
    if params.model not in served:
        names = ", ".join(served)
        raise NotFoundError(f"model {params.model!r} is not served; served: {names}", param="model")


def check_deadline(context: JobContext, num_ahead: int, wait_s: float, own_s: float) -> None:
    """Raises `QueueFullError` where the wait for the jobs ahead, and what this one takes then, are
    more than the time it has. With none ahead a job is always tried: only that tells what it
    takes."""
    if context.timeout_s is None or not num_ahead:
        return
    if wait_s * _RESERVE + own_s > context.timeout_s:
        raise QueueFullError(
            f"{num_ahead} jobs are ahead, so the image would hardly be done in the"
            f" {context.timeout_s:.3g} s that are left for it"
        )


def num_bytes(params: ImageParams) -> int:
    return len(params.prompt.encode()) + len(params.negative_prompt.encode())
