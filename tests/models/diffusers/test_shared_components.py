"""Checkpoints that differ by an adapter or a component share the rest of their memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.shared_components import SharedComponents

from .conftest import REASON, Bench, Request

pytest.importorskip("peft", reason=REASON)

import diffusers
import torch
from safetensors.torch import save_file

from . import lora_files, original_layout, tiny

REQUESTS = [Request("a red fox in the snow", seed=1, steps=3)]
ALL = {"text_encoder", "unet", "vae"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint, and files that each change some of its components."""
    folder = tmp_path_factory.mktemp("shared")
    checkpoint = tiny.stable_diffusion(folder / "sd")
    pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(checkpoint)
    unet = lora_files.kohya("lora_unet", lora_files.matrices(pipeline.unet))
    text = lora_files.kohya_text(pipeline.text_encoder)
    pipeline.vae.decoder.conv_out.bias.data += 0.1
    pipeline.vae.save_pretrained(folder / "vae")
    save_file({"<toy>": torch.randn(2, 32)}, folder / "toy.safetensors")
    parts = (original_layout.unet(pipeline.unet), original_layout.vae(pipeline.vae))
    clip = original_layout.clip(pipeline.text_encoder, "cond_stage_model.transformer.")
    return {
        "sd": checkpoint,
        "unet": lora_files.write(folder / "unet.safetensors", unet),
        "both": lora_files.write(folder / "both.safetensors", unet, text),
        "vae": folder / "vae",
        "toy": folder / "toy.safetensors",
        "single": original_layout.write(folder / "single.safetensors", *parts, clip),
    }


def configurations(files: dict[str, Path]) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Changes of the checkpoint, and what it still shares with the unchanged one."""
    yield {"loras": (Lora(files["unet"]),)}, {"text_encoder", "vae"}
    yield {"loras": (Lora(files["both"]),)}, {"vae"}
    yield {"components": (("vae", files["vae"]),)}, {"unet", "text_encoder"}
    yield {"embeddings": (TextualInversion(files["toy"], "<toy>"),)}, {"unet", "vae"}
    yield {"dtype": "bfloat16"}, set()
    yield {"executor": "openvino"}, ALL


def addresses(bench: Bench) -> dict[str, set[int]]:
    pipeline = bench.model.weights_key.pipeline
    return {
        name: {tensor.data_ptr() for tensor in getattr(pipeline, name).parameters()} for name in ALL
    }


def components_in_common(one: Bench, other: Bench) -> set[str]:
    theirs = addresses(other)
    found = {name for name, mine in addresses(one).items() if mine & theirs[name]}
    assert all(addresses(one)[name] == theirs[name] for name in found)
    return found


def test_what_is_shared(files: dict[str, Path]) -> None:
    """Its images are those of the checkpoint alone, and so is its memory when the other is gone."""
    reference = Bench(files["sd"]).images(REQUESTS)
    for config, expected in configurations(files):
        shared = SharedComponents()
        plain, changed = Bench(files["sd"], shared=shared), Bench(files["sd"], **config)
        alone, images = changed.model.num_bytes, changed.images(REQUESTS)
        changed.model.unload()
        changed = Bench(files["sd"], shared=shared, **config)
        assert components_in_common(plain, changed) == expected, config
        assert (changed.model.num_bytes < alone) == bool(expected)
        assert changed.images(REQUESTS) == images
        assert plain.images(REQUESTS) == reference
        plain.model.unload()
        assert changed.images(REQUESTS) == images


def test_single_file(files: dict[str, Path]) -> None:
    """What the file has and what comes from its base can be shared, too."""
    shared, base = SharedComponents(), files["sd"]
    plain = Bench(files["single"], shared=shared, base=base)
    lora = (Lora(files["unet"]),)
    changed = Bench(files["single"], shared=shared, base=base, loras=lora)
    assert components_in_common(plain, changed) == {"text_encoder", "vae"}
    assert changed.images(REQUESTS) == Bench(files["single"], base=base, loras=lora).images(
        REQUESTS
    )
    assert not components_in_common(Bench(base, shared=shared), plain)


def test_memory_is_freed(files: dict[str, Path]) -> None:
    """A component leaves the memory with the last checkpoint that has it."""
    shared = SharedComponents()
    plain = Bench(files["sd"], shared=shared)
    full = plain.model.num_bytes
    other = Bench(files["sd"], shared=shared, loras=(Lora(files["unet"]),))
    part = other.model.num_bytes
    plain.model.unload()
    assert other.model.num_bytes == part < full
    assert plain.model.num_bytes < full  # it could share two components again
    other.model.unload()
    assert plain.model.num_bytes == other.model.num_bytes == full
    assert not shared._modules


def test_changed_file(files: dict[str, Path], tmp_path: Path) -> None:
    """A component whose file was replaced is another one."""
    folder, shared = tiny.stable_diffusion(tmp_path / "sd"), SharedComponents()
    plain = Bench(folder, shared=shared)
    vae: Any = diffusers.AutoencoderKL.from_pretrained(folder / "vae")
    vae.decoder.conv_out.bias.data += 0.1
    vae.save_pretrained(folder / "vae")
    assert components_in_common(plain, Bench(folder, shared=shared)) == {"text_encoder", "unet"}


def test_removed_file(files: dict[str, Path], tmp_path: Path) -> None:
    """Without it, the memory of the checkpoint is known as before; the load names the file."""
    lora = tmp_path / "lora.safetensors"
    lora.write_bytes(files["unet"].read_bytes())
    bench = Bench(files["sd"], loras=(Lora(lora),))
    full = bench.model.num_bytes
    bench.model.unload()
    lora.unlink()
    assert bench.model.num_bytes == full
    with pytest.raises(SettingsError, match=f"{lora} cannot be read"):
        bench.model.load()
