"""The jobs that the dispatcher has assigned to one worker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class JobRecord:
    """A job that is queued or assigned."""

    tenant: str
    model: str
    num_crashes: float = 0
    is_running: bool = False

    @property
    def is_quarantined(self) -> bool:
        return self.num_crashes > 0

    @property
    def is_prefetched(self) -> bool:
        """Whether the job, once assigned, can still be moved at no cost."""
        return not (self.is_running or self.is_quarantined)


@dataclass(slots=True)
class WorkerLoad:
    """The jobs of one worker, by number."""

    assigned: dict[int, JobRecord] = field(default_factory=dict)
    cancelling: set[int] = field(default_factory=set)  # not acknowledged yet
    active: Collection[int] = ()  # jobs that the worker says it works for

    def __len__(self) -> int:
        return len(self.assigned) + len(self.cancelling)

    @property
    def num_unfinished(self) -> int:
        """Number of jobs, counting unfinished work for jobs that were removed as one."""
        return len(self) + any(job not in self.assigned for job in self.active)

    def revoke(self, job: int) -> None:
        del self.assigned[job]
        self.cancelling.add(job)
