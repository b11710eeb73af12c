"""Edits the catalog's file: adds and removes tables. Comments and the order are kept.

A new text is validated before it replaces the file, atomically. tomlkit is imported on first use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from daguerre.errors import SettingsError
from daguerre.models import catalog
from daguerre.models.catalog import Catalog
from daguerre.storage import data_dir

Check: TypeAlias = Callable[[Catalog], object]

_OPTION = "--catalog or DAGUERRE_CATALOG"
# A catalog without it would serve the bundled model no more.
_NEW = f"""\
# The models to serve; each table is one model ID.

[models.{catalog.DEFAULT_MODEL}]
source = "embedded"
"""
_NEXT_COMMENTS = re.compile(r"\n[ \t]*\r?\n((?:[ \t]*(?:#[^\n]*)?\n)*)\Z")


def add(
    file: Path, home: Path, model: str, table: Mapping[str, object], check: Check | None = None
) -> None:
    """Adds a table to `file`, which is created if it is missing.

    Raises `SettingsError` if the model ID is taken, a key is invalid, or `check` raises for the
    catalog of the new model alone.
    """
    with _edit(file, home) as (text, replace):
        document = _parse(file, text)
        models = document["models"]
        if model in models:
            raise SettingsError(
                f"{file} has a model {model!r}; choose another ID with --id, or remove it:"
                f" daguerre models remove {model}"
            )
        models[model] = _table(models, table)
        replace(_dump(document), lambda served: check and check(served.only(model)))


def set_keys(file: Path, home: Path, model: str, keys: Mapping[str, object]) -> None:
    """Sets keys of a table."""
    with _edit(file, home) as (text, replace):
        document = _parse(file, text)
        for key, value in keys.items():
            document["models"][model][key] = _item(value)
        replace(_dump(document), None)


def remove(file: Path, home: Path, model: str) -> None:
    """Removes a table. Raises `NotFoundError` if it is missing, `SettingsError` if it is the only
    one."""
    with _edit(file, home) as (text, replace):
        served = catalog.parse(file, home, text)
        served.only(model)
        if len(served.models) == 1:
            raise SettingsError(
                f"{model} is the only model of {file}; add another one first, or delete the file to"
                " serve the bundled model"
            )
        document = _parse(file, text)
        match = _NEXT_COMMENTS.search(document["models"][model].as_string())
        del document["models"][model]
        names = [*served.models, ""]
        following = names[names.index(model) + 1]
        replace(_insert(_dump(document), match[1] if match else "", following), None)


@contextmanager
def _edit(file: Path, home: Path) -> Iterator[tuple[str, Callable[[str, Check | None], None]]]:
    """Yields the text, and a function that validates and writes another one."""
    with data_dir.locked(data_dir.prepare(home) / catalog.FILE_NAME):
        text = catalog.read_text(file) if os.path.lexists(file) else _NEW

        def replace(new: str, check: Check | None) -> None:
            served = catalog.parse(file, home, new)
            if check:
                check(served)
            data_dir.replace_text(Path(os.path.realpath(file)), new, _OPTION)

        yield text, replace


def _parse(file: Path, text: str) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
    except TOMLKitError as error:
        raise SettingsError(f"the catalog {file} cannot be edited: {error}") from None
    if "models" not in document:
        document["models"] = tomlkit.table(is_super_table=True)
    return document


def _dump(document: Any) -> str:
    import tomlkit

    return tomlkit.dumps(document)


def _table(models: Any, keys: Mapping[str, object]) -> Any:
    """A table of the kind that `models` can have."""
    import tomlkit
    from tomlkit.items import InlineTable

    table = tomlkit.inline_table() if isinstance(models, InlineTable) else tomlkit.table()
    table.update({key: _item(value) for key, value in keys.items()})
    return table


def _item(value: object) -> Any:
    """A value in one line."""
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _item(each) for key, each in value.items()})
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(_item(each) for each in value)
        return array
    return value


def _insert(text: str, comments: str, model: str) -> str:
    """Puts comments before the table of `model`, or at the end if there is no such header.

    tomlkit takes the comments above a header for the end of the table before.
    """
    header = rf"^[ \t]*\[\s*models\s*\.\s*[\"']?{re.escape(model)}[\"']?\s*\]"
    found = re.search(header, text, re.MULTILINE)
    position = found.start() if found and model else len(text)
    return text[:position] + comments + text[position:]
