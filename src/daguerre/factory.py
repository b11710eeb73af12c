"""The composition root: builds models and engines from the settings and the catalog.

The only module that imports both the engine and the models. Importing it loads neither a model nor
a runtime.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from daguerre.params import ModelInfo

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.interface import Engine
    from daguerre.engine.job import WorkObserver
    from daguerre.engine.pipeline import Model
    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.models.catalog import Catalog
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint, PipelineConfig


def read_catalog(settings: Settings) -> Catalog:
    """The catalog that the settings name."""
    from daguerre.models import catalog

    return catalog.read(settings.catalog, settings.data_dir())


def list_models(settings: Settings) -> list[ModelInfo]:
    """The catalog's models, for listings. Checkpoints and extras may be missing."""
    catalog = read_catalog(settings)
    return [_model_info(settings, catalog, name) for name in catalog.models]


def _model_info(settings: Settings, catalog: Catalog, name: str) -> ModelInfo:
    checkpoint = catalog.checkpoints.get(name)
    if checkpoint and not checkpoint.is_downloaded:
        hint = f"{checkpoint.pin}, not downloaded; run: daguerre models pull {name}"
        return ModelInfo(name, weights_sha256="", created=0, description=hint)
    return build_models(settings, catalog.only(name))[0].info


def build_models(settings: Settings, catalog: Catalog, worker: int = 0) -> list[Model]:
    """The models of the catalog, not loaded. Workers on GPUs each use the device of their number.

    Model IDs with equal `PipelineConfig`s share one `LoadedCheckpoint`.
    """
    from daguerre.models.catalog import CheckpointConfig, ModelConfig
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
    from daguerre.models.diffusers.model import DiffusersModel
    from daguerre.models.embedded.model import EmbeddedModel
    from daguerre.storage.artifact_cache import DIR_NAME, ArtifactCache

    num_threads = settings.threads_per_worker
    artifacts = ArtifactCache(settings.data_dir() / DIR_NAME, settings.artifact_cache_max_bytes)

    @cache
    def checkpoint(config: PipelineConfig) -> LoadedCheckpoint:
        return LoadedCheckpoint(config, num_threads, worker, artifacts)

    def build(name: str, config: ModelConfig) -> Model:
        if isinstance(config, CheckpointConfig):
            return DiffusersModel(name, checkpoint(config.pipeline), config.serving)
        return EmbeddedModel(
            name,
            num_threads=num_threads,
            precision=settings.embedded_precision,
            num_inference_steps=settings.embedded_steps,
        )

    return [build(name, config) for name, config in catalog.models.items()]


def build_engine(settings: Settings, catalog: Catalog) -> ThreadEngine:
    """An engine in a thread of this process, not started. It uses all threads, without workers."""
    catalog.check_loadable()
    return _build_thread_engine(settings, catalog)


@contextmanager
def open_engine(settings: Settings, catalog: Catalog) -> Iterator[Engine]:
    """An engine in worker processes, which begin to load the models before it is yielded.

    `settings` are those of `resolve`.
    """
    from daguerre.engine.workers.process_engine import ProcessEngine

    catalog.check_loadable()
    for_workers, workers = settings.without_secrets(), range(settings.workers)
    engine = ProcessEngine(
        [partial(_build_in_worker, for_workers, catalog, worker) for worker in workers],
        [model.info for model in build_models(settings, catalog)],
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


def resolve(settings: Settings, catalog: Catalog) -> Settings:
    """The settings with the catalog's file and with each worker's number of threads."""
    from daguerre.engine.workers.cpu_affinity import threads_per_worker

    num_threads = threads_per_worker(settings.workers, settings.threads_per_worker)
    file = catalog.file if catalog.file.exists() else None
    return replace(settings, catalog=file, threads_per_worker=num_threads)


def _build_thread_engine(
    settings: Settings, catalog: Catalog, worker: int = 0, observer: WorkObserver | None = None
) -> ThreadEngine:
    from daguerre.engine.batching.certificates import FILE_NAME
    from daguerre.engine.thread_engine import ThreadEngine

    return ThreadEngine(
        build_models(settings, catalog, worker),
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        certificates=settings.data_dir() / FILE_NAME,
        observer=observer,
    )


def _build_in_worker(
    settings: Settings, catalog: Catalog, worker: int, observer: WorkObserver
) -> ThreadEngine:
    """Runs in the worker process."""
    from daguerre.engine.workers.cpu_affinity import pin_to_cpu_share

    pin_to_cpu_share(worker, settings.workers, settings.threads_per_worker)
    return _build_thread_engine(settings, catalog, worker, observer)
