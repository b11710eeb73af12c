"""The credentials file, `credentials.json` in the data directory: alias -> URL, key, model.

A key is shown once and the database has only its hash; `daguerre config` reads the key from this
file. The server never reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from daguerre.errors import SettingsError
from daguerre.storage import data_dir

FILE_NAME = "credentials.json"


@dataclass(frozen=True, slots=True)
class ResourceCredentials:
    """What an application needs to call one resource.

    During a rotation there is a `next_key`, and either key may be the valid one.
    """

    url: str
    key: str
    model: str
    next_key: str = ""

    def variables(self, alias: str) -> dict[str, str]:
        """Environment variables, with the names that the managed service uses."""
        return {
            f"{alias}_URL": self.url,
            f"{alias}_KEY": self.key,
            f"{alias}_MODEL_ID": self.model,
        }


Credentials: TypeAlias = dict[str, ResourceCredentials]


def read(directory: Path) -> Credentials:
    """Returns an empty dict if there is no file."""
    path = directory / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        text = data.decode("utf-8-sig")  # editors on Windows add the mark and carriage returns
        return {alias: _parse(entry) for alias, entry in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise SettingsError(
            f"{path} is damaged; delete it, and create new keys with 'daguerre models rotate ALIAS'"
        ) from None


def _parse(entry: dict[str, str]) -> ResourceCredentials:
    """Values without white space at both ends, such as the carriage return of an edited file."""
    return ResourceCredentials(**{name: str.strip(value) for name, value in entry.items()})


@contextmanager
def edit(directory: Path) -> Iterator[Credentials]:
    """Yields the credentials and stores what the block changes; other processes wait."""
    with locked(directory):
        credentials = read(directory)
        yield credentials
        if credentials or (directory / FILE_NAME).exists():
            write(directory, credentials)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Other processes that change the file wait until the block ends.

    Who also writes to the database takes this lock first, so that no two processes wait for each
    other.
    """
    with data_dir.locked(data_dir.prepare(directory) / FILE_NAME):
        yield


def write(directory: Path, credentials: Credentials) -> None:
    """Replaces the file; the caller holds the lock."""
    entries = {
        alias: {name: value for name, value in asdict(entry).items() if value}
        for alias, entry in sorted(credentials.items())
    }
    data_dir.write_private(directory / FILE_NAME, json.dumps(entries, indent=2) + "\n")


def set_url(directory: Path, url: str) -> None:
    """Sets the URL of all resources."""
    with edit(directory) as credentials:
        for alias, entry in credentials.items():
            credentials[alias] = replace(entry, url=url)
