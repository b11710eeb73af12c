"""Resources and keys stay consistent between the database and the credentials file."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from conftest import MODEL
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from daguerre.cli import credentials, provisioning
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.storage import data_dir
from daguerre.storage.resources import ResourceStore


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


def test_created_resource_can_be_used(settings: Settings, store: ResourceStore) -> None:
    """The key in the credentials file authenticates the created resource."""
    resource = provisioning.create(settings, store, MODEL, "DIFFUSION")
    attachment = provisioning.credentials_by_alias(settings, store)["DIFFUSION"]
    assert attachment is not None
    assert store.authenticate(attachment.key) == resource
    assert (attachment.url, attachment.model) == ("http://127.0.0.1:8000", MODEL)


def test_database_changes_under_the_lock(settings: Settings, store: ResourceStore) -> None:
    """The database and the credentials file change under one lock, so a backup fits together."""
    file, was_free = settings.data_dir() / credentials.FILE_NAME, list[bool]()

    def on_commit(connection: Connection) -> None:
        with data_dir.locked(file, wait=False) as is_free:
            was_free.append(is_free)

    event.listen(store.database, "commit", on_commit)
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    provisioning.rotate(settings, store, "DIFFUSION")
    provisioning.destroy(settings, store, "DIFFUSION")
    event.remove(store.database, "commit", on_commit)
    assert was_free == [False] * 3


def damage(settings: Settings) -> None:
    """Damages the credentials file, or creates a damaged one."""
    (data_dir.prepare(settings.data_dir()) / credentials.FILE_NAME).write_text("damaged")


def test_no_resource_without_its_key(settings: Settings, store: ResourceStore) -> None:
    """If the key cannot be stored, no resource is created."""
    damage(settings)
    with pytest.raises(SettingsError, match="damaged"):
        provisioning.create(settings, store, MODEL, "DIFFUSION")
    assert store.list() == ()


def test_default_is_created_once(settings: Settings, store: ResourceStore) -> None:
    """An empty database gets DIFFUSION; one with any resource gets nothing."""
    provisioning.create_default(settings, store, DEFAULT_MODEL)
    first = store.list()
    provisioning.create_default(settings, store, DEFAULT_MODEL)
    assert store.list() == first
    assert [(resource.alias, resource.model) for resource in first] == [("DIFFUSION", MODEL)]


def test_resource_for_each_model(settings: Settings, store: ResourceStore) -> None:
    """A model without a resource gets one, with an alias like its ID; the first is DIFFUSION."""
    models = ["sd-1.5", "dreamy XL", "dreamy.xl", "3d", "daguerre-xl", "雪", "x" * 200]
    for _ in "twice":
        provisioning.create_for_each(settings, store, models)
    aliases = {resource.model: resource.alias for resource in store.list()}
    assert [aliases[model] for model in models] == [
        *("DIFFUSION", "DREAMY_XL", "DREAMY_XL_2", "MODEL_3D", "MODEL_DAGUERRE_XL", "MODEL"),
        "X" * 48,
    ]
    assert None not in provisioning.credentials_by_alias(settings, store).values()
    shown = [provisioning.default_resource(store, [model]) for model in (models[1], "unknown")]
    assert [each and each.alias for each in shown] == ["DREAMY_XL", "DIFFUSION"]


def test_stale_key_is_not_shown(settings: Settings, store: ResourceStore) -> None:
    """A key that the database no longer accepts counts as lost."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    store.rotate("DIFFUSION")
    assert provisioning.credentials_by_alias(settings, store) == {"DIFFUSION": None}
    provisioning.rotate(settings, store, "DIFFUSION")
    assert provisioning.credentials_by_alias(settings, store)["DIFFUSION"] is not None


def test_new_key_keeps_the_served_address(settings: Settings, store: ResourceStore) -> None:
    """New keys get the address that the server stored, not the default."""
    home = settings.data_dir()
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    credentials.set_url(home, "http://127.0.0.1:4711")
    provisioning.rotate(settings, store, "DIFFUSION")
    provisioning.create(settings, store, MODEL, "OTHER")
    urls = {alias: entry.url for alias, entry in credentials.read(home).items()}
    assert urls == {"DIFFUSION": "http://127.0.0.1:4711", "OTHER": "http://127.0.0.1:4711"}


