"""Checkpoints whose weights are stored as a variant: the images are the stock pipeline's."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint

from .conftest import REASON, Bench, Request, pipeline_images, stock_images

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox", steps=2)


def save(source: Path, folder: Path, dtype: Any, **options: Any) -> Path:
    """Saves a checkpoint again, as diffusers does."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(source, torch_dtype=dtype)
    pipeline.save_pretrained(folder, **options)
    return folder


def test_only_a_variant(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The digest names the files of the variant; weights in parts are in `test_forms`."""
    source = folder_of("stable-diffusion-xl")
    folder = save(source, tmp_path / "half", torch.float16, variant="fp16")
    assert all("fp16" in file.name for file in folder.rglob("*.safetensors"))
    bench = Bench(folder)
    parts = {"variant": "fp16", "torch_dtype": torch.float32}
    assert bench.images([REQUEST]) == stock_images(folder, bench, [REQUEST], **parts)
    digest = bench.model.info.weights_sha256
    (changed, *_) = folder.glob("vae/*.safetensors")
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x01")
    assert checkpoint.read(folder).sha256() != digest


def test_mixed_variants(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Each component has its own: plain weights win, whatever else is there."""
    plain = folder_of("stable-diffusion")
    folder = save(plain, tmp_path / "mixed", torch.float16, variant="fp16")
    shutil.copytree(plain / "unet", folder / "unet", dirs_exist_ok=True)
    bench = Bench(folder)
    names = {file.name for file in checkpoint.read(folder).weights}
    assert names == {
        "diffusion_pytorch_model.safetensors",  # of the UNet
        "diffusion_pytorch_model.fp16.safetensors",
        "model.fp16.safetensors",
    }
    import diffusers

    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    stock = diffusers.DiffusionPipeline.from_pretrained(
        folder, variant="fp16", unet=unet, torch_dtype=torch.float32
    )
    assert bench.images([REQUEST]) == pipeline_images(stock, bench, [REQUEST])


@pytest.mark.slow
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_command_that_converts_pickles(
    variant: str | None, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The command in the error makes a checkpoint that is served with the same images."""
    plain = folder_of("stable-diffusion")
    options: Any = {"safe_serialization": False, "variant": variant}
    folder = save(plain, tmp_path / "o'ld", torch.float32, **options)
    with pytest.raises(SettingsError, match="a pickle") as caught:
        checkpoint.read(folder)
    program, *arguments = shlex.split(caught.value.message.partition("checkpoint: ")[2])
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    expected = Bench(plain).images([REQUEST])
    assert Bench(tmp_path / "o'ld-safetensors").images([REQUEST]) == expected
