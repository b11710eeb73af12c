"""Making, renewing and removing model resources on both sides at once.

The database gets the hash of the key, the client's file the key itself; what the two hold stays in
step here and nowhere else. Knows nothing of the terminal, nor of which models can be served.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from daguerre.cli import credentials
from daguerre.cli.credentials import ResourceCredentials
from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, SettingsError
from daguerre.storage.api_keys import Resource, ResourceStore

DEFAULT_ALIAS = "DIFFUSION"


def create(
    settings: Settings,
    store: ResourceStore,
    model: str,
    alias: str,
    requests_per_minute: int | None = None,
) -> Resource:
    """A resource whose key stands in the client's file, or no resource at all."""
    resource, key = store.create(model, alias, requests_per_minute)
    try:
        _remember(settings, resource, key)
    except SettingsError:
        store.destroy(resource.alias)
        raise
    return resource


def create_default(settings: Settings, store: ResourceStore, model: str) -> None:
    """Leaves a database with at least one resource; touches none that is there."""
    if store.list():
        return
    try:
        create(settings, store, model, DEFAULT_ALIAS)
    except InvalidRequestError:
        pass  # another process was faster, and has made the same one


def rotate(settings: Settings, store: ResourceStore, alias: str) -> Resource:
    """A new key stands on both sides, or the old one does, at whatever moment this is killed: the
    file has both from before the database changes until after it has."""
    resource = store.get(alias)
    folder = settings.data_dir()
    before = credentials.read(folder).get(resource.alias)
    sound = _checked(store, resource, before) or before
    try:
        key = store.rotate(
            resource.alias,
            before_commit=lambda key: _remember(settings, resource, key, beside=sound),
        )
    except SettingsError:
        if before:  # the database may have failed after the file was written
            credentials.put(folder, resource.alias, before)
        raise
    with suppress(SettingsError):  # the file has the key already
        _remember(settings, resource, key)
    return store.get(resource.alias)


def destroy(settings: Settings, store: ResourceStore, resource: Resource) -> None:
    credentials.read(settings.data_dir())  # a damaged file is told before anything is removed
    store.destroy(resource.alias)
    credentials.remove(settings.data_dir(), resource.alias)


def default_resource(store: ResourceStore) -> Resource | None:
    """`DIFFUSION` where there is one, else the oldest."""
    resources = {resource.alias: resource for resource in store.list()}
    return resources.get(DEFAULT_ALIAS) or next(iter(resources.values()), None)


def attachments(
    settings: Settings, store: ResourceStore
) -> Mapping[str, ResourceCredentials | None]:
    """Alias -> what an application needs; None where the key here is not one that opens it."""
    known = credentials.read(settings.data_dir())
    return {
        resource.alias: _checked(store, resource, known.get(resource.alias))
        for resource in store.list()
    }


def _checked(
    store: ResourceStore, resource: Resource, attachment: ResourceCredentials | None
) -> ResourceCredentials | None:
    for key in (attachment.key, attachment.next_key) if attachment else ():
        if key and store.authenticate(key) == resource:
            return attachment and replace(attachment, key=key, next_key="")
    return None


def _remember(
    settings: Settings, resource: Resource, key: str, beside: ResourceCredentials | None = None
) -> None:
    """As its key, or as its next one beside what there is."""
    folder = settings.data_dir()
    # The address that `serve` last wrote is truer than what this command would listen on.
    served_at = {attachment.url for attachment in credentials.read(folder).values()}
    url = (
        served_at.pop()
        if len(served_at) == 1 and not settings.public_url
        else settings.public_base_url()
    )
    attachment = ResourceCredentials(url=url, key=key, model=resource.model)
    if beside:
        attachment = replace(attachment, key=beside.key, next_key=key)
    credentials.put(folder, resource.alias, attachment)
