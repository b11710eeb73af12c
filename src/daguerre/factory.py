"""The composition root: builds engines from the settings and the catalog.

Importing it loads neither a model nor a runtime.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from daguerre.errors import DaguerreError, SettingsError, one_line
from daguerre.model_factory import build_models, build_servable_models, log_unexpected
from daguerre.models.unavailable_model import UnavailableModel, unavailable_info

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.job import WorkObserver
    from daguerre.engine.pipeline import Model
    from daguerre.engine.reloadable_engine import ReloadableEngine
    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.engine.workers.process_engine import ProcessEngine
    from daguerre.models.catalog import Catalog
    from daguerre.models.summary import ModelSummary
    from daguerre.params import ModelInfo


def read_catalog(settings: Settings) -> Catalog:
    """The catalog that the settings name."""
    from daguerre.models import catalog

    return catalog.read(settings.catalog, settings.data_dir())


def choose_model(settings: Settings, name: str | None, base: str | None = None) -> Catalog:
    """A catalog of one model: a model ID, or the path or repository of a checkpoint.

    Without a name, the catalog's default model. `base` has what a single file lacks.
    """
    from daguerre.models import catalog

    return catalog.choose(settings.catalog, settings.data_dir(), name, base)


def catalog_of_checkpoints(
    settings: Settings, names: Sequence[str], base: str | None = None
) -> Catalog:
    """A catalog of checkpoints, by paths or repositories, without a file."""
    from daguerre.models import catalog

    return catalog.of_checkpoints(names, settings.data_dir(), base)


def summarize_catalog(settings: Settings, catalog: Catalog | None = None) -> list[ModelSummary]:
    """A summary of each model, by default of the settings' catalog. Needs no extra."""
    catalog = catalog or read_catalog(settings)
    return [_summarize_config(settings, catalog, name) for name in catalog.models]


def _summarize_config(settings: Settings, catalog: Catalog, name: str) -> ModelSummary:
    checkpoint = catalog.checkpoints.get(name)
    if checkpoint and not checkpoint.is_downloaded:
        hint = f"{checkpoint.pin}, not downloaded; run: daguerre pull {name}"
        return _faulty(unavailable_info(name), hint)
    only = catalog.only(name)
    try:
        (summary,) = summarize_models(settings, build_models(settings, only))
    except Exception as error:  # a checkpoint may be damaged in any way
        log_unexpected(name, error)
        return _faulty(unavailable_info(name), _cannot_be_served(error))
    try:
        only.check_loadable()
    except SettingsError as error:  # an extra is not installed
        return replace(summary, fault=_cannot_be_served(error))
    return summary


def summarize_models(settings: Settings, models: Iterable[Model]) -> list[ModelSummary]:
    """A summary of each model. Loads no weights.

    The `fault` of a model that could not be built says why.
    """
    return [_summarize(settings, model) for model in models]


def _summarize(settings: Settings, model: Model) -> ModelSummary:
    from daguerre.models.embedded.model import EmbeddedModel
    from daguerre.models.summary import summarize_bundled, summarize_checkpoint

    if isinstance(model, UnavailableModel):
        return _faulty(model.info, _cannot_be_served(model.error))
    if isinstance(model, EmbeddedModel):
        return summarize_bundled(model, settings.embedded_precision)
    from daguerre.models.diffusers.model import DiffusersModel

    assert isinstance(model, DiffusersModel)
    try:
        return summarize_checkpoint(model)
    except Exception as error:  # a checkpoint may be damaged in any way
        log_unexpected(model.info.id, error)
        return _faulty(model.info, _cannot_be_served(error))


def _faulty(info: ModelInfo, fault: str) -> ModelSummary:
    from daguerre.models.summary import ModelSummary

    return ModelSummary(replace(info, description=fault), fault=fault)


def _cannot_be_served(error: Exception) -> str:
    reason = str(error) if isinstance(error, DaguerreError) else one_line(error)
    return f"cannot be served: {' '.join(reason.split())}"


