"""Backup and restore: consistent, between kinds of databases, and whole or without effect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import MODEL
from sqlalchemy import event

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import backup, database_dump, migrations
from daguerre.storage.backup import Contents, Places
from daguerre.storage.backup_file import reading
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.storage.image_store import ImageStore
from daguerre.storage.resources import ResourceStore

NAME = "a" * 64 + ".png"
ROWS = {"daguerre_idempotency_keys": 1, "daguerre_resources": 2}


@contextmanager
def opened(settings: Settings) -> Iterator[ResourceStore]:
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    yield store
    store.close()


def restore(path: Path, places: Places, *, force: bool = False) -> Contents:
    with reading(path) as opened_backup:
        return backup.restore(opened_backup, places, force=force)


@pytest.fixture
def written(on_each_database: Settings, tmp_path: Path) -> tuple[Path, str]:
    """A backup of a database with two resources and a record, and one of its keys."""
    path = tmp_path / "b.tar"
    with opened(on_each_database) as store:
        resource, key = store.create(MODEL, "FIRST", requests_per_minute=7)
        store.create("模型 'x'", "SECOND")
        IdempotencyStore(store.database).claim(resource.id, "k", "digest", 2**32 - 1, "owner")
        contents = backup.back_up(path, Places(store.database))
    assert contents == Contents(ROWS, ())
    return path, key


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of another database, of each kind."""
    if request.param == "sqlite":
        return Settings(home=tmp_path / "other")
    url = request.getfixturevalue("postgresql").new_database()
    return Settings(home=tmp_path / "other", database_url=url)


def test_round_trip(written: tuple[Path, str], target: Settings) -> None:
    """A restored key authenticates, and its record is found, in each kind of database."""
    path, key = written
    with opened(target) as store:
        assert restore(path, Places(store.database)).rows == ROWS
        resource = store.authenticate(key)
        assert resource and (resource.alias, resource.requests_per_minute) == ("FIRST", 7)
        assert [each.model for each in store.list()] == [MODEL, "模型 'x'"]
        record, is_new = IdempotencyStore(store.database).claim(resource.id, "k", "digest", 1, "o")
        assert (record.seed, is_new) == (2**32 - 1, False)


def test_one_moment(on_each_database: Settings) -> None:
    """What is written during a backup is in none of its tables."""
    with opened(on_each_database) as store:
        first, _ = store.create(MODEL, "FIRST")
        records = IdempotencyStore(store.database)
        records.claim(first.id, "k", "digest", 1, "owner")
        num_rows = {}
        for table, lines in database_dump.dump(store.database):
            num_rows[table] = len([*lines])
            other, _ = store.create(MODEL, f"LATER_{len(num_rows)}")
            records.claim(other.id, "k", "digest", 1, "owner")
        assert num_rows == {"daguerre_idempotency_keys": 1, "daguerre_resources": 1}
        assert len(store.list()) == 3


def test_every_table(on_each_database: Settings, tmp_path: Path) -> None:
    """A backup has every table with state: not the schema's version, leases and rate limits."""
    with opened(on_each_database) as store:
        rows = backup.back_up(tmp_path / "b.tar", Places(store.database)).rows
        names = sa.inspect(store.database).get_table_names()
    left_out = {migrations.VERSION_TABLE, *migrations.EPHEMERAL_TABLES}
    assert {*rows, *left_out} == set(names) and not left_out & {*rows}


def test_existing_rows(written: tuple[Path, str], target: Settings) -> None:
    """A database with rows is only replaced with `force`; then it has the rows of the backup."""
    path, key = written
    with opened(target) as store:
        before, _ = store.create(MODEL, "OTHER")
        with pytest.raises(SettingsError, match=r"the database has rows.*--force"):
            restore(path, Places(store.database))
        assert store.list() == (before,)
        restore(path, Places(store.database), force=True)
        assert [each.alias for each in store.list()] == ["FIRST", "SECOND"]
        assert store.authenticate(key)


