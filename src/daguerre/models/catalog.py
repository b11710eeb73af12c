"""Which model ids are served, and what serves them: `daguerre.toml`, or the model in the box alone.

The file's tables are read into models that are not loaded yet. Whatever it holds is checked here,
before anything is loaded: a `SettingsError` names the file, the table, the key and what is allowed.
"""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import NotFoundError, SettingsError
from daguerre.models.diffusers import caches, checkpoint, hub, quantization
from daguerre.models.diffusers.executors.registry import EXECUTORS, required_device
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DTYPES, LOADS, DiffusersModel, ServingOptions
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.params import BATCHING_MODES, ModelInfo
from daguerre.storage.artifact_cache import DIR_NAME, ArtifactCache
from daguerre.validation import (
    Table,
    Validator,
    boolean,
    check_keys,
    check_table,
    check_with,
    enum,
    float_range,
    int_range,
)

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.pipeline import Model

DEFAULT_MODEL = "stable-image-ultra"
FILE_NAME = "daguerre.toml"
_IN_THE_BOX = {DEFAULT_MODEL: {"source": "embedded"}}
_EXTRA = ("torch", "diffusers", "transformers", "accelerate", "greenlet", "safetensors")
_MAX_STEPS, _MAX_GUIDANCE, _MAX_ROWS = 200, 100.0, 256
_MAX_ID_CHARACTERS = 200


def models(settings: Settings, only: str = "", worker: int = 0) -> Sequence[Model]:
    """Every model that this server offers, or `only` one, not yet loaded; as the worker with this
    number serves them, where several share the devices."""
    where, tables = _tables(settings)
    if only:
        if only not in tables:
            served = ", ".join(tables)
            raise NotFoundError(f"model {only!r} is not served; served: {served}", param="model")
        tables = {only: tables[only]}
    _check_extras(where, tables.values())
    return _models(settings, where, tables, worker)


def available(settings: Settings) -> tuple[ModelInfo, ...]:
    """What can be served, for listings; the extra need not be installed for that."""
    where, tables = _tables(settings)
    pins = pinned(settings)
    away = {name: pin for name, pin in pins.items() if not _folder_of(settings, pin).is_dir()}
    here = {name: table for name, table in tables.items() if name not in away}
    infos = {model.info.model: model.info for model in _models(settings, where, here)}
    for name, pin in away.items():
        description = f"{pin}, not here yet: daguerre models pull {name}"
        infos[name] = ModelInfo(name, weights_sha256="", created=0, description=description)
    return tuple(infos[name] for name in tables)


def pinned(settings: Settings) -> Mapping[str, hub.PinnedRevision]:
    """Model id -> the state of a repository that it is, for those of a hub."""
    _, tables = _tables(settings)
    return {
        name: hub.PinnedRevision(table["repository"], table["revision"])
        for name, table in tables.items()
        if "repository" in table
    }


def default_model(settings: Settings) -> str:
    """The one whose resource is made at the first start: the usual id, or the catalog's first."""
    _, tables = _tables(settings)
    return DEFAULT_MODEL if DEFAULT_MODEL in tables else next(iter(tables))


def _tables(settings: Settings) -> tuple[Path, Mapping[str, Table]]:
    """The catalog's file, and model id -> table, each with a `source` and no key of another."""
    file = settings.catalog or settings.data_dir() / FILE_NAME
    if settings.catalog is None and not os.path.exists(file):
        return file, _IN_THE_BOX
    content = _read(file)
    check_keys(str(file), content, {"models"})
    tables = content.get("models")
    if not isinstance(tables, dict) or not tables:
        raise SettingsError(f'{file} names no model; it needs a table such as [models."my-model"]')
    for name, table in tables.items():
        _check_table(file, name, table)
    return file, tables


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"the catalog {file} cannot be read: {error.strerror or error}"
        ) from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise SettingsError(f"the catalog {file} is not TOML: {error}") from None


def _check_table(file: Path, name: str, table: object) -> None:
    where = f"{file}, models.{name}"
    if not isinstance(table, dict):
        raise SettingsError(f"{where} is {table!r}; it must be a table")
    is_word = name.isprintable() and not any(character.isspace() for character in name)
    if not (is_word and 1 <= len(name) <= _MAX_ID_CHARACTERS):
        raise SettingsError(
            f"{where}: a model id is 1 to {_MAX_ID_CHARACTERS} printable characters without spaces"
        )
    source = table.get("source")
    if not isinstance(source, str) or source not in _SOURCES:
        given = f"is {source!r}" if "source" in table else "is missing"
        raise SettingsError(f"{where}: source {given}; it must be one of {', '.join(_SOURCES)}")
    check_table(where, table, {"source": enum(*_SOURCES), **_SOURCES[source]})
    if source == "diffusers":
        _check_place(where, table)
        if "cache" in table:
            _check_cache(where, table)
        if "quantization" in table:
            quantization.check(where, table)
        _check_device(where, table)


def _check_place(where: str, table: Table) -> None:
    """A checkpoint is a folder, or one state of a repository."""
    if ("folder" in table) == ("repository" in table):
        given = "both are given" if "folder" in table else "neither is given"
        raise SettingsError(
            f"{where}: {given}, and it must be one: folder, which is {_FOLDER}, or repository with"
            " revision"
        )
    if ("repository" in table) != ("revision" in table):
        raise SettingsError(
            f"{where}: revision goes with repository, and must be {hub.REVISION.rule}"
        )


