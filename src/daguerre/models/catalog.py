"""The catalog (`daguerre.toml`): the model IDs to serve, and the configuration of each.

`read` validates the whole file before anything is loaded. A `SettingsError` names the file, the
table, the key, the value and what is allowed. The modules of checkpoints are imported on first use,
because a server of the bundled model alone needs none.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from daguerre.errors import NotFoundError, SettingsError
from daguerre.validation import Validator, check_keys, check_table, enum, suggestion

if TYPE_CHECKING:
    from daguerre.models.checkpoint_table import CheckpointConfig
    from daguerre.models.diffusers.hub import PinnedRevision

DEFAULT_MODEL = "stable-image-ultra"
FILE_NAME = "daguerre.toml"
_EXTRA = ("torch", "diffusers", "transformers", "accelerate", "greenlet", "safetensors")


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """The bundled model."""


ModelConfig: TypeAlias = "EmbeddedConfig | CheckpointConfig"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Model ID -> configuration, in the order of `file`. Picklable.

    `file` is None if the models are checkpoints that the user named one by one.
    """

    file: Path | None
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
            if not isinstance(config, EmbeddedConfig)
        }

    @property
    def extra_sizes(self) -> dict[str, tuple[str, ...]]:
        """Model ID -> the sizes that it accepts besides those of every model."""
        return {model: config.serving.extra_sizes for model, config in self.checkpoints.items()}

    @property
    def pinned_revisions(self) -> dict[str, PinnedRevision]:
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
        if not checkpoints:
            return
        from daguerre.models.diffusers import quantization
        from daguerre.models.diffusers.adapters import lora

        _check_extra("of diffusers", "diffusers", *_EXTRA)
        methods = {config.pipeline.quantization for config in checkpoints.values()}
        if libraries := {quantization.library(method) for method in methods if method}:
            extras = "diffusers,quantization"
            _check_extra("with quantization", extras, *sorted(libraries))
        if any(config.pipeline.loras for config in checkpoints.values()):
            _check_extra("with loras", "diffusers", lora.LIBRARY)
        for model, config in checkpoints.items():
            if not config.is_downloaded:
                raise SettingsError(
                    f"{self.file}, models.{model}: {config.pin} is not downloaded;"
                    f" run: daguerre pull {model}"
                )


def of_checkpoints(names: Sequence[str], data_dir: Path, base: str | None = None) -> Catalog:
    """A catalog of the checkpoints that a user names, such as paths, without a file.

    `base` has what single files lack. Raises `SettingsError` if a checkpoint does not exist, or two
    have the same model ID.
    """
    from daguerre.models.checkpoint_table import CheckpointConfig
    from daguerre.models.diffusers import location
    from daguerre.models.diffusers.library_errors import naming_key
    from daguerre.models.diffusers.pipeline_config import PipelineConfig
    from daguerre.models.diffusers.serving_options import ServingOptions

    found = {name: location.find(name, data_dir) for name in names}
    if base is not None and not any(each.path.is_file() for each in found.values()):
        raise SettingsError(
            f"base is {base!r}, but {', '.join(names)} is not a single file; base has what a single"
            " file lacks; remove it"
        )
    with naming_key("base"):
        base_path = None if base is None else location.find(base, data_dir).path
    given: dict[str, str] = {}
    models: dict[str, ModelConfig] = {}
    for name, one in found.items():
        if (other := given.setdefault(one.model_id, name)) != name:
            raise SettingsError(
                f"{other} and {name} both get the model ID {one.model_id!r}; rename one of them, or"
                " add it to the catalog with another ID: daguerre models add PATH --id ID"
            )
        pipeline = PipelineConfig(one.path, base_path if one.path.is_file() else None)
        serving = ServingOptions(name=one.full_name)
        models[one.model_id] = CheckpointConfig(pipeline, serving, one.pin)
    return Catalog(None, models)


def choose(file: Path | None, data_dir: Path, name: str | None, base: str | None = None) -> Catalog:
    """A catalog of one model: a model ID of `read`, by default its default, or a checkpoint.

    Raises `NotFoundError` if the name is neither.
    """
    served = read(file, data_dir)
    name = served.default_model if name is None else name
    if name not in served.models:
        from daguerre.models.diffusers import location

        if location.is_location(name):
            return of_checkpoints([name], data_dir, base)
    if base is not None:
        raise SettingsError(
            f"base is {base!r}, but {name!r} is not a path; base is for single files; remove it"
        )
    return served.only(name)


def read(file: Path | None, data_dir: Path) -> Catalog:
    """Reads `file`, or the data directory's; without either, the bundled model is the only one."""
    path = file or path_in(data_dir)
    if file is None and not os.path.exists(path):
        return Catalog(path, {DEFAULT_MODEL: EmbeddedConfig()})
    return parse(path, data_dir, read_text(path))


def path_in(data_dir: Path) -> Path:
    """The catalog of a data directory."""
    return data_dir / FILE_NAME


def parse(file: Path, data_dir: Path, text: str) -> Catalog:
    """The catalog with this text; `file` names it in errors, and relative paths start there."""
    content = _parse_toml(file, text)
    check_keys(str(file), content, {"models"})
    tables = content.get("models")
    if not isinstance(tables, dict) or not tables:
        raise SettingsError(f'{file} names no model; add a table such as [models."my-model"]')
    return Catalog(file, {name: _parse(file, data_dir, name, tables[name]) for name in tables})


def read_text(file: Path) -> str:
    """The text with its line ends. Raises `SettingsError` if it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"cannot read the catalog {file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"the catalog {file} is not UTF-8 from byte {error.start}; save it as UTF-8"
        ) from None


def _check_extra(models: str, extras: str, *libraries: str) -> None:
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"models {models} need {', '.join(missing)}, which cannot be imported; install them:"
            f" pip install 'daguerre[{extras}]'"
        )


def _parse_toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise SettingsError(f"the catalog {file} is not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"the catalog {file} is nested too deeply; no key is nested") from None


_SOURCE = enum("embedded", "diffusers")
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
    source = table.get("source")
    if not _SOURCE.accepts(source):
        fault = f"is {source!r}" if "source" in table else "is missing"
        raise SettingsError(f"{where}: source {fault}; it must be {_SOURCE.rule}")
    if source == "embedded":
        check_table(where, table, {"source": _SOURCE})
        return EmbeddedConfig()
    from daguerre.models import checkpoint_table

    check_table(where, table, {"source": _SOURCE, **checkpoint_table.KEYS})
    return checkpoint_table.parse(file.parent, data_dir, where, table)
