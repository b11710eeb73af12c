"""Every form of a checkpoint by the command that a user types: the images of the stock pipeline.

All families are in `test_images` and `test_default_executor`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daguerre
from daguerre.cli import main
from daguerre.params import ImageParams
from daguerre.storage import artifact_cache

from .conftest import MODEL, REASON

pytest.importorskip("peft", reason=REASON)

import torch

from . import forms, forms_with_keys
from .forms import STEPS, Case, Files, setting
from .test_single_file import _tiny_flux  # noqa: F401

FORMS = {**forms.FORMS, **forms_with_keys.FORMS}
# On the default executor, which converts the networks of a form; `make soak` runs the others.
ESSENTIAL = ("several keys on a single file", "unet of a single file", "transformer", "clip_skip")
# With the code of "several keys on a single file".
SIMILAR = ("LoRAs on a single file", "embedding on a single file", "sampler for a single file")
PATHS = ("directory", "single file of sd1", "cache of a hub", "pulled repository")
FAMILY_STEPS = 50  # of Stable Diffusion
MAX_DIFFERENCE = 2  # of 255, on the default executor


def rows(essential: Collection[str]) -> list[Any]:
    """Parameters: all forms, of which the essential ones are no soak."""
    no_cuda = pytest.mark.skipif(
        not torch.cuda.is_available(), reason="offload needs a CUDA device"
    )
    return [
        pytest.param(
            name,
            marks=[
                *([no_cuda] if name.startswith("offload") else ()),
                *([] if name in essential else [pytest.mark.soak]),
            ],
        )
        for name in FORMS
    ]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact cache for all forms: those with the same weights share their conversions."""
    return tmp_path_factory.mktemp("artifacts")


def refuse(*_: object) -> None:
    raise AssertionError("something uses the network")


@pytest.fixture
def files(
    artifacts: Path,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Files:
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path))
    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)  # nothing is downloaded
    (tmp_path / artifact_cache.DIR_NAME).symlink_to(artifacts)
    return Files(tmp_path, folder_of)


@pytest.mark.parametrize("form", rows(FORMS.keys() - {*SIMILAR}))
def test_eager(form: str, files: Files) -> None:
    """The bits are the stock pipeline's."""
    case = FORMS[form](files)
    expected = case.stock_image()
    add(case, *setting("executor", "eager"))
    assert np.array_equal(draw(case), expected)


@pytest.mark.parametrize("form", rows(ESSENTIAL))
def test_default_executor(form: str, files: Files) -> None:
    case = FORMS[form](files)
    expected = case.stock_image()
    add(case)
    assert np.abs(draw(case).astype(int) - expected).max() <= MAX_DIFFERENCE


@pytest.mark.parametrize("form", PATHS)
def test_path(form: str, files: Files) -> None:
    """The same without a catalog, in the steps of the family: what `daguerre serve PATH` serves."""
    case = FORMS[form](files)
    found = draw(case, case.path, case.base)
    expected = case.stock_image(FAMILY_STEPS)
    assert np.abs(found.astype(int) - expected).max() <= MAX_DIFFERENCE


def add(case: Case, *options: str) -> None:
    base = () if case.base is None else ("--base", str(case.base))
    steps = setting("steps", STEPS)
    arguments = (str(case.path), "--id", MODEL, *base, *case.options, *steps, *options)
    assert main.main(["models", "add", *arguments]) == 0


def draw(case: Case, name: Path | str = MODEL, base: Path | None = None) -> Any:
    """On one thread, as in the other tests here: the order of summation depends on it."""
    width, height = case.size
    params = ImageParams("any", case.prompt, width=width, height=height, seed=3)
    with daguerre.Model.load(name, base=base, threads=1) as model:
        return model.generate(params).pixels
