"""`daguerre backup` and `daguerre restore`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE_S, mode

from daguerre.cli import credentials
from daguerre.server.routes.signed_urls import SECRET_FILE
from daguerre.storage import data_dir

from .conftest import opened

CATALOG = '[models."stable-image-ultra"]\nsource = "embedded"\n'


def test_move_to_another_machine(run: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """Keys, the secret and the catalog work after a restore into another data directory."""
    run("models", "create", "stable-image-ultra", "--as", "FIRST")
    (home / SECRET_FILE).write_text("s" * 64)
    (home / "daguerre.toml").write_text(CATALOG)
    key = credentials.read(home)["FIRST"].key
    words = run("backup", "b.tar")
    assert words == (
        "Wrote b.tar: idempotency keys: 0, resources: 1, images: 0, credentials.json,"
        " signed_urls.key, daguerre.toml.\n"
    )
    assert mode(tmp_path / "b.tar") == 0o600
    new = tmp_path / "new"
    assert run("restore", "b.tar", "--home", str(new)).startswith("Restored b.tar: ")
    assert credentials.read(new)["FIRST"].key == key
    assert (new / SECRET_FILE).read_text() == "s" * 64
    assert (new / "daguerre.toml").read_text() == CATALOG
    assert {mode(new / name) for name in ("credentials.json", SECRET_FILE)} == {0o600}
    with opened(new) as store:
        assert store.authenticate(key)


def test_catalog_elsewhere(run: Callable[..., str], tmp_path: Path) -> None:
    """The catalog is read from and written to where the setting says."""
    (tmp_path / "mine.toml").write_text(CATALOG)
    run("models", "create", "stable-image-ultra", "--as", "FIRST", "--catalog", "mine.toml")
    run("backup", "b.tar", "--catalog", "mine.toml")
    run("restore", "b.tar", "--home", "new", "--catalog", "there/other.toml")
    assert (tmp_path / "there" / "other.toml").read_text() == CATALOG
    assert not (tmp_path / "new" / "daguerre.toml").exists()


def test_images(run: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """Images are included on request."""
    run("models", "create", "stable-image-ultra", "--as", "FIRST")
    name = "a" * 64 + ".png"
    (home / "images").mkdir()
    (home / "images" / name).write_bytes(b"image")
    assert "images: 0" in run("backup", "b.tar")
    assert "images: 1" in run("backup", "b.tar", "--images")
    assert "images: 1" in run("restore", "b.tar", "--home", "new")
    assert (tmp_path / "new" / "images" / name).read_bytes() == b"image"


def test_running_server(run: Callable[..., str], fails: Callable[..., str], home: Path) -> None:
    """A server that runs here is refused, also with --force; a backup is not."""
    run("models", "create", "stable-image-ultra", "--as", "FIRST")
    with data_dir.locked(home / "serve"):  # as `daguerre serve`
        run("backup", "b.tar")
        assert f"a server runs with the data directory {home}; stop it first" in fails(
            "restore", "b.tar", "--force"
        )
    run("restore", "b.tar", "--force")


def test_existing_state(run: Callable[..., str], fails: Callable[..., str], home: Path) -> None:
    """Existing state is only replaced with --force."""
    run("models", "create", "stable-image-ultra", "--as", "FIRST")
    run("backup", "b.tar")
    run("models", "create", "stable-image-ultra", "--as", "SECOND")
    assert "--force" in fails("restore", "b.tar")
    assert set(credentials.read(home)) == {"FIRST", "SECOND"}
    run("restore", "b.tar", "--force")
    assert set(credentials.read(home)) == {"FIRST"}


def test_keys_do_not_change(run: Callable[..., str], home: Path) -> None:
    """Keys that are created during a backup wait for it."""
    run("models", "create", "stable-image-ultra", "--as", "FIRST")
    with credentials.locked(home):
        waiting = threading.Thread(target=run, args=("backup", "b.tar"))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and not Path("b.tar").exists()
    waiting.join(PATIENCE_S)
    assert Path("b.tar").exists()


@pytest.mark.parametrize("content", [None, b"", b"text" * 999])
def test_damaged_backup(fails: Callable[..., str], content: bytes | None, tmp_path: Path) -> None:
    """A file that is not a backup is an error, and nothing is created."""
    if content is not None:
        (tmp_path / "b.tar").write_bytes(content)
    assert "b.tar" in fails("restore", "b.tar", "--home", "new")
    assert not (tmp_path / "new").exists()


def test_nothing_to_back_up(fails: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """A data directory that does not exist is not created."""
    assert f"the data directory {home} does not exist" in fails("backup", "b.tar")
    assert [*tmp_path.iterdir()] == []
