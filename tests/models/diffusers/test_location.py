"""What a user names: a path, a hub's cache, or a repository that was pulled; and its model ID."""

from __future__ import annotations

from pathlib import Path

import pytest

from daguerre.errors import NotFoundError, SettingsError
from daguerre.models import catalog
from daguerre.models.diffusers import hub, location

COMMIT, OTHER = "0" * 40, "0123456789" * 4


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("a/sdxl", "sdxl"),
        ("a/sdxl/", "sdxl"),
        ("dreamy XL v1.5.safetensors", "dreamy-XL-v1.5"),
        ("sd\tx", "sd-x"),
        (f"hub/models--maker--sd/snapshots/{COMMIT}", "sd"),
        (f"hub/models--gpt2/snapshots/{COMMIT}", "gpt2"),
        (f"home/checkpoints/maker--sd/{COMMIT}", "sd"),
        (f"commits/{COMMIT}", COMMIT),
    ],
)
def test_model_id(tmp_path: Path, path: str, model: str) -> None:
    """The name of a directory, file or repository, without spaces."""
    make(tmp_path / path)
    assert location.find(str(tmp_path / path), tmp_path).model_id == model


def test_file_in_a_cache(tmp_path: Path) -> None:
    """A cache links to a digest, which is not a name."""
    blob = make(tmp_path / "blobs") / "abc"
    blob.touch()
    link = make(tmp_path / "snapshots" / COMMIT) / "dreamy.safetensors"
    link.symlink_to(blob)
    found = location.find(str(link), tmp_path)
    assert (found.path, found.model_id) == (link, "dreamy")


def test_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model ID of `.` is the name of the directory; `~` is the home directory."""
    monkeypatch.chdir(make(tmp_path / "sd"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = location.find(".", tmp_path)
    assert (found.path, found.model_id) == (tmp_path / "sd", "sd")
    assert location.find("~/sd", tmp_path).path == tmp_path / "sd"


def test_cache_of_a_hub(tmp_path: Path) -> None:
    """The snapshot that `main` names, or the only one; else the error lists them."""
    cache = tmp_path / "models--maker--sd"
    first = make(cache / "snapshots" / COMMIT)
    for path in (cache, cache / "snapshots", first):
        found = location.find(str(path), tmp_path)
        assert (found.path, found.name, found.pin) == (first, "sd", None)
    second = make(cache / "snapshots" / OTHER)
    with pytest.raises(SettingsError, match=f"one of its snapshots: {first}, {second}"):
        location.find(str(cache), tmp_path)
    (make(cache / "refs") / "main").write_text(OTHER + "\n")
    assert location.find(str(cache), tmp_path).path == second


def test_repository(tmp_path: Path) -> None:
    """A pulled repository has its commit; several commits need a choice, by their first digits."""
    first = make(tmp_path / hub.DIR_NAME / "maker--sd" / COMMIT)
    make(first.with_name(f"{OTHER}.partial"))
    found = location.find("maker/sd", tmp_path)
    assert (found.path, found.pin) == (first, hub.PinnedRevision("maker/sd", COMMIT))
    assert (found.model_id, found.full_name) == ("sd", "maker/sd")
    make(first.with_name(OTHER))
    with pytest.raises(SettingsError, match="2 times; give one of: maker/sd@00000000, maker/sd@01"):
        location.find("maker/sd", tmp_path)
    assert location.find("maker/sd@012", tmp_path).path == first.with_name(OTHER)
    with pytest.raises(SettingsError, match="sd@f is not downloaded; downloaded: maker/sd@0000000"):
        location.find("maker/sd@f", tmp_path)


def test_repository_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that another program has downloaded is served by its path only."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    cached = make(tmp_path / "hf" / "hub" / "models--maker--sd")
    with pytest.raises(SettingsError, match=f"give its path in the cache of the hub, {cached}$"):
        location.find("maker/sd", tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    with pytest.raises(SettingsError, match="run: daguerre pull maker/sd$"):
        location.find("maker/sd", tmp_path)


def test_path_before_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`maker/sd` is a directory if there is one, even if the repository was pulled."""
    make(tmp_path / hub.DIR_NAME / "maker--sd" / COMMIT)
    make(tmp_path / "maker" / "sd")
    monkeypatch.chdir(tmp_path)
    assert location.find("maker/sd", tmp_path).pin is None


@pytest.mark.parametrize("name", ["sd", "a/b/sd", "/none/sd.safetensors", "", "~nobody/a"])
def test_missing_path(tmp_path: Path, name: str) -> None:
    """The error says what is accepted; for the name of a repository also how to download it."""
    with pytest.raises(SettingsError, match="' does not exist; it must be the path of a directory"):
        location.find(name, tmp_path)
    with pytest.raises(SettingsError, match=r"to download it, run: daguerre pull maker/sd@main$"):
        location.find("maker/sd@main", tmp_path)


def test_catalog_of_checkpoints(tmp_path: Path) -> None:
    """In the order of the names, without a file; equal model IDs are an error, and so is a base
    without a single file."""
    first, second = make(tmp_path / "a" / "sd"), make(tmp_path / "xl")
    (tmp_path / "sd.safetensors").touch()
    found = catalog.of_checkpoints([str(second), str(first)], tmp_path)
    assert (found.file, [*found.models], found.default_model) == (None, ["xl", "sd"], "xl")
    assert found.checkpoints["sd"].serving.name == "sd"
    file = str(tmp_path / "sd.safetensors")
    with pytest.raises(SettingsError, match="both get the model ID 'sd'; rename one of them"):
        catalog.of_checkpoints([str(first), file], tmp_path)
    with_base = catalog.of_checkpoints([file, str(second)], tmp_path, str(first))
    bases = [each.pipeline.base for each in with_base.checkpoints.values()]
    assert bases == [first, None]
    with pytest.raises(SettingsError, match="'' does not exist; it must be the path of"):
        catalog.of_checkpoints([file], tmp_path, "")
    with pytest.raises(SettingsError, match="xl is not a single file"):
        catalog.of_checkpoints([str(second)], tmp_path, str(first))


def test_choice_of_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model ID of the catalog has priority over a path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / catalog.FILE_NAME).write_text('[models.sd]\nsource = "embedded"\n')
    for name in ("sd", "xl"):
        make(tmp_path / name)
    assert catalog.choose(None, tmp_path, "sd").file == tmp_path / catalog.FILE_NAME
    assert catalog.choose(None, tmp_path, None).default_model == "sd"
    assert catalog.choose(None, tmp_path, "xl").checkpoints["xl"].pipeline.path == tmp_path / "xl"
    with pytest.raises(NotFoundError, match="no model 'other'; models: sd"):
        catalog.choose(None, tmp_path, "other")
    with pytest.raises(SettingsError, match="base is 'xl', but 'sd' is not a path"):
        catalog.choose(None, tmp_path, "sd", "xl")
    with pytest.raises(NotFoundError, match="no model ''; models: sd"):
        catalog.choose(None, tmp_path, "")
    with pytest.raises(SettingsError, match="base is '', but 'sd' is not a path"):
        catalog.choose(None, tmp_path, "sd", "")
