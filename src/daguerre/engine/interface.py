"""The `Engine` interface between the server and the code that generates images.

An engine may run in a thread, in child processes or on another machine, so all arguments and
results are picklable values.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from daguerre.engine.ended_jobs import Outcome
from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.errors import NotFoundError, NotReadyError, UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, ModelInfo
from daguerre.protocol.messages import quote_for_message


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """Statistics of one worker."""

    is_ready: bool  # accepts jobs
    num_jobs: int  # assigned and not ended
    restarts: Mapping[str, int]  # reason -> number
    mismatched_models: tuple[str, ...] = ()  # loaded, but not served: the fingerprint differs
    identity: str = ""  # such as "pid 1234"; empty while the worker is being restarted
    loaded_models: tuple[str, ...] = ()
    loading: str = ""  # the model that it loads
    resident_bytes: int = 0  # 0 if unknown

    @property
    def num_restarts(self) -> int:
        return sum(self.restarts.values())


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """The load of a model that is in progress; `num_bytes` is 0 if its size is unknown."""

    model: str
    num_bytes: int = 0

    def memory_text(self, num_free: int) -> str:
        """Compares the model's size with `num_free` bytes."""
        needed = f"it needs about {self.num_bytes / 1e9:.1f} GB, and " if self.num_bytes else ""
        return f"{needed}{num_free / 1e9:.1f} GB are free"


@dataclass(frozen=True, slots=True)
class LoadStats:
    """Finished loads of one model, in one process or in several."""

    num_succeeded: int = 0
    num_failed: int = 0
    total_s: float = 0.0
    num_bytes: int = 0  # estimate of the memory that one copy needs

    def __add__(self, other: LoadStats) -> LoadStats:
        return LoadStats(
            self.num_succeeded + other.num_succeeded,
            self.num_failed + other.num_failed,
            self.total_s + other.total_s,
            max(self.num_bytes, other.num_bytes),
        )


def add_loads(parts: Iterable[Mapping[str, LoadStats]]) -> dict[str, LoadStats]:
    """The sum for each model."""
    totals: dict[str, LoadStats] = {}
    for model, loads in (item for part in parts for item in part.items()):
        totals[model] = totals.get(model, LoadStats()) + loads
    return totals


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot of the engine, for /metrics and /readyz.

    `queued`, `running`, `ended`, `loaded`, `load_failures` and `loads` are by model.
    """

    is_ready: bool = False
    queued: Mapping[str, int] = field(default_factory=dict)  # accepted, without a forward yet
    running: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, Mapping[Outcome, int]] = field(default_factory=dict)
    num_forwards: int = 0  # evaluations of any network
    num_rows: int = 0  # rows in all forwards; num_rows / num_forwards is the mean batch size
    service_times: ServiceTimes = field(default_factory=ServiceTimes)  # mean of the workers
    backlog_s: float = 0.0  # expected time of all accepted jobs
    certificates: dict[str, bool] = field(default_factory=dict)  # label -> whether it is exact
    failure: str = ""  # why loading failed for good: the engine will never be ready
    problem: str = ""  # why the engine is not ready yet, if it is not loading
    is_draining: bool = False
    # Fingerprints. Those of an engine with workers stay while the workers restart.
    loaded: Mapping[str, str] = field(default_factory=dict)
    load_failures: Mapping[str, str] = field(default_factory=dict)  # in words for clients
    loads: Mapping[str, LoadStats] = field(default_factory=dict)
    resident_bytes: int = 0  # of one process; 0 if unknown
    loading: ModelLoad | None = None  # in one process
    workers: tuple[WorkerStats, ...] = ()  # of an engine in several processes

    @property
    def num_queued(self) -> int:
        return sum(self.queued.values())

    @property
    def num_running(self) -> int:
        return sum(self.running.values())

    @property
    def num_succeeded(self) -> int:
        return self._num_ended("succeeded")

    @property
    def num_failed(self) -> int:
        return self._num_ended("failed")

    @property
    def num_cancelled(self) -> int:
        return self._num_ended("cancelled")

    def _num_ended(self, outcome: Outcome) -> int:
        return sum(counts[outcome] for counts in self.ended.values())

    @property
    def num_restarts(self) -> int:
        """Number of worker processes that ended unexpectedly."""
        return sum(worker.num_restarts for worker in self.workers)

    @property
    def job_interval_s(self) -> float:
        """Mean time between two finished jobs while all workers are busy; 0.0 if unknown."""
        num_ready = sum(worker.is_ready for worker in self.workers)
        return self.service_times.overall.expected_s / max(1, num_ready)


class Engine(Protocol):
    """Generates images. All methods but `stats` are called from one event loop."""

    async def start(self) -> None:
        """Starts loading in the background.

        Later `stats().is_ready` becomes true, or `stats().failure` says why it never will.
        """

    async def drain(self) -> None:
        """Rejects new jobs, and returns when all accepted jobs have ended."""

    async def stop(self) -> None:
        """Cancels all jobs and frees the networks."""

    def models(self) -> tuple[ModelInfo, ...]:
        """The served models, available before they are loaded."""

    def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """Submits a job and yields its events.

        The events are `JobQueued` (again for each better position, with `context.wants_progress`),
        one `StepCompleted` per step, and `JobSucceeded` or `JobFailed`. Closing the generator
        cancels the job before its next forward. The first `__anext__` raises `NotFoundError` for a
        model that is not served, and `UnavailableError` (`QueueFullError`, `NotReadyError`) if the
        engine cannot accept the job.
        """

    def stats(self) -> EngineStats: ...

    def hold(self) -> AbstractContextManager[Engine]:
        """The engine for one request: in the `with` block, a reload changes neither its models nor
        what they draw."""


def find_model(model_id: str, served: Iterable[ModelInfo]) -> ModelInfo:
    """The served model with this ID. Raises `NotFoundError` if there is none."""
    by_id = {info.id: info for info in served}
    if model_id not in by_id:
        text = f"model {quote_for_message(model_id)} is not served; served models: "
        raise NotFoundError(text + (", ".join(by_id) or "none"), param="model")
    return by_id[model_id]


def served_models(engine: Engine) -> tuple[ModelInfo, ...]:
    """The served models. Raises `NotReadyError` while the engine has not learned them yet."""
    if not (models := engine.models()):
        check_ready("", is_draining=False, is_ready=False, problem=engine.stats().problem)
    return models


def check_ready(failure: str, is_draining: bool, is_ready: bool, problem: str = "") -> None:
    """Raises `UnavailableError` after a failure, `NotReadyError` while draining or loading.

    `problem` says why the engine is not ready, if it is not loading.
    """
    if failure:
        raise UnavailableError("the model could not be loaded; see the server log")
    if is_draining:
        raise NotReadyError("the server is shutting down and accepts no new requests")
    if not is_ready:
        raise NotReadyError(problem or "the model is still loading; try again later")