def test_rotate_with_a_damaged_file(settings: Settings, store: ResourceStore) -> None:
    """If the file is damaged, the old key stays valid."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    file = settings.data_dir() / credentials.FILE_NAME
    key = credentials.read(settings.data_dir())["DIFFUSION"].key
    file.write_text("damaged")
    with pytest.raises(SettingsError, match="damaged"):
        provisioning.rotate(settings, store, "DIFFUSION")
    assert store.authenticate(key) == store.get("DIFFUSION")
    assert file.read_text() == "damaged"


def test_rotate_on_a_full_disk(
    settings: Settings, store: ResourceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full, the old key stays in both places."""
    resource = provisioning.create(settings, store, MODEL, "DIFFUSION")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SettingsError, match="No space left"):
            provisioning.rotate(settings, store, "DIFFUSION")
    attachment = provisioning.credentials_by_alias(settings, store)["DIFFUSION"]
    assert attachment and store.authenticate(attachment.key) == resource


def test_rotate_that_the_database_refuses(settings: Settings, store: ResourceStore) -> None:
    """If the database fails after the file was written, the file gets the old key back."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    before = credentials.read(settings.data_dir())
    seen = []

    def fail(connection: Connection) -> None:
        seen.append(credentials.read(settings.data_dir()))
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(store.database, "commit", fail)
    with pytest.raises(SettingsError, match="disk is full"):
        provisioning.rotate(settings, store, "DIFFUSION")
    assert seen and seen != [before]
    assert credentials.read(settings.data_dir()) == before
    assert provisioning.credentials_by_alias(settings, store)["DIFFUSION"] == before["DIFFUSION"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_rotate_that_is_killed(settings: Settings, store: ResourceStore, moment: str) -> None:
    """Killed before or after the commit, the file has a valid key; the next rotation removes the
    other one."""
    resource = provisioning.create(settings, store, MODEL, "DIFFUSION")
    before = credentials.read(settings.data_dir())["DIFFUSION"]

    class Killed(BaseException):
        """Like SIGKILL, no handler catches it."""

    def kill(connection: Connection) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        if moment == "before":
            event.listen(store.database, "commit", kill)
        else:
            rotated = ResourceStore.rotate

            def rotate_and_die(*given: Any, **named: Any) -> None:
                rotated(*given, **named)
                raise Killed

            patched.setattr(ResourceStore, "rotate", rotate_and_die)
        with pytest.raises(Killed):
            provisioning.rotate(settings, store, "DIFFUSION")
    if moment == "before":
        event.remove(store.database, "commit", kill)
    there = credentials.read(settings.data_dir())["DIFFUSION"]
    assert there.key == before.key and there.next_key not in ("", before.key)
    attachment = provisioning.credentials_by_alias(settings, store)["DIFFUSION"]
    assert attachment and store.authenticate(attachment.key) is not None
    assert (attachment.key == before.key) == (moment == "before")
    provisioning.rotate(settings, store, resource.alias)
    last = credentials.read(settings.data_dir())["DIFFUSION"]
    assert last.next_key == "" and store.authenticate(last.key) is not None


def test_default_needs_no_file(settings: Settings, store: ResourceStore) -> None:
    """With an existing resource, a damaged credentials file does not prevent a start."""
    store.create(MODEL, "FOX")
    damage(settings)
    provisioning.create_default(settings, store, DEFAULT_MODEL)
    assert [resource.alias for resource in store.list()] == ["FOX"]


def test_destroy_removes_the_key(settings: Settings, store: ResourceStore) -> None:
    """A destroyed resource leaves neither a row nor a key."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    provisioning.destroy(settings, store, "DIFFUSION")
    assert store.list() == ()
    assert json.loads((settings.data_dir() / credentials.FILE_NAME).read_text()) == {}


def test_destroy_with_a_damaged_file(settings: Settings, store: ResourceStore) -> None:
    """If destroying fails, nothing is removed and the key stays valid."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    key = credentials.read(settings.data_dir())["DIFFUSION"].key
    (settings.data_dir() / credentials.FILE_NAME).write_text("{")
    with pytest.raises(SettingsError, match="damaged"):
        provisioning.destroy(settings, store, "DIFFUSION")
    assert store.authenticate(key) is not None


def test_commands_do_not_wait_for_each_other(settings: Settings, store: ResourceStore) -> None:
    """A rotation holds the lock of the credentials before it writes to the database, like the
    removal of a resource: otherwise each would wait for what the other holds."""
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    file = settings.data_dir() / credentials.FILE_NAME
    is_free = []

    def note(connection: Connection) -> None:
        if connection.get_execution_options().get("is_writing"):
            with data_dir.locked(file, wait=False) as is_locked:
                is_free.append(is_locked)

    event.listen(store.database, "begin", note)
    provisioning.rotate(settings, store, "DIFFUSION")
    provisioning.destroy(settings, store, "DIFFUSION")
    event.remove(store.database, "begin", note)
    assert is_free == [False, False]
