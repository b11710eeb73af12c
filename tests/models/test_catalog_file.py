"""Edits of `daguerre.toml`: the rest of the file stays, and only a valid text replaces it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import mode

from daguerre.errors import NotFoundError, SettingsError
from daguerre.models import catalog, catalog_file

TABLE = {
    "source": "diffusers",
    "path": "/models/xl",
    "steps": 4,
    "cache": {"method": "first-block"},
}
COMMENTED = """\
# All models
[models.a]  # bundled
source = "embedded"
# of a

# of b
# and more of it
[models."b"]
source = "embedded"

# end
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daguerre.toml"


def models(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["models"]
    return found


def test_new_catalog(file: Path, tmp_path: Path) -> None:
    """A new file has the bundled model, too, which would not be served any more otherwise."""
    catalog_file.add(file, tmp_path, "xl", {"source": "diffusers", "path": "xl"})
    assert [*models(file)] == [catalog.DEFAULT_MODEL, "xl"] and mode(file) == 0o644
    assert catalog.read(None, tmp_path).checkpoints["xl"].pipeline.path == tmp_path / "xl"


@pytest.mark.parametrize(
    "text",
    [
        COMMENTED,
        COMMENTED.replace("\n", "\r\n"),
        COMMENTED.rstrip(),
        'models = { a = {source="embedded"} }  # one line\n',
        '[models]\na = {source = "embedded"}\n',
        '[models]\n[models.a]\nsource = "embedded"\n',
        'models.a.source = "embedded"\n',
        '\ufeff[models.a]\nsource = "embedded"\n',
    ],
)
def test_add_and_remove(file: Path, tmp_path: Path, text: str) -> None:
    """Every way to write a table is understood; a table that comes and goes changes nothing."""
    file.write_bytes(text.encode())
    file.chmod(0o640)
    before = tomllib.loads(text.removeprefix("\ufeff"))["models"]
    table = {**TABLE, "cache": {"method": "first-block", "threshold": 0.1}}
    catalog_file.add(file, tmp_path, "x.1", table)
    assert models(file) == {**before, "x.1": table} and mode(file) == 0o640
    catalog_file.remove(file, tmp_path, "x.1")
    assert models(file) == before
    kept = [line.strip() for line in file.read_text().splitlines() if "#" in line]
    assert kept == [line.strip() for line in text.splitlines() if "#" in line]


def test_comments_of_the_next_table(file: Path, tmp_path: Path) -> None:
    """Those above the next header stay, without those of the removed table."""
    file.write_text(COMMENTED)
    catalog_file.remove(file, tmp_path, "a")
    text = file.read_text()
    assert text.index("# All models") < text.index("# of b\n# and more of it\n[models.") > 0
    assert "# of a" not in text and "# end" in text


def test_set_keys(file: Path, tmp_path: Path) -> None:
    """A key of a table changes in its place."""
    keys = {"source": "diffusers", "repo": "maker/sd", "revision": "0" * 40}
    catalog_file.add(file, tmp_path, "sd", keys)
    catalog_file.set_keys(file, tmp_path, "sd", {"revision": "1" * 40})
    assert models(file)["sd"] == {**keys, "revision": "1" * 40}


@pytest.mark.parametrize(
    ("model", "table", "words"),
    [
        ("a", TABLE, "has a model 'a'; choose another ID with --id"),
        ("x y", TABLE, "models.x y: a model ID must be"),
        ("x", {"source": "diffusers"}, "neither path nor repo is given"),
        ("x", {**TABLE, "step": 3}, "unknown key 'step'; did you mean 'steps'?"),
        ("x", {**TABLE, "dtype": "half"}, "dtype is 'half'; it must be one of"),
    ],
)
def test_invalid_table(
    file: Path, tmp_path: Path, model: str, table: dict[str, object], words: str
) -> None:
    """The error is that of the catalog, and the file does not change."""
    file.write_text(COMMENTED)
    with pytest.raises(SettingsError) as caught:
        catalog_file.add(file, tmp_path, model, table)
    assert words in caught.value.message and file.read_text() == COMMENTED


def test_check(file: Path, tmp_path: Path) -> None:
    """A check sees the new model alone; if it raises, there is no file."""

    def refuse(served: catalog.Catalog) -> None:
        raise SettingsError(", ".join(served.models))

    with pytest.raises(SettingsError, match="^xl$"):
        catalog_file.add(file, tmp_path, "xl", {"source": "embedded"}, refuse)
    assert not file.exists()


def test_nothing_to_remove(file: Path, tmp_path: Path) -> None:
    """An unknown model, the only one, and a damaged file are errors."""
    file.write_text(COMMENTED)
    with pytest.raises(NotFoundError, match="no model 'c'"):
        catalog_file.remove(file, tmp_path, "c")
    catalog_file.remove(file, tmp_path, "b")
    with pytest.raises(SettingsError, match="a is the only model"):
        catalog_file.remove(file, tmp_path, "a")
    file.write_text("[models")
    with pytest.raises(SettingsError, match="is not TOML"):
        catalog_file.remove(file, tmp_path, "a")
    with pytest.raises(SettingsError, match="cannot be edited"):
        catalog_file.add(file, tmp_path, "a", TABLE)
    assert file.read_text() == "[models"


def test_link(file: Path, tmp_path: Path) -> None:
    """A symbolic link stays one, and its target changes."""
    target = tmp_path / "elsewhere.toml"
    target.write_text(COMMENTED)
    file.symlink_to(target)
    catalog_file.remove(file, tmp_path, "b")
    assert file.is_symlink() and [*models(target)] == ["a"]


def test_backup_of_the_user(file: Path, tmp_path: Path) -> None:
    """A file beside it whose name looks temporary stays."""
    backup = tmp_path / "daguerre.toml.original"
    backup.touch()
    os.utime(backup, (0, 0))
    catalog_file.add(file, tmp_path, "xl", {"source": "embedded"})
    assert backup.exists()
