"""Fixtures of the command tests: temporary directories, and functions that run a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from conftest import FakeEngine

import daguerre.factory
from daguerre.cli import main
from daguerre.models.summary import ModelSummary
from daguerre.storage.resources import ResourceStore

HERE = Path(__file__).parent.parent


def _summaries(*_: object) -> list[ModelSummary]:
    return [ModelSummary(info) for info in FakeEngine().models()]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary data directory, no settings from the environment, and no weights."""
    for name in os.environ:
        if name.startswith("DAGUERRE_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    for name in ("summarize_models", "summarize_catalog"):
        monkeypatch.setattr(daguerre.factory, name, _summaries)
    monkeypatch.setenv("DAGUERRE_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must succeed and returns its output."""

    def run_command(*arguments: str) -> str:
        status = main.main(arguments)
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out

    return run_command


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail and returns its only line on stderr."""

    def run_command(*arguments: str, status: int = main.EXIT_USAGE) -> str:
        assert main.main(arguments) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("daguerre: ") and captured.err.count("\n") == 1
        return captured.err.strip()

    return run_command


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(daguerre.factory, "build_engine", lambda settings, catalog: fake)
    monkeypatch.setattr(daguerre.factory, "open_engine", lambda *_: nullcontext(fake))
    return fake


@contextmanager
def opened(home: Path) -> Iterator[ResourceStore]:
    store = ResourceStore.open("", home)
    yield store
    store.close()


def environment() -> dict[str, str]:
    paths = (str(HERE.parent / "src"), str(HERE))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
