"""Resources and API keys: authentication, and changes by other processes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import sqlalchemy as sa
from conftest import MODEL
from sqlalchemy import text

from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, NotFoundError, SettingsError, UnavailableError
from daguerre.storage.resources import MAX_REQUESTS_PER_MINUTE, ResourceStore


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


def test_authentication(store: ResourceStore) -> None:
    """A key gives its own resource with all values; no other string gives one."""
    resource, key = store.create(MODEL, "DIFFUSION", 20)
    other, other_key = store.create(MODEL, "OTHER")
    assert store.authenticate(key) == resource
    assert store.authenticate(other_key) == other
    assert (resource.model, resource.alias, resource.requests_per_minute) == (
        MODEL,
        "DIFFUSION",
        20,
    )
    for wrong in ("", key[:-1], key + "x", key.upper(), resource.id, "inf-", "\udcff\x00é"):
        assert store.authenticate(wrong) is None


def test_other_strings_reach_no_database(store: ResourceStore) -> None:
    """Only a string in the form of a key is looked up, so others cost little."""
    queries: list[str] = []
    sa.event.listen(
        store.database, "before_cursor_execute", lambda *arguments: queries.append(arguments[2])
    )
    for wrong in ("", "inf-wrong", "x" * 47, "inf-" + "x" * 44, "inf-" + "x" * 60_000):
        assert store.authenticate(wrong) is None
    assert not queries
    assert store.authenticate("inf-" + "x" * 43) is None
    assert len(queries) == 1


def test_key_format(store: ResourceStore) -> None:
    """A key is `inf-` and 256 random bits; only its first 8 characters are stored."""
    keys = [store.create(MODEL, f"A{i}") for i in range(4)]
    for resource, key in keys:
        assert re.fullmatch(r"inf-[A-Za-z0-9_-]{43}", key)
        assert resource.key_prefix == key[:8]
    assert len({key for _, key in keys}) == 4


def test_key_is_not_in_the_database(store: ResourceStore) -> None:
    """No column contains more of a key than its prefix."""
    _, key = store.create(MODEL, "DIFFUSION")
    before = rows(store)
    rotated = store.rotate("DIFFUSION")
    assert key[:8] in before and rotated[:8] in rows(store)
    assert key[:12] not in before and rotated[:12] not in rows(store)


def rows(store: ResourceStore) -> str:
    with store.database.connect() as connection:
        return str(connection.execute(text("SELECT * FROM daguerre_resources")).all())


@pytest.mark.parametrize("change", ["rotate", "destroy"])
def test_change_by_another_process(settings: Settings, change: str) -> None:
    """A store that is already open rejects keys that another process rotates or destroys."""
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    _, key = store.create(MODEL, "DIFFUSION")
    assert store.authenticate(key) is not None
    code = (
        "import sys; from pathlib import Path;"
        "from daguerre.storage.resources import ResourceStore;"
        "store = ResourceStore.open(sys.argv[2], Path(sys.argv[1]));"
        f"print(store.{change}('DIFFUSION')); store.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, settings.data_dir(), settings.database_url],
        check=True,
        capture_output=True,
        text=True,
    )
    assert store.authenticate(key) is None
    new = store.authenticate(done.stdout.strip())
    assert (new is not None) == (change == "rotate")
    store.close()


def test_rotate_keeps_the_resource(store: ResourceStore) -> None:
    """Rotation changes the key and its prefix, and nothing else."""
    before, old = store.create(MODEL, "DIFFUSION", 7)
    new = store.rotate("diffusion")
    after = store.get("DIFFUSION")
    assert new != old and after.key_prefix == new[:8]
    assert store.authenticate(new) == after
    assert (after.id, after.model, after.requests_per_minute, after.created) == (
        before.id,
        before.model,
        7,
        before.created,
    )


def test_list_is_oldest_first(store: ResourceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resources are listed in the order of their creation."""
    for second, alias in enumerate(("ZEBRA", "MIDDLE", "APPLE")):
        monkeypatch.setattr("time.time", lambda second=second: 1_000_000 + second)
        store.create(MODEL, alias)
    assert [resource.alias for resource in store.list()] == ["ZEBRA", "MIDDLE", "APPLE"]


@pytest.mark.parametrize("alias", ["DIFFUSION", "a", "My_Model_2", "A" * 64])
def test_alias_is_upper_cased(store: ResourceStore, alias: str) -> None:
    """An alias in lower case is stored, and found, in upper case."""
    created, _ = store.create(MODEL, alias)
    assert created.alias == alias.upper()
    assert store.get(alias.lower()) == created


@pytest.mark.parametrize(
    "alias",
    ["", "1A", "_A", "A-B", "A B", "Ä", "A\n", "ß", "A" * 65, "Aı", "daguerre_x", "DAGUERRE_URL"],
)
def test_bad_alias(store: ResourceStore, alias: str) -> None:
    """An alias that cannot begin the name of a variable, or begins a setting's, is an error."""
    with pytest.raises(InvalidRequestError) as caught:
        store.create(MODEL, alias)
    assert repr(alias) in caught.value.message and caught.value.param == "alias"
    assert store.list() == ()


def test_alias_is_unique(store: ResourceStore) -> None:
    """A second resource with an alias, in any case, is an error; the first one stays."""
    _, key = store.create(MODEL, "DIFFUSION")
    with pytest.raises(InvalidRequestError, match="DIFFUSION is taken"):
        store.create(MODEL, "diffusion")
    assert store.authenticate(key) is not None
    assert len(store.list()) == 1


def test_unknown_alias(store: ResourceStore) -> None:
    """`get`, `rotate` and `destroy` of an unknown alias list the existing ones."""
    store.create(MODEL, "DIFFUSION")
    for call in (store.get, store.rotate, store.destroy):
        with pytest.raises(NotFoundError, match="no resource NOPE; existing resources: DIFFUSION"):
            call("nope")


@pytest.mark.parametrize("limit", [0, -1, MAX_REQUESTS_PER_MINUTE + 1])
def test_bad_limit(store: ResourceStore, limit: int) -> None:
    """A rate limit outside its range is an error that names the range."""
    with pytest.raises(InvalidRequestError, match=f"is {limit}; it must be .* from 1 to"):
        store.create(MODEL, "DIFFUSION", limit)


def test_resources_persist(settings: Settings) -> None:
    """A key is valid after the store was closed and opened again."""
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    resource, key = store.create(MODEL, "DIFFUSION", 3)
    store.close()
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    assert store.authenticate(key) == resource
    store.close()


def test_unreadable_database(store: ResourceStore) -> None:
    """A broken database is a 503 with a Retry-After, not an unknown key."""
    _, key = store.create(MODEL, "DIFFUSION")
    with store.database.begin() as connection:
        connection.execute(text("DROP TABLE daguerre_resources"))
    with pytest.raises(UnavailableError) as caught:
        store.authenticate(key)
    assert caught.value.retry_after_s is not None
    with pytest.raises(SettingsError, match="no such table|does not exist") as failed:
        store.list()
    assert "\n" not in failed.value.message
