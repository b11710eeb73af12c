"""The data directory: always private, with errors that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import MODEL, mode

from daguerre.cli import credentials, provisioning
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import data_dir, database
from daguerre.storage.resources import ResourceStore


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(settings: Settings, umask: int) -> None:
    """The directory is 0700 and every file in it 0600, with any umask, while it is in use."""
    before = os.umask(umask)
    try:
        store = ResourceStore.open(settings.database_url, settings.data_dir())
        provisioning.create(settings, store, MODEL, "DIFFUSION")
        modes = {path.name: mode(path) for path in settings.data_dir().iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert mode(settings.data_dir()) == 0o700
    assert {database.FILE_NAME, database.FILE_NAME + "-wal", credentials.FILE_NAME} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_wide_modes_are_tightened(settings: Settings) -> None:
    """A directory and files that others can read become private, with their content.

    Lock files are exempt: they are empty, and may be in another user's directory.
    """
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    home = settings.data_dir()
    for path in home.iterdir():
        path.chmod(0o666)
    home.chmod(0o777)
    again = ResourceStore.open(settings.database_url, settings.data_dir())
    credentials.set_url(home, settings.public_base_url())
    assert mode(home) == 0o700
    modes = {path.name: mode(path) for path in home.iterdir() if path.suffix != ".lock"}
    assert {database.FILE_NAME, credentials.FILE_NAME} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert len(again.list()) == 1
    again.close()
    store.close()


def test_shared_directory_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp or a home as the data directory keeps its mode; its files are private."""
    sticky, home = tmp_path / "sticky", tmp_path / "home"
    sticky.mkdir()
    sticky.chmod(0o1777)
    home.mkdir()
    home.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    for directory, expected in ((sticky, 0o1777), (home, 0o755)):
        ResourceStore.open("", directory).close()
        assert mode(directory) == expected
        assert mode(directory / database.FILE_NAME) == 0o600


def test_unfinished_files_are_removed(tmp_path: Path) -> None:
    """A write removes what killed processes have left of the same file, after an hour."""
    names = ["x.json.abcd_012", "x.json.lock", "x.json.long_enough", "y.json.abcd_012"]
    for name in names:
        (tmp_path / name).touch()
    data_dir.write_private(tmp_path / "x.json", "new")
    assert set(os.listdir(tmp_path)) == {"x.json", *names}
    for name in names:
        os.utime(tmp_path / name, (0, 0))
    data_dir.write_private(tmp_path / "x.json", "newer")
    assert set(os.listdir(tmp_path)) == {"x.json", *names[1:]}


def test_lock_is_held(tmp_path: Path) -> None:
    """Without `wait`, a lock that another process holds is False at once."""
    with data_dir.locked(tmp_path / "x"):
        with data_dir.locked(tmp_path / "x", wait=False) as is_locked:
            assert not is_locked
    with data_dir.locked(tmp_path / "x", wait=False) as is_locked:
        assert is_locked


@pytest.mark.parametrize("below", ["", "sub/directory"])
def test_home_that_is_a_file(tmp_path: Path, below: str) -> None:
    """A data directory that is a file, or below one, is an error that names the flag."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(SettingsError, match="--home or DAGUERRE_HOME") as caught:
        ResourceStore.open("", file / below if below else file)
    assert str(file) in caught.value.message
    assert below or f"{file}: it is not a directory" in caught.value.message
    assert file.read_text() == "mine"


def test_home_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory that cannot be created or written to is an error."""
    with pytest.raises(SettingsError, match="cannot use the data directory /proc/daguerre"):
        ResourceStore.open("", Path("/proc/daguerre"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(SettingsError, match="Permission denied; set a writable directory"):
        data_dir.prepare(tmp_path)
