"""The catalog (`daguerre.toml`): the model IDs to serve, and the configuration of each.

`read` validates the whole file before anything is loaded. A `SettingsError` names the file, the
table, the key, the value and what is allowed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from daguerre.errors import NotFoundError, SettingsError
from daguerre.models import checkpoint_table
from daguerre.models.checkpoint_table import CheckpointConfig
from daguerre.models.diffusers import hub, quantization
from daguerre.models.diffusers.component_files import WEIGHTS
from daguerre.models.diffusers.loaded_pipeline import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.validation import Validator, check_keys, check_table, enum, suggestion

DEFAULT_MODEL = "stable-image-ultra"
FILE_NAME = "daguerre.toml"
_EXTRA = ("torch", "diffusers", "transformers", "accelerate", "greenlet", "safetensors")


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """The bundled model."""


ModelConfig: TypeAlias = EmbeddedConfig | CheckpointConfig


@dataclass(frozen=True, slots=True)
class Catalog:
    """Model ID -> configuration, in the order of `file`. Picklable."""

    file: Path
    models: Mapping[str, ModelConfig]

    @property
    def default_model(self) -> str:
        """The usual model ID if the catalog has it, otherwise the first."""
        return DEFAULT_MODEL if DEFAULT_MODEL in self.models else next(iter(self.models))

    @property
    def checkpoints(self) -> dict[str, CheckpointConfig]:
        return {
            model: config
            for model, config in self.models.items()
            if isinstance(config, CheckpointConfig)
        }

    @property
    def extra_sizes(self) -> dict[str, tuple[str, ...]]:
        """Model ID -> the sizes that it accepts besides those of every model."""
        return {model: config.serving.extra_sizes for model, config in self.checkpoints.items()}

    @property
    def pinned_revisions(self) -> dict[str, hub.PinnedRevision]:
        """Model ID -> commit, for the checkpoints of a hub."""
        return {model: config.pin for model, config in self.checkpoints.items() if config.pin}

    def only(self, model: str) -> Catalog:
        """A catalog of one model. Raises `NotFoundError` for an unknown ID."""
        if model not in self.models:
            hint = suggestion(model, self.models) or f"; models: {', '.join(self.models)}"
            raise NotFoundError(f"the catalog has no model {model!r}{hint}", param="model")
        return Catalog(self.file, {model: self.models[model]})

    def check_loadable(self) -> None:
        """Raises `SettingsError` if an extra is not installed or a checkpoint not downloaded."""
        checkpoints = self.checkpoints
        if checkpoints:
            self._check_extra("of diffusers", "diffusers", *_EXTRA)
        if any(config.pipeline.quantization for config in checkpoints.values()):
            extras = "diffusers,quantization"
            self._check_extra("with quantization", extras, quantization.LIBRARY)
        for model, config in checkpoints.items():
            if not config.is_downloaded:
                raise SettingsError(
                    f"{self.file}, models.{model}: {config.pin} is not downloaded;"
                    f" run: daguerre models pull {model}"
                )

    def _check_extra(self, models: str, extras: str, *libraries: str) -> None:
        missing = [name for name in libraries if importlib.util.find_spec(name) is None]
        if missing:
            raise SettingsError(
                f"{self.file} has models {models}, but {', '.join(missing)} cannot be imported;"
                f" install them: pip install 'daguerre[{extras}]'"
            )


def checkpoint_catalog(path: Path) -> Catalog:
    """A catalog of one checkpoint, whose model ID is the name of its directory or file."""
    name = path.resolve().name.removesuffix(WEIGHTS)
    config = CheckpointConfig(PipelineConfig(path), ServingOptions(name=name))
    return Catalog(path, {name: config})


def read(file: Path | None, data_dir: Path) -> Catalog:
    """Reads `file`, or the data directory's; without either, the bundled model is the only one."""
    path = file or data_dir / FILE_NAME
    if file is None and not os.path.exists(path):
        return Catalog(path, {DEFAULT_MODEL: EmbeddedConfig()})
    content = _read_toml(path)
    check_keys(str(path), content, {"models"})
    tables = content.get("models")
    if not isinstance(tables, dict) or not tables:
        raise SettingsError(f'{path} names no model; add a table such as [models."my-model"]')
    return Catalog(path, {name: _parse(path, data_dir, name, tables[name]) for name in tables})


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"cannot read the catalog {file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"the catalog {file} is not UTF-8 from byte {error.start}; save it as UTF-8"
        ) from None
    except ValueError as error:
        raise SettingsError(f"the catalog {file} is not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"the catalog {file} is nested too deeply; no key is nested") from None


# Source -> the keys of its tables.
SOURCES: Mapping[str, Mapping[str, Validator]] = {
    "embedded": {},
    "diffusers": checkpoint_table.KEYS,
}
_MODEL_ID = Validator(
    "1 to 200 printable characters without spaces",
    lambda value: value.isprintable() and bool(re.fullmatch(r"\S{1,200}", value)),
)


def _parse(file: Path, data_dir: Path, model: str, table: object) -> ModelConfig:
    where = f"{file}, models.{model}"
    if not isinstance(table, dict):
        raise SettingsError(f"{where} is {table!r}; it must be a table")
    if not _MODEL_ID.accepts(model):
        raise SettingsError(f"{where}: a model ID must be {_MODEL_ID.rule}")
    source, sources = table.get("source"), enum(*SOURCES)
    if not sources.accepts(source):
        fault = f"is {source!r}" if "source" in table else "is missing"
        raise SettingsError(f"{where}: source {fault}; it must be {sources.rule}")
    check_table(where, table, {"source": sources, **SOURCES[str(source)]})
    if source == "embedded":
        return EmbeddedConfig()
    return checkpoint_table.parse(file.parent, data_dir, where, table)
