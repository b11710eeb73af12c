"""One request inside the engine, from its acceptance to its last event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from daguerre.engine.forward import ForwardRequest
from daguerre.engine.pipeline import Pipeline
from daguerre.params import (
    DEFAULT_CONTEXT,
    Event,
    ImageParams,
    JobContext,
    JobSucceeded,
    StepCompleted,
    Timings,
)


@dataclass(eq=False, slots=True)
class AcceptedJob:
    """A request that an engine has accepted. `emit` receives its events and must not raise."""

    number: int
    params: ImageParams
    emit: Callable[[Event], None]
    accepted_s: float
    context: JobContext = DEFAULT_CONTEXT
    last_step: int = 0  # the last one reported

    @property
    def name(self) -> str:
        """Name in the log."""
        return f"job {self.number} (request_id={self.context.request_id})"

    def emit_step(self, event: StepCompleted) -> None:
        """Emits the event, unless a retry repeats the step."""
        if event.index > self.last_step:
            self.last_step = event.index
            self.emit(event)


@dataclass(eq=False, slots=True)
class AssignedJob(AcceptedJob):
    """A job that runs in another process, possibly again after a failed attempt."""

    sent_s: float = 0.0  # when the present attempt began

    def with_queue_time(self, event: JobSucceeded) -> JobSucceeded:
        """Adds the time from acceptance to the present attempt."""
        timings = event.image.timings
        waited_ms = (self.sent_s - self.accepted_s) * 1000
        timings = replace(timings, queue_ms=timings.queue_ms + waited_ms)
        return JobSucceeded(replace(event.image, timings=timings))


@dataclass(eq=False, slots=True)
class Job(AcceptedJob):
    """State of a job in the engine's thread."""

    stage_started_s: float = field(init=False)
    stage: str = "queue"
    stage_durations: dict[str, float] = field(default_factory=dict)  # seconds
    cost_s: float = 0.0
    first_step_s: float = 0.0  # cost up to the end of the first step
    pipeline: Pipeline | None = None
    pending: ForwardRequest | None = None

    def __post_init__(self) -> None:
        self.stage_started_s = self.accepted_s

    @property
    def has_begun(self) -> bool:
        """Whether a forward of the job has started."""
        return self.stage != "queue"

    def complete_step(self, index: int, num_steps: int) -> float:
        """Records step `index`; returns the job's projected cost, 0.0 while it is unknown."""
        if index == 1:  # may include a warm-up
            self.first_step_s = self.cost_s
            return 0.0
        return (self.cost_s - self.first_step_s) / (index - 1) * num_steps

    def enter(self, stage: str, now_s: float) -> None:
        """Ends the current stage and enters the next one. A stage includes its waiting time."""
        elapsed_s = now_s - self.stage_started_s
        self.stage_durations[self.stage] = self.stage_durations.get(self.stage, 0.0) + elapsed_s
        self.stage, self.stage_started_s = stage, now_s

    def close(self) -> None:
        """Closes the pipeline; raises whatever its clean-up code raises."""
        if self.pipeline is not None:
            self.pipeline.close()

    def timings(self) -> Timings:
        return Timings(**{f"{stage}_ms": s * 1000 for stage, s in self.stage_durations.items()})


class WorkObserver:
    """Callbacks in the engine's thread. These do nothing."""

    def on_work(self, jobs: Sequence[Job], *, is_warmup: bool = False) -> None:
        """A model's code or a network is about to run for these jobs; a warm-up takes minutes."""

    def on_load(self) -> None:
        """A model begins to load, has been loaded or unloaded, or loading it has failed."""

    def on_idle(self) -> None:
        """There are no jobs. At first: the models are loaded, or loading has failed."""
