"""The composition root: builds the engine that the settings describe.

The only module that imports both the engine and the models. `build_engine` runs the engine in this
process, `process_engine` in worker processes. Importing this module loads no model and no runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.job import WorkObserver
    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.engine.workers.process_engine import ProcessEngine

__all__ = ["build_engine", "process_engine"]


def build_engine(
    settings: Settings, only: str = "", before_work: WorkObserver | None = None, worker: int = 0
) -> ThreadEngine:
    """Of all models of the catalog, or of `only` one; that of the worker with this number."""
    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.models import catalog

    return ThreadEngine(
        catalog.models(settings, only, worker),
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        certificates=settings.data_dir() / "certificates.json",
        before_work=before_work,
    )


@contextmanager
def process_engine(settings: Settings) -> Iterator[ProcessEngine]:
    """Its processes have begun to load when it is yielded."""
    import functools
    import logging
    from dataclasses import replace

    from daguerre.engine.workers.cpu_affinity import threads_per_worker
    from daguerre.engine.workers.process_engine import ProcessEngine
    from daguerre.models import catalog

    # The engine's processes need no database, so they do not learn how to open it.
    num_threads = threads_per_worker(settings.workers, settings.threads_per_worker)
    own = replace(
        settings, home=settings.data_dir(), database_url="", threads_per_worker=num_threads
    )
    engine = ProcessEngine(
        [functools.partial(_build, own, worker) for worker in range(settings.workers)],
        [model.info for model in catalog.models(settings)],
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        hang_timeout_s=settings.worker_hang_timeout_s,
        model_load_timeout_s=settings.model_load_timeout_s,
        log_level=logging.getLevelNamesMapping()[settings.log_level.upper()],
    )
    engine.prestart()
    try:
        yield engine
    finally:
        engine.close()


def _build(settings: Settings, worker: int, before_work: WorkObserver) -> ThreadEngine:
    """In the worker's process."""
    from daguerre.engine.workers.cpu_affinity import pin_to_cpu_share

    pin_to_cpu_share(worker, settings.workers, settings.threads_per_worker)
    return build_engine(settings, before_work=before_work, worker=worker)
