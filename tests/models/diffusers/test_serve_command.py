"""`daguerre serve` with the path of a single file, from the command to the image."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import PATH, PATIENCE_S, wait_until
from PIL import Image

from .conftest import REASON

pytest.importorskip("torch", reason=REASON)

import diffusers
import torch

from . import original_layout
from .test_served import megapixel
from .test_single_file import stable_diffusion

BODY = {"prompt": "a red fox", "seed": 3}


@contextmanager
def serving(log: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """Yields the variables that the command prints for an application."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "daguerre", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        printed = ""
        while "python3 -c" not in printed:
            line = process.stdout.readline()
            assert line, "the server has ended"
            printed += line
        yield dict(re.findall(r"^export DIFFUSION_(\w+)=(.*)$", printed, re.MULTILINE))
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.slow
def test_image_of_a_single_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed URL, key and model ID give the stock pipeline's image, up to two of 255; the name
    of the file decides sampler and steps."""
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path / "home"))
    pipeline = diffusers.DiffusionPipeline.from_pretrained(megapixel(tmp_path / "base"))
    file = tmp_path / "tiny-lcm-2step.safetensors"
    original_layout.write(file, *stable_diffusion(pipeline))
    log = tmp_path / "log"
    with serving(log, str(file), "--base", str(tmp_path / "base")) as variables:
        assert variables["MODEL_ID"] == "tiny-lcm-2step"
        headers = {"authorization": f"Bearer {variables['KEY']}"}
        with httpx.Client(base_url=variables["URL"], headers=headers, timeout=400) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200, 120)
            response = client.post(PATH, json={"model": variables["MODEL_ID"], **BODY})
    assert response.status_code == 200, response.text
    data = base64.b64decode(response.json()["data"][0]["b64_json"])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(pixels - stock(pipeline)).max() <= 2
    # A table of two lines, and lines of the server's own; none of torch, torchao or transformers.
    _, _, *lines = log.read_text().splitlines()
    assert lines and all(" daguerre" in line for line in lines)


def stock(pipeline: Any) -> Any:
    pipeline.scheduler = diffusers.LCMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline(
        BODY["prompt"],
        width=1024,
        height=1024,
        num_inference_steps=2,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    return np.asarray(image).astype(int)
