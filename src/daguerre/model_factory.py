"""Builds models from the settings and the catalog, without loading them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

from daguerre.errors import SettingsError
from daguerre.models.unavailable_model import UnavailableModel, unavailable_info

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.pipeline import Model
    from daguerre.models.catalog import Catalog, ModelConfig
    from daguerre.models.checkpoint_table import CheckpointConfig
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
    from daguerre.models.diffusers.pipeline_config import PipelineConfig
    from daguerre.params import ModelInfo

logger = logging.getLogger(__name__)


def build_first_models(settings: Settings, catalog: Catalog) -> list[Model]:
    """The models with which a server starts, not loaded.

    A model of a file may be an `UnavailableModel`. Raises `SettingsError` for the first checkpoint
    that the user named and that cannot be built.
    """
    if catalog.file is not None:
        return build_servable_models(settings, catalog)
    catalog.check_loadable()
    return build_models(settings, catalog)


def build_models(settings: Settings, catalog: Catalog) -> list[Model]:
    """The models of the catalog, not loaded. Raises `SettingsError` if one cannot be built."""
    build = _model_builder(settings)
    return [build(name, config) for name, config in catalog.models.items()]


def check_models(settings: Settings, catalog: Catalog) -> None:
    """Raises `SettingsError` if a checkpoint cannot be loaded, as far as it shows without reading
    its weights."""
    from daguerre.models.diffusers.model import DiffusersModel

    catalog.check_loadable()
    for model in build_models(settings, catalog):
        if isinstance(model, DiffusersModel):
            model.check()


def build_servable_models(
    settings: Settings,
    catalog: Catalog,
    worker: int = 0,
    expected: Mapping[str, ModelInfo] | None = None,
) -> list[Model]:
    """Like `build_models`, but a model that cannot be built becomes an `UnavailableModel`.

    So does one that differs from the model that the server `expected`. Without it, raises the first
    error if no model is left.
    """
    build = _model_builder(settings, worker)

    def try_to_build(name: str, config: ModelConfig) -> Model:
        info = expected[name] if expected else unavailable_info(name)
        try:
            catalog.only(name).check_loadable()
            model = build(name, config)
        except Exception as error:  # a checkpoint may be damaged in any way
            log_unexpected(name, error)
            return UnavailableModel(info, error)
        if expected and model.info != info:
            text = f"model {name!r} has changed since the server started; reload the catalog"
            return UnavailableModel(info, SettingsError(text))
        return model

    models = [try_to_build(name, config) for name, config in catalog.models.items()]
    errors = [model.error for model in models if isinstance(model, UnavailableModel)]
    if len(errors) == len(models) and not expected:
        raise errors[0]
    return models


def _model_builder(settings: Settings, worker: int = 0) -> Callable[[str, ModelConfig], Model]:
    """Builds models. Workers on GPUs each use the device of their number."""
    from daguerre.models.catalog import EmbeddedConfig
    from daguerre.models.embedded.model import EmbeddedModel

    build_checkpoint = cache(partial(_checkpoint_builder, settings, worker))

    def build(name: str, config: ModelConfig) -> Model:
        if not isinstance(config, EmbeddedConfig):
            return build_checkpoint()(name, config)
        return EmbeddedModel(
            name,
            num_threads=settings.threads_per_worker,
            precision=settings.embedded_precision,
            num_inference_steps=settings.embedded_steps,
        )

    return build


def _checkpoint_builder(
    settings: Settings, worker: int
) -> Callable[[str, CheckpointConfig], Model]:
    """Model IDs with equal `PipelineConfig`s share one `LoadedCheckpoint`."""
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
    from daguerre.models.diffusers.model import DiffusersModel
    from daguerre.models.diffusers.shared_components import SharedComponents
    from daguerre.storage.artifact_cache import DIR_NAME, ArtifactCache
    from daguerre.storage.file_digests import FILE_NAME, FileDigests

    num_threads, data_dir = settings.threads_per_worker, settings.data_dir()
    artifacts = ArtifactCache(data_dir / DIR_NAME, settings.artifact_cache_max_bytes)
    file_digests, shared = FileDigests(data_dir / FILE_NAME), SharedComponents()

    @cache
    def checkpoint(config: PipelineConfig) -> LoadedCheckpoint:
        return LoadedCheckpoint(config, num_threads, worker, artifacts, file_digests, shared)

    def build(name: str, config: CheckpointConfig) -> Model:
        serving = config.serving.with_idle_unload_s(settings.idle_unload_s)
        return DiffusersModel(name, checkpoint(config.pipeline), serving)

    return build


def log_unexpected(name: str, error: Exception) -> None:
    """Logs the traceback of an error that no checkpoint explains."""
    from daguerre.engine.model_manager import is_expected

    if not is_expected(error):
        logger.error("cannot build model %s", name, exc_info=error)
