"""The one border between whoever asks for images and whatever makes them.

An `Engine` may live in a thread, in a child process or on another machine: all that crosses are the
plain values of `daguerre.params`. It knows nothing of HTTP, keys or files.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, ModelInfo


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Statistics of one worker."""

    is_ready: bool  # accepts jobs
    num_jobs: int  # assigned and not ended
    num_restarts: int
    mismatched_models: tuple[str, ...] = ()  # loaded, but not served: the fingerprint differs
    identity: str = ""  # such as "pid 1234"; empty while the worker is being restarted


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot for /metrics and /readyz."""

    is_ready: bool
    num_queued: int  # accepted, no forward done yet
    num_running: int
    num_succeeded: int
    num_failed: int
    num_cancelled: int
    num_forwards: int  # evaluations of any network
    num_rows: int  # rows in those evaluations; rows / forwards = mean batch size
    service_times: ServiceTimes = field(default_factory=ServiceTimes)  # of all processes together
    backlog_s: float = 0.0  # that all accepted jobs will take at this pace
    certificates: dict[str, bool] = field(default_factory=dict)  # "denoiser (4, 256, ...)" -> held
    failure: str = ""  # why the models could not be loaded: the engine will never be ready
    is_draining: bool = False
    num_restarts: int = 0  # of a process that had ended without being asked to
    # Models that are in memory, in a process that says so -> what decides their bits there.
    loaded: Mapping[str, str] = field(default_factory=dict)
    load_failures: tuple[str, ...] = ()  # models that a process of late could not load
    workers: tuple[WorkerStats, ...] = ()  # one for each process that there should be


class Engine(Protocol):
    """Makes images. All methods but `stats` are called from one event loop."""

    async def start(self) -> None:
        """Begins loading in the background and returns at once; then `stats().is_ready` turns true,
        or `stats().failure` says why it never will."""

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""

    async def stop(self) -> None:
        """Cancels what runs and frees the networks."""

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that this engine serves; known before they are loaded."""

    def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """Yields `JobQueued`, again when fewer are ahead if the job is watched, one `StepCompleted`
        per step, and last `JobSucceeded` or `JobFailed`.

        Closing the generator cancels the job: its rows are gone from the next forward on. Raises
        `UnavailableError` (`QueueFullError`, `NotReadyError`) at the first `__anext__`, before any
        event.
        """

    def stats(self) -> EngineStats: ...