def build_engine(settings: Settings, catalog: Catalog) -> ThreadEngine:
    """An engine in a thread of this process, not started. It uses all threads, without workers."""
    return _build_thread_engine(settings, build_servable_models(settings, catalog))


@contextmanager
def open_engine(
    settings: Settings,
    catalog: Catalog,
    models: Sequence[Model],
    read_catalog: Callable[[], Catalog],
) -> Iterator[ReloadableEngine]:
    """An engine in worker processes, which begin to load the models before it is yielded.

    `settings` are those of `resolve`, `models` those of `build_first_models`. `read_catalog` reads
    the catalog again, for a reload.
    """
    from daguerre.engine.reloadable_engine import NewEngine, ReloadableEngine

    def build() -> NewEngine:
        new = read_catalog()
        new.check_loadable()
        models = build_models(settings, new)
        return NewEngine(process_engine(settings, new, models), _fit(models, settings.workers))

    first = process_engine(settings, catalog, models)
    engine = ReloadableEngine(first, build)
    first.prestart()
    try:
        yield engine
    finally:
        engine.close()


def process_engine(settings: Settings, catalog: Catalog, models: Sequence[Model]) -> ProcessEngine:
    """An engine in worker processes, not started."""
    from daguerre.engine.workers.process_engine import ProcessEngine

    for_workers, workers = settings.without_secrets(), range(settings.workers)
    infos = {model.info.id: model.info for model in models}
    return ProcessEngine(
        [partial(_build_in_worker, for_workers, catalog, infos, worker) for worker in workers],
        list(infos.values()),
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        hang_timeout_s=settings.worker_hang_timeout_s,
        model_load_timeout_s=settings.model_load_timeout_s,
        log_level=logging.getLevelNamesMapping()[settings.log_level.upper()],
    )


def _fit(models: Sequence[Model], num_workers: int) -> bool:
    """Whether free memory suffices for the models of all workers, besides those in memory."""
    from daguerre import memory
    from daguerre.engine.pipeline import EvictableModel

    needed: Counter[str] = Counter()
    checkpoints = {one.weights_key: one for one in models if isinstance(one, EvictableModel)}
    for model in checkpoints.values():
        needed[str(model.device)] += model.num_bytes if model.preload else 0
    needed["cpu"] += sum(one.num_bytes for one in models if not isinstance(one, EvictableModel))
    needed["cpu"] *= num_workers
    free = {
        device: memory.free_bytes() if device == "cpu" else memory.free_gpu_bytes(device) or 0
        for device in needed
    }
    return all(needed[device] <= free[device] for device in needed)


def resolve(settings: Settings, catalog: Catalog) -> Settings:
    """The settings with the catalog's file and with each worker's number of threads."""
    from daguerre.engine.workers.cpu_affinity import threads_per_worker

    num_threads = threads_per_worker(settings.workers, settings.threads_per_worker)
    file = catalog.file if catalog.file and os.path.exists(catalog.file) else None
    return replace(settings, catalog=file, threads_per_worker=num_threads)


def _build_thread_engine(
    settings: Settings, models: Sequence[Model], observer: WorkObserver | None = None
) -> ThreadEngine:
    from daguerre.engine.batching.certificates import FILE_NAME
    from daguerre.engine.thread_engine import ThreadEngine

    return ThreadEngine(
        models,
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        certificates=settings.data_dir() / FILE_NAME,
        observer=observer,
    )


def _build_in_worker(
    settings: Settings,
    catalog: Catalog,
    infos: Mapping[str, ModelInfo],
    worker: int,
    observer: WorkObserver,
) -> ThreadEngine:
    """Runs in the worker process."""
    from daguerre.engine.workers.cpu_affinity import pin_to_cpu_share

    pin_to_cpu_share(worker, settings.workers, settings.threads_per_worker)
    models = build_servable_models(settings, catalog, worker, infos)
    return _build_thread_engine(settings, models, observer)
