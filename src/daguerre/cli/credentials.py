"""The client's side of the keys: `config.json` in the data folder, alias -> url, key, model.

A key is shown once, and the database has only its hash; this file is where `daguerre config` finds
it again, as an application finds it in its environment. The server never reads it. Does not know
how keys are made or checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from daguerre.errors import SettingsError
from daguerre.storage import data_dir

FILE_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class ResourceCredentials:
    """What an application needs to call one resource.

    `next_key` is one that is about to replace `key`: until it has, either may be the good one.
    """

    url: str
    key: str
    model: str
    next_key: str = ""

    def variables(self, alias: str) -> dict[str, str]:
        """The environment variables, under the names that the managed service gives them."""
        return {
            f"{alias}_URL": self.url,
            f"{alias}_KEY": self.key,
            f"{alias}_MODEL_ID": self.model,
        }


Credentials: TypeAlias = dict[str, ResourceCredentials]


def read(folder: Path) -> Credentials:
    """Empty where the file is not there yet."""
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from None
    try:
        return {alias: _attachment(entry) for alias, entry in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise SettingsError(
            f"{path} is damaged; delete it, and make new keys with 'daguerre models rotate ALIAS'"
        ) from None


def _attachment(entry: dict[str, str]) -> ResourceCredentials:
    if not all(isinstance(value, str) for value in entry.values()):
        raise TypeError(f"{entry} holds what is no string")
    return ResourceCredentials(**entry)


def _entry(attachment: ResourceCredentials) -> dict[str, str]:
    return {name: value for name, value in asdict(attachment).items() if value}


def put(folder: Path, alias: str, attachment: ResourceCredentials) -> None:
    _change(folder, lambda attachments: {**attachments, alias: attachment})


def remove(folder: Path, alias: str) -> None:
    _change(folder, lambda found: {name: found[name] for name in found if name != alias})


def set_url(folder: Path, url: str) -> None:
    """Puts all resources at one address; `daguerre serve` says when."""
    _change(folder, lambda found: {name: replace(found[name], url=url) for name in found})


def _change(folder: Path, change: Callable[[Credentials], Credentials]) -> None:
    data_dir.prepare(folder)
    path = folder / FILE_NAME
    with data_dir.locked(path):
        before = read(folder)
        after = change(before)
        if after != before:
            text = json.dumps({name: _entry(after[name]) for name in sorted(after)}, indent=2)
            data_dir.write_private(path, text + "\n")
        elif path.exists():
            data_dir.make_private(path)
