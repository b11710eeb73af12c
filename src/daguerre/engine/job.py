"""`Job`: one request inside the engine, from its acceptance to its last event.

Knows the stages that it passes and how long it was in each, but not whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from daguerre.engine.forward import ForwardRequest
from daguerre.engine.pipeline import Pipeline
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, Timings


@dataclass(eq=False, slots=True)
class Job:
    """One request inside the engine. `emit` takes its events and must not raise."""

    number: int
    params: ImageParams
    emit: Callable[[Event], None]
    stage_started_s: float  # when the present stage began; at first, when the job was accepted
    context: JobContext = DEFAULT_CONTEXT
    stage: str = "queue"
    spent_s: dict[str, float] = field(default_factory=dict)
    cost_s: float = 0.0
    first_step_s: float = 0.0  # its cost up to the end of the first step
    pipeline: Pipeline | None = None
    pending: ForwardRequest | None = None

    @property
    def name(self) -> str:
        """In the log, where the id is what a request is found by."""
        return f"job {self.number} (request_id={self.context.request_id})"

    @property
    def network(self) -> str:
        assert self.pending is not None, "a job that asks for nothing. This is a bug."
        return self.pending.network

    @property
    def has_begun(self) -> bool:
        """Whether a forward of it has been started."""
        return self.stage != "queue"

    def projected_cost_s(self, index: int, num_steps: int) -> float:
        """What it will have cost, by the steps that it has done; 0.0 after the first, which may
        have had to wait for a compiler and says little of the others."""
        if index == 1:
            self.first_step_s = self.cost_s
            return 0.0
        return (self.cost_s - self.first_step_s) / (index - 1) * num_steps

    def enter(self, stage: str, now_s: float) -> None:
        """A stage lasts from the moment it is asked for, waits for its turn included."""
        self.spent_s[self.stage] = self.spent_s.get(self.stage, 0.0) + now_s - self.stage_started_s
        self.stage, self.stage_started_s = stage, now_s

    def close(self) -> None:
        """Gives up what was begun for it; raises whatever a pipeline's clean-up code does."""
        if self.pipeline is not None:
            self.pipeline.close()

    def timings(self) -> Timings:
        return Timings(**{f"{stage}_ms": s * 1000 for stage, s in self.spent_s.items()})


# Told of the jobs for which a model's code or a network is about to be run, and whether that is
# something done once, which may take long; of no jobs when there is nothing left to do.
WorkObserver: TypeAlias = Callable[[Sequence[Job], bool], None]