def _check_cache(where: str, table: Table) -> None:
    """Its hooks are torch's, and remember one request: neither is run otherwise, nor shared."""
    caches.read(f"{where}, cache", table["cache"])
    allowed = {"executor": ("auto", "eager"), "max_rows": (1,), "mode": ("exact",)}
    for key, values in allowed.items():
        check_with(where, table, "cache", key, values)


def _check_device(where: str, table: Table) -> None:
    """What is only there on one kind of device, or changes nothing, is not asked for."""
    device, dtype = table.get("device", "cpu"), table.get("dtype", DTYPES[0])
    executor = table.get("executor", "auto")
    kind = required_device(executor)
    if kind is not None and device.partition(":")[0] != kind:
        raise SettingsError(
            f"{where}: executor is {executor!r}, which needs device {kind!r}; it is {device!r}"
        )
    if table.get("tf32") and (device == "cpu" or dtype != "float32"):
        raise SettingsError(
            f"{where}: tf32 is true, which needs device 'cuda' and dtype 'float32'; they are"
            f" {device!r} and {dtype!r}"
        )


def _is_device(value: Any) -> bool:
    kind, colon, index = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon:
        return kind in ("cpu", "cuda")
    return kind == "cuda" and index.isascii() and index.isdigit() and len(index) <= 3


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


_FOLDER = "the path of a folder in diffusers format"
# Source -> its keys, each with its check and with what it must be.
_SOURCES: Mapping[str, Mapping[str, Validator]] = {
    "embedded": {},
    "diffusers": {
        "folder": Validator(_FOLDER, _is_text),
        "repository": hub.REPOSITORY,
        "revision": hub.REVISION,
        "dtype": enum(*DTYPES),
        "device": Validator('"cpu", "cuda" or one of several, such as "cuda:1"', _is_device),
        "steps": int_range(1, _MAX_STEPS),
        "executor": enum(*EXECUTORS),
        "tf32": boolean,
        "mode": enum(*BATCHING_MODES),
        "guidance": float_range(0, _MAX_GUIDANCE),
        "max_rows": int_range(1, _MAX_ROWS),
        "cache": Validator(caches.WORDS, _is_table),
        "quantization": enum(*quantization.METHODS),
        "load": enum(*LOADS),
        "name": Validator("a text of printable characters", _is_text),
    },
}


def _check_extras(where: Path, tables: Iterable[Table]) -> None:
    kinds = [table for table in tables if table["source"] == "diffusers"]
    if kinds:
        _check_extra(where, "in diffusers format", "diffusers", _EXTRA)
    if any("quantization" in table for table in kinds):
        _check_extra(where, "with quantization", "diffusers,quantization", (quantization.LIBRARY,))


def _check_extra(where: Path, models: str, extra: str, libraries: Sequence[str]) -> None:
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"{where} has models {models}, but {', '.join(missing)} cannot be imported;"
            f" install them: pip install 'daguerre[{extra}]'"
        )


def _models(
    settings: Settings, where: Path, tables: Mapping[str, Table], worker: int = 0
) -> tuple[Model, ...]:
    stocks: dict[Hashable, LoadedCheckpoint] = {}
    store = ArtifactCache(settings.data_dir() / DIR_NAME, settings.artifact_cache_max_bytes)
    return tuple(
        _diffusers(settings, where, name, table, stocks, store, worker)
        if table["source"] == "diffusers"
        else _embedded(settings, name)
        for name, table in tables.items()
    )


def _embedded(settings: Settings, name: str) -> Model:
    return EmbeddedModel(
        name,
        folder=WEIGHTS,
        num_threads=settings.threads_per_worker,
        precision=settings.embedded_precision,
        num_inference_steps=settings.embedded_steps,
    )


_PLACE = frozenset({"source", "folder", "repository", "revision"})
_KIND = ("dtype", "device", "tf32", "cache", "quantization")


def _diffusers(
    settings: Settings,
    where: Path,
    name: str,
    table: Table,
    stocks: dict[Hashable, LoadedCheckpoint],
    store: ArtifactCache,
    worker: int,
) -> Model:
    """Ids that differ in nothing that is loaded share it."""
    options = {key: value for key, value in table.items() if key not in _PLACE}
    folder = _folder(settings, where, name, table)
    options.setdefault("name", table.get("repository", folder.name))
    kind = {key: options.pop(key) for key in _KIND if key in options}
    executor = options.pop("executor", "auto")
    if "cache" in kind:
        kind["cache"] = caches.read(f"{where}, models.{name}, cache", kind["cache"])
    key = (folder, executor, frozenset(kind.items()))
    if key not in stocks:
        stocks[key] = LoadedCheckpoint(
            checkpoint.read(folder),
            num_threads=settings.threads_per_worker,
            worker=worker,
            executor=executor,
            store=store,
            **kind,
        )
    return DiffusersModel(name, stocks[key], ServingOptions(**options))


def _folder(settings: Settings, where: Path, name: str, table: Table) -> Path:
    if "folder" not in table:
        pin = hub.PinnedRevision(table["repository"], table["revision"])
        folder = _folder_of(settings, pin)
        if not folder.is_dir():
            raise SettingsError(
                f"{where}, models.{name}: {pin} is not here yet; run: daguerre models pull {name}"
            )
        return folder
    try:
        # A relative path is one from the catalog's own folder, wherever the server is started.
        return where.parent / Path(table["folder"]).expanduser()
    except RuntimeError as error:  # a user that there is not
        raise SettingsError(
            f"{where}, models.{name}: folder is {table['folder']!r}: {error}"
        ) from None


def _folder_of(settings: Settings, pin: hub.PinnedRevision) -> Path:
    return hub.folder(settings.data_dir(), pin)
