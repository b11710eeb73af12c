"""Forms in which people have a checkpoint: files in their real layout, and the stock pipeline that
diffusers makes of the same files.

A form is a function that makes the files in `Files.home`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from daguerre.models.diffusers import hub

from . import original_layout
from .test_single_file import MAKERS

STEPS = 2
COMMIT = "0123456789" * 4
OF_FLUX = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")


@dataclass(frozen=True)
class Files:
    home: Path  # the data directory, too
    folder_of: Callable[[str], Path]


@dataclass(frozen=True)
class Case:
    """What a user types, and the stock pipeline with the arguments of its call.

    `options` are those of `daguerre models add`. `size` is that of the image, `drawn` that of the
    stock pipeline's.
    """

    path: Path | str
    pipeline: Any
    base: Path | None = None
    options: tuple[str, ...] = ()
    prompt: str = "a red fox in the snow"
    call: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (32, 32)  # smaller than in the API
    drawn: tuple[int, int] | None = None

    def stock_image(self, steps: int = STEPS) -> Any:
        self.pipeline.set_progress_bar_config(disable=True)
        width, height = self.drawn or self.size
        options = {"prompt": self.prompt, "num_inference_steps": steps, **self.call}
        image = self.pipeline(
            generator=torch.Generator().manual_seed(3),
            width=width,
            height=height,
            **options,
        ).images[0]
        return np.asarray(image.resize(self.size, Image.Resampling.LANCZOS))


Form: TypeAlias = Callable[[Files], Case]


def load(folder: Path, **parts: Any) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(folder, **parts)


def setting(key: str, value: object) -> tuple[str, str]:
    """An option that sets a key of the catalog; JSON of text and lists is TOML, too."""
    return "--set", f"{key}={json.dumps(value)}"


def directory(family: str, files: Files) -> Case:
    return Case(files.folder_of(family), load(files.folder_of(family)))


# Single files.


def write_single(
    files: Files,
    family: str,
    change: Callable[[original_layout.State], object] = lambda state: None,
) -> tuple[Path, Path]:
    """A file with changed tensors, and its base."""
    make, to_states = MAKERS[family]
    base = make(files.home / "base")
    state = {name: t for part in to_states(load(base)) for name, t in part.items()}
    change(state)
    return original_layout.write(files.home / "tiny.safetensors", state), base


def load_single(file: Path, base: Path) -> Any:
    """By diffusers' own loader, with the configurations of the base."""
    pipeline_class = type(load(base))
    is_flux = pipeline_class is diffusers.FluxPipeline
    others = {name: getattr(load(base), name) for name in OF_FLUX} if is_flux else {}
    options = {"config": str(base), "local_files_only": True, "dtype": torch.float32}
    pipeline = pipeline_class.from_single_file(str(file), **options, **others)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()  # diffusers leaves T5 in training mode
    return pipeline


def single_file(family: str, files: Files) -> Case:
    file, base = write_single(files, family)
    call = {"max_sequence_length": 256} if family == "flux-schnell" else {}
    return Case(file, load_single(file, base), base, call=call)


def from_training(files: Files) -> Case:
    """Half precision, and moving averages beside the weights; as diffusers, the server uses the
    plain ones."""

    def change(state: original_layout.State) -> None:
        for name in list(state):
            state[name] = state[name].half()
            if name.startswith(original_layout.UNET):
                state[f"model_ema.{name.removeprefix('model.').replace('.', '')}"] = state[name] * 2

    file, base = write_single(files, "sdxl", change)
    return Case(file, load_single(file, base), base)


# Directories of a hub.


def cache_of_a_hub(part: str, files: Files) -> Case:
    """With links to blobs, as huggingface_hub stores it."""
    base, cache = files.folder_of("stable-diffusion"), files.home / "models--maker--tiny"
    (cache / "blobs").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(path for path in base.rglob("*") if path.is_file()):
        link = cache / "snapshots" / COMMIT / file.relative_to(base)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = cache / "blobs" / str(number)
        blob.write_bytes(file.read_bytes())
        link.symlink_to(os.path.relpath(blob, link.parent))
    return Case(cache / part, load(base))


def pulled_repository(files: Files) -> Case:
    base = files.folder_of("stable-diffusion")
    folder = hub.folder(files.home, hub.PinnedRevision("maker/tiny", COMMIT))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(base)
    return Case("maker/tiny", load(base))


# Stored in another way.


def variant(family: str, name: str, dtype: Any, files: Files) -> Case:
    """The weights are only in files such as `model.fp16.safetensors`, in parts."""
    folder = files.home / "tiny"
    pipeline = load(files.folder_of(family), torch_dtype=dtype)
    pipeline.save_pretrained(folder, variant=name, max_shard_size="100KB")
    pipeline = load(folder, variant=name, torch_dtype=torch.float32)
    return Case(folder, pipeline, options=("--dtype", "float32"))


def pickles_beside_the_weights(files: Files) -> Case:
    """They are not read, whatever is in them."""
    plain = files.folder_of("stable-diffusion")
    folder = shutil.copytree(plain, files.home / "tiny")
    for file in [*folder.glob("*/*.safetensors")]:
        file.with_name("pytorch_model.bin").write_bytes(b"no weights")
        file.with_name("diffusion_pytorch_model.bin").write_bytes(b"no weights")
    return Case(folder, load(plain))


def stored_quantized(make_config: Callable[[], Any], files: Files) -> Case:
    folder = shutil.copytree(files.folder_of("flux"), files.home / "tiny")
    shutil.rmtree(folder / "transformer")
    diffusers.FluxTransformer2DModel.from_pretrained(
        files.folder_of("flux") / "transformer",
        quantization_config=make_config(),
        torch_dtype=torch.float32,
    ).save_pretrained(folder / "transformer")
    return Case(folder, load(folder, torch_dtype=torch.float32))


def by_torchao() -> Any:
    ao = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    return diffusers.TorchAoConfig(ao.Int8WeightOnlyConfig())


def by_quanto() -> Any:
    pytest.importorskip("optimum.quanto", reason="optimum-quanto is not installed")
    return diffusers.QuantoConfig(weights_dtype="int8")


FORMS: Mapping[str, Form] = {
    "directory": partial(directory, "stable-diffusion"),
    **{f"single file of {family}": partial(single_file, family) for family in MAKERS},
    "single file from training": from_training,
    "cache of a hub": partial(cache_of_a_hub, ""),
    "snapshot in a cache": partial(cache_of_a_hub, f"snapshots/{COMMIT}"),
    "pulled repository": pulled_repository,
    "fp16 variant": partial(variant, "stable-diffusion-xl", "fp16", torch.float16),
    "bf16 variant": partial(variant, "flux", "bf16", torch.bfloat16),
    "pickles beside the weights": pickles_beside_the_weights,
    "quantized by torchao": partial(stored_quantized, by_torchao),
    "quantized by quanto": partial(stored_quantized, by_quanto),
}
