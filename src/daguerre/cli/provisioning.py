"""Creates, rotates and destroys model resources, in the database and the credentials file.

The database has the hash of a key, the credentials file the key itself. This module keeps the two
consistent.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace

from daguerre.cli import credentials
from daguerre.cli.credentials import Credentials, ResourceCredentials
from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, SettingsError
from daguerre.storage.resources import Resource, ResourceStore

DEFAULT_ALIAS = "DIFFUSION"
_MAX_MODEL_CHARS = 48  # of a model ID in an alias, which has at most 64


def open_store(settings: Settings) -> closing[ResourceStore]:
    """A context manager with the resources in the database."""
    return closing(ResourceStore.open(settings.database_url, settings.data_dir()))


def create(
    settings: Settings,
    store: ResourceStore,
    model: str,
    alias: str,
    requests_per_minute: int | None = None,
) -> Resource:
    """Creates a resource and stores its key; without the key, there is no resource either."""
    resource = None
    try:
        # A backup holds this lock, so it has both the resource and its key, or neither.
        with credentials.edit(settings.data_dir()) as entries:
            resource, key = store.create(model, alias, requests_per_minute)
            _set(entries, settings, resource, key)
    except SettingsError:
        if resource:
            store.destroy(resource.alias)
        raise
    return resource


def create_default(settings: Settings, store: ResourceStore, model: str) -> None:
    """Creates the resource `DIFFUSION` of the model if the database has no resource."""
    if not store.list():
        with suppress(InvalidRequestError):  # another process has just created it
            create(settings, store, model, DEFAULT_ALIAS)


def create_for_each(settings: Settings, store: ResourceStore, models: Iterable[str]) -> None:
    """Creates a resource for each model that has none; the database's first is `DIFFUSION`."""
    for model in models:
        resources = store.list()
        if all(resource.model != model for resource in resources):
            aliases = {resource.alias for resource in resources}
            alias = _free_alias(model, aliases) if resources else DEFAULT_ALIAS
            with suppress(InvalidRequestError):  # another process has just created it
                create(settings, store, model, alias)


def _free_alias(model: str, taken: Collection[str]) -> str:
    alias = alias_for(model)
    numbered = (f"{alias}_{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([alias], numbered) if name not in taken)


def alias_for(model: str) -> str:
    """An alias with the letters and digits of a model ID."""
    words = re.sub(r"[^A-Z0-9]+", "_", model.upper())[:_MAX_MODEL_CHARS].strip("_")
    is_alias = re.match(r"(?!DAGUERRE_)[A-Z]", words)
    return words if is_alias else f"MODEL_{words}".rstrip("_")


def rotate(settings: Settings, store: ResourceStore, alias: str) -> Resource:
    """Gives a resource a new key. The credentials file has a valid key whenever this is killed: it
    has both keys from before the database changes until after."""
    resource, directory = store.get(alias), settings.data_dir()
    with credentials.locked(directory):
        entries = credentials.read(directory)
        before = entries.get(resource.alias)
        previous = _validated(store, resource, before) or before

        def save(key: str, previous: ResourceCredentials | None = None) -> None:
            _set(entries, settings, resource, key, previous)
            credentials.write(directory, entries)

        try:
            key = store.rotate(resource.alias, before_commit=lambda key: save(key, previous))
        except SettingsError:
            if before:  # the database may have failed after the file was written
                entries[resource.alias] = before
                credentials.write(directory, entries)
            raise
        with suppress(SettingsError):  # the file already has the key
            save(key)
    return store.get(resource.alias)


def destroy(settings: Settings, store: ResourceStore, alias: str) -> None:
    """Destroys a resource, unless the credentials file is damaged."""
    with credentials.edit(settings.data_dir()) as entries:
        store.destroy(alias)
        entries.pop(alias, None)


def default_resource(store: ResourceStore, models: Collection[str]) -> Resource | None:
    """The resource `DIFFUSION`, otherwise the oldest; first among those of these models."""
    resources = sorted(store.list(), key=lambda each: each.alias != DEFAULT_ALIAS)
    return min(resources, key=lambda each: each.model not in models, default=None)


def credentials_by_alias(
    settings: Settings, store: ResourceStore
) -> Mapping[str, ResourceCredentials | None]:
    """Alias -> credentials of each resource; None if the file has no valid key."""
    stored = credentials.read(settings.data_dir())
    return {
        resource.alias: _validated(store, resource, stored.get(resource.alias))
        for resource in store.list()
    }


def lost_key(alias: str) -> str:
    """Message for a resource without a valid key in the credentials file."""
    return (
        f"the key of {alias} is not in this data directory, but perhaps in that of another server;"
        f" 'daguerre models rotate {alias}' replaces it with a new one"
    )


def _validated(
    store: ResourceStore, resource: Resource, stored: ResourceCredentials | None
) -> ResourceCredentials | None:
    """The credentials with the key that the database accepts, if there is one."""
    for key in (stored.key, stored.next_key) if stored else ():
        if key and store.authenticate(key) == resource:
            return stored and replace(stored, key=key, next_key="")
    return None


def _set(
    entries: Credentials,
    settings: Settings,
    resource: Resource,
    key: str,
    previous: ResourceCredentials | None = None,
) -> None:
    """Sets the entry of the resource, with `key` as the next key if there are `previous` ones."""
    urls = {entry.url for entry in entries.values()}
    url = settings.public_base_url()
    if len(urls) == 1 and not settings.public_url:  # the address that `daguerre serve` stored
        url = urls.pop()
    first, next_key = (previous.key, key) if previous else (key, "")
    entries[resource.alias] = ResourceCredentials(url, first, resource.model, next_key)