def test_files(store: ResourceStore, tmp_path: Path) -> None:
    """Files are restored to where the settings place them; the backup's missing ones stay."""
    source, other = tmp_path / "source", tmp_path / "other"
    source.mkdir()
    (source / "key").write_bytes(b"\xff secret\r\n")
    path = tmp_path / "b.tar"
    files = {"key": source / "key", "catalog": source / "none"}
    assert backup.back_up(path, Places(store.database, files)).files == ("key",)
    places = Places(store.database, {"key": other / "new" / "key", "catalog": other / "catalog"})
    assert restore(path, places).files == ("key",)
    assert (other / "new" / "key").read_bytes() == b"\xff secret\r\n"
    (other / "catalog").write_text("mine")
    with pytest.raises(SettingsError, match=r"there is state already \(.*key, .*catalog\)"):
        restore(path, places)
    restore(path, places, force=True)
    assert (other / "catalog").read_text() == "mine"


def fail_to_commit(engine: sa.Engine) -> Callable[[], None]:
    def fail(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(engine, "commit", fail)
    return lambda: event.remove(engine, "commit", fail)


def test_failed_commit(store: ResourceStore, tmp_path: Path) -> None:
    """If the transaction fails, files have their old content, and new ones are gone."""
    key, catalog, path = tmp_path / "key", tmp_path / "catalog", tmp_path / "b.tar"
    key.write_text("of the backup")
    catalog.write_text("of the backup")
    places = Places(store.database, {"key": key, "catalog": catalog})
    store.create(MODEL, "BACKED_UP")
    backup.back_up(path, places)
    key.write_text("of today")
    catalog.unlink()
    _, api_key = store.create(MODEL, "TODAY")
    undo = fail_to_commit(store.database)
    with pytest.raises((SettingsError, sa.exc.OperationalError), match="disk I/O error"):
        restore(path, places, force=True)
    undo()
    assert key.read_text() == "of today" and not catalog.exists()
    assert store.authenticate(api_key)


def test_other_schema(
    store: ResourceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of another schema is refused, with the version that wrote it."""
    path = tmp_path / "b.tar"
    backup.back_up(path, Places(store.database))
    monkeypatch.setattr(backup, "MIGRATIONS", (*migrations.MIGRATIONS, ()))
    with pytest.raises(SettingsError, match=r"has version 1 of the database schema, of daguerre"):
        restore(path, Places(store.database))


def test_images(store: ResourceStore, tmp_path: Path) -> None:
    """A backup has the images of the store that it gets, and no other file of its directory."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / NAME).write_bytes(b"image")
    (source / "notes.txt").write_text("x")
    path = tmp_path / "b.tar"
    assert backup.back_up(path, Places(store.database)).num_images == 0
    places = Places(store.database, images=ImageStore(str(source), 1000, 60))
    assert backup.back_up(path, places).num_images == 1
    with reading(path) as opened_backup:
        assert opened_backup.names("images") == [NAME]
    images = ImageStore(str(target), 1000, 60)
    assert restore(path, Places(store.database, images=images)).num_images == 1
    assert (target / NAME).read_bytes() == b"image"
    disabled = ImageStore(str(tmp_path / "none"), 0, 60)
    assert restore(path, Places(store.database, images=disabled)).num_images == 0


def test_lock(store: ResourceStore, tmp_path: Path) -> None:
    """The lock is held for the database and the files, not for the images."""
    events: list[str] = []

    @contextmanager
    def lock() -> Iterator[None]:
        events.append("locked")
        yield
        events.append("unlocked")

    class Images(ImageStore):
        def dump(self) -> Iterator[tuple[str, bytes]]:
            events.append("images")
            return iter(())

    images = Images(str(tmp_path / "images"), 1000, 60)
    places = Places(store.database, images=images, lock=lock)
    backup.back_up(tmp_path / "b.tar", places)
    assert events == ["locked", "unlocked", "images"]
    restore(tmp_path / "b.tar", places)
    assert events[3:] == ["locked", "unlocked"]


def test_rows_are_json(written: tuple[Path, str]) -> None:
    """A row is one JSON object, so other programs can read a backup."""
    with reading(written[0]) as opened_backup:
        lines = opened_backup.open("database/daguerre_resources.jsonl").read().splitlines()
    assert {json.loads(line)["alias"] for line in lines} == {"FIRST", "SECOND"}
    assert b"inf-" in lines[0] and written[1].encode() not in lines[0]
