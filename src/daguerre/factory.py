"""The composition root: builds models and engines from the settings and the catalog.

The only module that imports both the engine and the models. Importing it loads neither a model nor
a runtime.

To add an engine backend, write its module and add one line to `BACKENDS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.interface import Engine
    from daguerre.engine.job import WorkObserver
    from daguerre.engine.pipeline import Model
    from daguerre.engine.thread_engine import ThreadEngine
    from daguerre.models.catalog import Catalog
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint, PipelineConfig
    from daguerre.params import ModelInfo


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that an engine is built from. Picklable and without secrets, for the workers."""

    catalog: Catalog
    data_dir: Path
    num_threads: int  # of each worker; 0 leaves the choice to the runtime
    num_workers: int
    embedded_precision: str
    embedded_steps: int
    artifact_cache_max_bytes: int
    max_queued_jobs: int
    max_running_jobs: int
    max_queued_prompt_bytes: int


def read_catalog(settings: Settings) -> Catalog:
    from daguerre.models import catalog

    return catalog.read(settings.catalog, settings.data_dir())


def list_models(settings: Settings) -> list[ModelInfo]:
    """The catalog's models, for listings. Checkpoints and extras may be missing."""
    config = engine_config(settings)
    return [_model_info(config, name) for name in config.catalog.models]


def _model_info(config: EngineConfig, name: str) -> ModelInfo:
    from daguerre.params import ModelInfo

    catalog = config.catalog.only(name)
    for checkpoint in catalog.checkpoints.values():
        if not checkpoint.is_downloaded:
            hint = f"{checkpoint.pin}, not downloaded; run: daguerre models pull {name}"
            return ModelInfo(name, weights_sha256="", created=0, description=hint)
    return build_models(replace(config, catalog=catalog))[0].info


def build_models(config: EngineConfig, worker: int = 0) -> list[Model]:
    """The models of the catalog, not loaded. Workers on GPUs each use the device of their number.

    Model ids with equal `PipelineConfig`s share one `LoadedCheckpoint`.
    """
    from daguerre.models.catalog import CheckpointConfig, EmbeddedConfig
    from daguerre.models.diffusers.model import DiffusersModel
    from daguerre.models.embedded.model import EmbeddedModel

    checkpoints = _build_checkpoints(config, worker)
    models: list[Model] = []
    for name, model in config.catalog.models.items():
        match model:
            case EmbeddedConfig():
                models.append(
                    EmbeddedModel(
                        name,
                        num_threads=config.num_threads,
                        precision=config.embedded_precision,
                        num_inference_steps=config.embedded_steps,
                    )
                )
            case CheckpointConfig():
                checkpoint = checkpoints[model.pipeline]
                models.append(DiffusersModel(name, checkpoint, model.serving))
    return models


def _build_checkpoints(config: EngineConfig, worker: int) -> dict[PipelineConfig, LoadedCheckpoint]:
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
    from daguerre.storage.artifact_cache import DIR_NAME, ArtifactCache

    artifacts = ArtifactCache(config.data_dir / DIR_NAME, config.artifact_cache_max_bytes)
    pipelines = dict.fromkeys(one.pipeline for one in config.catalog.checkpoints.values())
    return {
        pipeline: LoadedCheckpoint(pipeline, config.num_threads, worker, artifacts)
        for pipeline in pipelines
    }


def build_engine(settings: Settings, catalog: Catalog | None = None) -> ThreadEngine:
    """An engine in a thread of this process, not started; by default with the whole catalog."""
    config = engine_config(settings, catalog)
    config.catalog.check_loadable()
    return _build_thread_engine(config)


@contextmanager
def _thread_engine(settings: Settings) -> Iterator[Engine]:
    yield build_engine(settings)


@contextmanager
def _process_engine(settings: Settings) -> Iterator[Engine]:
    """Its worker processes begin to load the models before it is yielded."""
    from daguerre.engine.workers.process_engine import ProcessEngine

    config = engine_config(settings)
    config.catalog.check_loadable()
    engine = ProcessEngine(
        [partial(_build_in_worker, config, worker) for worker in range(config.num_workers)],
        [model.info for model in build_models(config)],
        max_queued_jobs=config.max_queued_jobs,
        max_running_jobs=config.max_running_jobs,
        max_queued_prompt_bytes=config.max_queued_prompt_bytes,
        hang_timeout_s=settings.worker_hang_timeout_s,
        model_load_timeout_s=settings.model_load_timeout_s,
        log_level=logging.getLevelNamesMapping()[settings.log_level.upper()],
    )
    engine.prestart()
    try:
        yield engine
    finally:
        engine.close()


BACKENDS: Mapping[str, Callable[[Settings], AbstractContextManager[Engine]]] = {
    "process": _process_engine,
    "thread": _thread_engine,
}


def open_engine(settings: Settings, backend: str = "process") -> AbstractContextManager[Engine]:
    """An engine with all models of the catalog, not started."""
    return BACKENDS[backend](settings)


def engine_config(settings: Settings, catalog: Catalog | None = None) -> EngineConfig:
    """The configuration of an engine; by default with the catalog that the settings name."""
    from daguerre.engine.workers.cpu_affinity import threads_per_worker

    return EngineConfig(
        catalog=catalog or read_catalog(settings),
        data_dir=settings.data_dir(),
        num_threads=threads_per_worker(settings.workers, settings.threads_per_worker),
        num_workers=settings.workers,
        embedded_precision=settings.embedded_precision,
        embedded_steps=settings.embedded_steps,
        artifact_cache_max_bytes=settings.artifact_cache_max_bytes,
        max_queued_jobs=settings.max_queued_jobs,
        max_running_jobs=settings.max_running_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
    )


def _build_thread_engine(
    config: EngineConfig, worker: int = 0, observer: WorkObserver | None = None
) -> ThreadEngine:
    from daguerre.engine.thread_engine import ThreadEngine

    return ThreadEngine(
        build_models(config, worker),
        max_queued_jobs=config.max_queued_jobs,
        max_running_jobs=config.max_running_jobs,
        max_queued_prompt_bytes=config.max_queued_prompt_bytes,
        certificates=config.data_dir / "certificates.json",
        observer=observer,
    )


def _build_in_worker(config: EngineConfig, worker: int, observer: WorkObserver) -> ThreadEngine:
    """Runs in the worker process."""
    from daguerre.engine.workers.cpu_affinity import pin_to_cpu_share

    pin_to_cpu_share(worker, config.num_workers, config.num_threads)
    return _build_thread_engine(config, worker, observer)
