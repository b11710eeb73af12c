"""Jobs that wait for their model to be loaded, or behind one that does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.model_manager import ModelManager, log_failure


class WaitingJobs:
    """A queue in order of arrival, used by the engine's thread."""

    def __init__(self, manager: ModelManager, observer: WorkObserver) -> None:
        self._manager, self._observer = manager, observer
        self._jobs: list[Job] = []

    def __contains__(self, job: Job) -> bool:
        return job in self._jobs

    def add(self, job: Job) -> None:
        self._jobs.append(job)

    def discard(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)

    def take_ready(self, busy: Callable[[], Collection[str]]) -> Iterator[Job]:
        """Removes and yields the jobs whose model is loaded, or cannot be loaded.

        Loads the model of the oldest other job. If models that are `busy` must end before it fits
        into memory, all later jobs wait, too. Else busy models would keep it out of memory forever.
        """
        while self._jobs:
            model = self._jobs[0].params.model
            if not self._ensure_loaded(model, busy()):
                return
            jobs = self._jobs_of(model)
            self._jobs = [job for job in self._jobs if job not in jobs]
            yield from jobs

    def _jobs_of(self, model: str) -> list[Job]:
        return [job for job in self._jobs if job.params.model == model]

    def _ensure_loaded(self, model: str, busy: Collection[str]) -> bool:
        """Loads the model; False if its jobs must wait. Returns True also after a failed load."""
        manager = self._manager
        if manager.is_loaded(model) or manager.must_not_retry(model):
            return True
        try:
            if not manager.evict_until_fits(model, busy):
                return False
            self._observer.on_work(self._jobs_of(model), is_warmup=True)
            manager.load(model)
        except Exception as error:  # a model's code may raise anything
            log_failure(f"cannot load model {model}: {manager.describe(model, error)}", error)
        manager.free_failed()
        return True
