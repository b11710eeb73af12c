"""Which model ids are served, and what serves them: `daguerre.toml`, or the model in the box alone.

The file's tables are read into models that are not loaded yet. Whatever it holds is checked here,
before anything is loaded: a `SettingsError` names the file, the table, the key and what is allowed.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import NotFound, SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.model import DTYPES, DiffusersModel, Options
from daguerre.models.diffusers.stock import Stock
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.params import ModelInfo

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.pipeline import Model

DEFAULT_MODEL = "stable-image-ultra"
FILE_NAME = "daguerre.toml"
_IN_THE_BOX = {DEFAULT_MODEL: {"source": "embedded"}}
_EXTRA = ("torch", "diffusers", "transformers", "accelerate", "greenlet", "safetensors")
_MAX_STEPS, _MAX_GUIDANCE, _MAX_ROWS = 200, 100.0, 256
_MAX_ID_CHARACTERS = 200

Table = Mapping[str, Any]


def models(settings: Settings, only: str = "") -> Sequence[Model]:
    """Every model that this server offers, or `only` one, not yet loaded."""
    where, tables = _tables(settings)
    if only:
        if only not in tables:
            served = ", ".join(tables)
            raise NotFound(f"model {only!r} is not served; served: {served}", param="model")
        tables = {only: tables[only]}
    if any(table["source"] == "diffusers" for table in tables.values()):
        _check_extra(where)
    return _models(settings, where, tables)


def available(settings: Settings) -> tuple[ModelInfo, ...]:
    """What can be served, for listings; the extra need not be installed for that."""
    where, tables = _tables(settings)
    return tuple(model.info for model in _models(settings, where, tables))


def default_model(settings: Settings) -> str:
    """The one whose resource is made at the first start: the usual id, or the catalog's first."""
    _, tables = _tables(settings)
    return DEFAULT_MODEL if DEFAULT_MODEL in tables else next(iter(tables))


def _tables(settings: Settings) -> tuple[Path, Mapping[str, Table]]:
    """The catalog's file, and model id -> table, each with a `source` and no key of another."""
    file = settings.catalog or settings.home_folder() / FILE_NAME
    if settings.catalog is None and not os.path.exists(file):
        return file, _IN_THE_BOX
    content = _read(file)
    _check_keys(str(file), content, {"models"})
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
    keys = _SOURCES[source]
    _check_keys(where, table, {"source", *keys})
    for key, value in table.items():
        if key in keys and not keys[key][0](value):
            raise SettingsError(f"{where}: {key} is {value!r}; it must be {keys[key][1]}")


def _check_keys(where: str, table: Table, allowed: Collection[str]) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise SettingsError(
                f"{where}: unknown key {key!r}{hint}; allowed: {', '.join(sorted(allowed))}"
            )


def _whole(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    def is_allowed(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return is_allowed, f"a whole number from {low} to {high}"


def _is_guidance(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MAX_GUIDANCE


def _is_device(value: Any) -> bool:
    kind, colon, index = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon:
        return kind in ("cpu", "cuda")
    return kind == "cuda" and index.isascii() and index.isdigit()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


_FOLDER = "the path of a folder in diffusers format"
# Source -> its keys, each with its check and with what it must be.
_SOURCES: Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "embedded": {},
    "diffusers": {
        "folder": (_is_text, _FOLDER),
        "dtype": (lambda value: value in DTYPES, " or ".join(f'"{dtype}"' for dtype in DTYPES)),
        "device": (_is_device, '"cpu", "cuda" or one of several, such as "cuda:1"'),
        "steps": _whole(1, _MAX_STEPS),
        "guidance": (_is_guidance, f"a number from 0 to {_MAX_GUIDANCE:g}"),
        "max_rows": _whole(1, _MAX_ROWS),
        "name": (_is_text, "a text of printable characters"),
    },
}


def _check_extra(where: Path) -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"{where} has models in diffusers format, but {', '.join(missing)} cannot be imported;"
            " install them: pip install 'daguerre[diffusers]'"
        )


def _models(settings: Settings, where: Path, tables: Mapping[str, Table]) -> tuple[Model, ...]:
    stocks: dict[tuple[str, ...], Stock] = {}
    return tuple(
        _diffusers(settings, where, name, table, stocks)
        if table["source"] == "diffusers"
        else _embedded(settings, name)
        for name, table in tables.items()
    )


def _embedded(settings: Settings, name: str) -> Model:
    return EmbeddedModel(
        name,
        folder=WEIGHTS,
        num_threads=settings.num_threads,
        precision=settings.precision,
        num_inference_steps=settings.num_inference_steps,
    )


def _diffusers(
    settings: Settings, where: Path, name: str, table: Table, stocks: dict[tuple[str, ...], Stock]
) -> Model:
    """Ids with one folder, type and device share what is loaded."""
    options = {key: value for key, value in table.items() if key != "source"}
    if "folder" not in options:
        raise SettingsError(f"{where}, models.{name}: folder is missing; it must be {_FOLDER}")
    # A relative path is one from the catalog's own folder, wherever the server is started.
    folder = where.parent / Path(options.pop("folder")).expanduser()
    kind = {key: options.pop(key) for key in ("dtype", "device") if key in options}
    key = (str(folder), kind.get("dtype", ""), kind.get("device", ""))
    if key not in stocks:
        stocks[key] = Stock(checkpoint.read(folder), num_threads=settings.num_threads, **kind)
    return DiffusersModel(name, stocks[key], Options(**options))
