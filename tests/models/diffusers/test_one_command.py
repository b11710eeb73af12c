"""Every form of a checkpoint by its path alone: the images of the stock pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daguerre
from daguerre.models.diffusers import hub
from daguerre.params import ImageParams

from .conftest import REASON

pytest.importorskip("torch", reason=REASON)

import diffusers
import torch

from . import original_layout
from .test_single_file import stable_diffusion

COMMIT = "0123456789" * 4
PARAMS = ImageParams("any", "a red fox", width=32, height=32, seed=3)  # smaller than in the API


def directory(base: Path, home: Path) -> tuple[str, str | None]:
    return str(base), None


def single_file(base: Path, home: Path) -> tuple[str, str | None]:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(base)
    states = stable_diffusion(pipeline)
    return str(original_layout.write(home / "tiny.safetensors", *states)), str(base)


def cache_of_a_hub(base: Path, home: Path) -> tuple[str, str | None]:
    """With links to blobs, as huggingface_hub stores it."""
    cache = home / "models--maker--tiny"
    (cache / "blobs").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(path for path in base.rglob("*") if path.is_file()):
        link = cache / "snapshots" / COMMIT / file.relative_to(base)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = cache / "blobs" / str(number)
        blob.write_bytes(file.read_bytes())
        link.symlink_to(os.path.relpath(blob, link.parent))
    return str(cache), None


def pulled_repository(base: Path, home: Path) -> tuple[str, str | None]:
    folder = hub.folder(home, hub.PinnedRevision("maker/tiny", COMMIT))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(base)
    return "maker/tiny", None


FORMS = (directory, single_file, cache_of_a_hub, pulled_repository)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_form(
    form: Callable[[Path, Path], tuple[str, str | None]],
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default executor draws the stock pipeline's image, up to two of 255."""
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path))
    base = folder_of("stable-diffusion")
    path, lacking = form(base, tmp_path)
    with daguerre.Model.load(path, base=lacking) as model:
        assert model.id == ("stable-diffusion" if form is directory else "tiny")
        pixels = model.generate(PARAMS).pixels
    assert np.abs(pixels.astype(int) - stock(base)).max() <= 2


def stock(base: Path) -> Any:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(base)
    pipeline.set_progress_bar_config(disable=True)
    seeded = torch.Generator().manual_seed(PARAMS.seed)
    sides = {"width": PARAMS.width, "height": PARAMS.height}
    image = pipeline(PARAMS.prompt, generator=seeded, **sides).images[0]
    return np.asarray(image).astype(int)
