"""The data folder: private whatever was there before, and refused in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import MODEL, mode

from daguerre.cli import credentials, provisioning
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import data_dir, database
from daguerre.storage.api_keys import ResourceStore


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(settings: Settings, umask: int) -> None:
    """The folder is 0700 and every file in it 0600, whatever the umask, while it is in use."""
    before = os.umask(umask)
    try:
        store = ResourceStore.open(settings)
        provisioning.create(settings, store, MODEL, "DIFFUSION")
        modes = {path.name: mode(path) for path in settings.data_dir().iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert mode(settings.data_dir()) == 0o700
    assert {database.FILE_NAME, database.FILE_NAME + "-wal", credentials.FILE_NAME} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_wide_modes_are_tightened(settings: Settings) -> None:
    """Folder and files that were found open to others are closed, with their content kept.

    All but the locks: they are empty, and may stand in a folder that is another's.
    """
    store = ResourceStore.open(settings)
    provisioning.create(settings, store, MODEL, "DIFFUSION")
    home = settings.data_dir()
    for path in home.iterdir():
        path.chmod(0o666)
    home.chmod(0o777)
    again = ResourceStore.open(settings)
    credentials.set_url(home, settings.public_base_url())
    assert mode(home) == 0o700
    modes = {path.name: mode(path) for path in home.iterdir() if path.suffix != ".lock"}
    assert {database.FILE_NAME, credentials.FILE_NAME} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert len(again.list()) == 1
    again.close()
    store.close()


def test_shared_folder_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming /tmp or one's own home as the data folder does not close it; its files are private."""
    sticky, home = tmp_path / "sticky", tmp_path / "home"
    sticky.mkdir()
    sticky.chmod(0o1777)
    home.mkdir()
    home.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    for folder, expected in ((sticky, 0o1777), (home, 0o755)):
        ResourceStore.open(Settings(home=folder)).close()
        assert mode(folder) == expected
        assert mode(folder / database.FILE_NAME) == 0o600


def test_lock_that_is_taken(tmp_path: Path) -> None:
    """A lock that another has is told at once, and is free again when the other ends."""
    with data_dir.locked(tmp_path / "x"):
        with data_dir.locked_if_free(tmp_path / "x") as is_ours:
            assert not is_ours
    with data_dir.locked_if_free(tmp_path / "x") as is_ours:
        assert is_ours


@pytest.mark.parametrize("below", ["", "sub/folder"])
def test_home_that_is_a_file(tmp_path: Path, below: str) -> None:
    """A data folder that is, or lies below, a file is refused in one line that names the flag."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(SettingsError, match="--home or DAGUERRE_HOME") as caught:
        ResourceStore.open(Settings(home=file / below if below else file))
    assert str(file) in caught.value.message
    assert file.read_text() == "mine"


def test_home_that_cannot_be_written() -> None:
    """A data folder where nothing can be made is refused in one line."""
    with pytest.raises(SettingsError, match="cannot use the data folder /proc/daguerre"):
        ResourceStore.open(Settings(home=Path("/proc/daguerre")))
