"""`daguerre models add` and `daguerre models remove`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL
from models.test_catalog import checkpoint

from cli.conftest import opened
from daguerre.models import catalog, catalog_file
from daguerre.models.diffusers.model import DiffusersModel

COMMIT = "0" * 40


@pytest.fixture(autouse=True)
def _no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints here have no weights, and are not loaded."""
    monkeypatch.setattr(catalog, "_EXTRA", ())
    monkeypatch.setattr(DiffusersModel, "check", lambda model: None)


def models(home: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = tomllib.loads((home / catalog.FILE_NAME).read_text())
    return found["models"]  # type: ignore[return-value]


def test_add_and_remove(run: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """The table has an absolute path and the keys of the options; its resource outlives it."""
    checkpoint(tmp_path / "dreamy xl")
    printed = run(
        *("models", "add", "dreamy xl", "--dtype", "bfloat16", "--set", "steps=25"),
        *("--set", "executor=eager", "--set", 'extra_sizes=["512x512"]'),
    )
    assert "Added dreamy-xl" in printed
    assert "daguerre models create dreamy-xl --as DREAMY_XL" in printed
    assert [*models(home)] == [MODEL, "dreamy-xl"]
    assert models(home)["dreamy-xl"] == {
        "source": "diffusers",
        "path": str(tmp_path / "dreamy xl"),
        "steps": 25,
        "executor": "eager",
        "extra_sizes": ["512x512"],
        "dtype": "bfloat16",
    }
    run("models", "create", "dreamy-xl", "--as", "FOX")
    printed = run("models", "remove", "dreamy-xl")
    assert "Removed dreamy-xl" in printed and "daguerre models destroy FOX" in printed
    assert [*models(home)] == [MODEL]
    with opened(home) as store:
        assert store.get("FOX").model == "dreamy-xl"


def test_loras(run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an absolute path; a number after the last colon is its scale."""
    checkpoint(tmp_path / "sd")
    added: list[dict[str, object]] = []
    monkeypatch.setattr(catalog_file, "add", lambda *given: added.append(given[3]))
    loras = ("ink.safetensors", "ink.safetensors:0.8", "a:b.safetensors", "a:b:-1")
    run("models", "add", "sd", *(part for name in loras for part in ("--lora", name)))
    assert added[0]["loras"] == [
        {"path": str(tmp_path / "ink.safetensors")},
        {"path": str(tmp_path / "ink.safetensors"), "scale": 0.8},
        {"path": str(tmp_path / "a:b.safetensors")},
        {"path": str(tmp_path / "a:b"), "scale": -1.0},
    ]


def test_relative_paths(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each starts at the working directory, not at the catalog; stored paths are absolute."""
    checkpoint(tmp_path / "sd")
    added: list[dict[str, object]] = []
    monkeypatch.setattr(catalog_file, "add", lambda *given: added.append(given[3]))
    monkeypatch.setenv("HOME", "/home/fox")
    values = ("vae=v", "unet=~/u", 'base="b"', "transformer=/t")
    tables = ('embeddings=[{path = "e", token = "<e>"}]', 'loras=[{path = "l", scale = 2}]')
    run("models", "add", "sd", *(part for text in (*values, *tables) for part in ("--set", text)))
    here = str(tmp_path)
    assert added[0] == {
        "source": "diffusers",
        "path": f"{here}/sd",
        "vae": f"{here}/v",
        "unet": "/home/fox/u",
        "base": f"{here}/b",
        "transformer": "/t",
        "embeddings": [{"path": f"{here}/e", "token": "<e>"}],
        "loras": [{"path": f"{here}/l", "scale": 2}],
    }


def test_add_a_pulled_repository(run: Callable[..., str], home: Path) -> None:
    """The table has the commit; with a resource, no key needs to be created."""
    checkpoint(home / "checkpoints" / "maker--sd" / COMMIT)
    with opened(home) as store:
        store.create("mine", "MINE")
    assert "Create its key" not in run("models", "add", "maker/sd", "--id", "mine")
    keys = {"source": "diffusers", "repo": "maker/sd", "revision": COMMIT}
    assert models(home)["mine"] == keys


def test_other_catalog(run: Callable[..., str], home: Path, tmp_path: Path) -> None:
    """`--catalog` names the file, which is created."""
    checkpoint(tmp_path / "sd")
    run("models", "add", "sd", "--catalog", "other.toml")
    assert "models.sd" in (tmp_path / "other.toml").read_text()
    assert not (home / catalog.FILE_NAME).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "'none' does not exist"),
        (["empty"], "has no model_index.json"),
        (["sd", "--set", "steps"], "--set is 'steps'; it must be KEY=VALUE"),
        (["sd", "--set", "path=x"], "path follows from PATH"),
        (["sd", "--set", "steps=0"], "steps is 0; it must be an integer from 1 to 200"),
        (["sd", "--set", "step=1"], "did you mean 'steps'?"),
        (["sd", "--dtype", "half"], "dtype is 'half'; it must be one of"),
        (["sd", "--id", MODEL], f"has a model '{MODEL}'"),
        (["sd", "--lora", "x.safetensors:99"], "scale"),
        (["sd", "--lora", ""], "--lora is ''; it must be FILE or FILE:SCALE"),
        (["sd", "--lora", ":0.8"], "--lora is ':0.8'; it must be FILE or FILE:SCALE"),
        (["sd", "--id", ""], "a model ID must be 1 to 200 printable characters"),
        (["sd", "--dtype", ""], "dtype is ''; it must be one of"),
        (["sd", "--base", ""], "'' does not exist; it must be the path of"),
        (["sd", "--set", "vae="], "vae is ''; it must be the path of"),
        (["sd", "--set", 'embeddings=["x"]'], "it must be a list of 1 to 64 tables"),
        (["sd", "--base", "sd"], "base has what a single file lacks"),
    ],
)
def test_refused(
    fails: Callable[..., str], home: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """The error is one line, and no catalog is written."""
    checkpoint(tmp_path / "sd")
    (tmp_path / "empty").mkdir()
    assert words in fails("models", "add", *arguments)
    assert not (home / catalog.FILE_NAME).exists()


def test_nothing_to_remove(fails: Callable[..., str], home: Path) -> None:
    """Without a catalog, the bundled model is the only one."""
    assert "is the only model" in fails("models", "remove", MODEL)
    assert "no model 'sd'" in fails("models", "remove", "sd")
