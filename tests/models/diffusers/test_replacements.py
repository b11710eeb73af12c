"""A VAE or a denoiser from another path: a directory, or a file by either kind of names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError

from .conftest import REASON, Bench, Request, stock_images

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from . import original_layout, tiny  # noqa: E402

REQUESTS = [Request("a red fox in the snow", seed=1), Request("blue ship", seed=2, steps=3)]
Save = Callable[[Any, Path], Path]


def changed(module: Any) -> Any:
    """The module with other weights."""
    for tensor in module.parameters():
        tensor.data.mul_(1.1)
    return module


def save_directory(module: Any, path: Path) -> Path:
    module.save_pretrained(path)
    return path


def save_file(module: Any, path: Path) -> Path:
    return original_layout.write(path.with_suffix(".safetensors"), original_layout.tensors(module))


def save_vae(module: Any, path: Path) -> Path:
    return original_layout.write(path.with_suffix(".safetensors"), original_layout.vae(module, ""))


def save_unet(module: Any, path: Path) -> Path:
    file = path.with_suffix(".safetensors")
    return original_layout.write(file, original_layout.unet(module, prefix=""))


def save_with_others(module: Any, path: Path) -> Path:
    """A whole checkpoint, of which one component is used."""
    unet, vae = changed(tiny.unet(cross_attention_dim=32)), changed(tiny.vae())
    return original_layout.write(
        path.with_suffix(".safetensors"),
        original_layout.unet(module if isinstance(module, type(unet)) else unet),
        original_layout.vae(module if isinstance(module, type(vae)) else vae),
    )


def tiny_vae() -> Any:
    torch.manual_seed(7)
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(16, 16),
        decoder_block_out_channels=(16, 16),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )


@pytest.mark.parametrize(
    ("family", "name", "make", "save"),
    [
        *(
            ("stable-diffusion", "vae", lambda: changed(tiny.vae()), save)
            for save in (save_directory, save_file, save_with_others)
        ),
        ("stable-diffusion", "vae", tiny_vae, save_directory),
        *(
            ("stable-diffusion", "unet", lambda: changed(tiny.unet(cross_attention_dim=32)), save)
            for save in (save_file, save_unet, save_with_others)
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_images(
    family: str,
    name: str,
    make: Callable[[], Any],
    save: Save,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The image is the stock pipeline's with the component; the digest has the other weights.

    Other layouts are in `test_forms`.
    """
    folder, module = folder_of(family), make()
    bench = Bench(folder, components=((name, save(module, tmp_path / "part")),))
    images = bench.images(REQUESTS)
    assert images == stock_images(folder, bench, REQUESTS, **{name: module})
    own = Bench(folder)
    assert images != own.images(REQUESTS)
    assert bench.model.info.weights_sha256 != own.model.info.weights_sha256
    assert f"{name} from {tmp_path / 'part'}" in bench.model.info.description
    assert bench.model.weights_key.latent_to_rgb is not None


@pytest.mark.parametrize("save", [save_directory, save_file])
def test_transformer(save: Save, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder_of("flux")
    module = changed(diffusers.FluxTransformer2DModel.from_pretrained(folder / "transformer"))
    bench = Bench(folder, components=(("transformer", save(module, tmp_path / "part")),))
    assert bench.images(REQUESTS) == stock_images(folder, bench, REQUESTS, transformer=module)


def test_variant_of_another_transformer(tmp_path: Path) -> None:
    """Steps and guidance are those of the transformer that is used."""
    folder = tiny.flux(tmp_path / "dev")
    schnell = tiny.flux(tmp_path / "schnell", is_schnell=True)
    bench = Bench(folder, components=(("transformer", schnell / "transformer"),))
    assert (bench.model.steps, bench.model.guidance) == (4, None)


def without_weights(folder: Path, component: str, to: Path) -> Path:
    copy = shutil.copytree(folder, to)
    for file in (copy / component).glob("*.safetensors"):
        file.unlink()
    return copy


def test_checkpoint_without_the_weights(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A directory and a single file need not have what is replaced."""
    own = folder_of("stable-diffusion")
    base = without_weights(own, "vae", tmp_path / "base")
    pipeline = diffusers.DiffusionPipeline.from_pretrained(own)
    file = original_layout.write(
        tmp_path / "model.safetensors",
        original_layout.unet(pipeline.unet),
        original_layout.clip(pipeline.text_encoder, "cond_stage_model.transformer."),
    )
    vae = changed(tiny.vae())
    components = (("vae", save_vae(vae, tmp_path / "vae")),)
    benches = [Bench(base, components=components), Bench(file, base=base, components=components)]
    expected = stock_images(own, benches[0], REQUESTS, vae=vae)
    assert [bench.images(REQUESTS) for bench in benches] == [expected] * 2


def test_change_while_it_is_served(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    vae = save_file(tiny.vae(), tmp_path / "vae")
    bench = Bench(folder_of("stable-diffusion"), components=(("vae", vae),))
    bench.model.unload()
    save_file(changed(tiny.vae()), tmp_path / "vae")
    os.utime(vae, (1, 1))
    with pytest.raises(SettingsError, match="have changed since the server started"):
        bench.model.load()


def test_refusals_in_words(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Each message is one line that names the key and the file, and says what to do."""
    other = tiny.vae(latent_channels=16)
    xl = folder_of("stable-diffusion-xl")
    lora = original_layout.write(
        tmp_path / "lora.safetensors", {"lora_unet_x.lora_down.weight": torch.zeros(1)}
    )
    truncated = save_vae(tiny.vae(), tmp_path / "truncated")
    truncated.write_bytes(truncated.read_bytes()[:-4])
    lacking = original_layout.vae(tiny.vae(), "")
    del lacking["encoder.conv_in.bias"]
    pickle = tmp_path / "vae.ckpt"
    pickle.write_bytes(b"PK")
    unet = diffusers.UNet2DConditionModel.from_pretrained(xl / "unet")
    cases: list[tuple[str, str, Path, str]] = [
        (
            "stable-diffusion",
            "vae",
            save_directory(other, tmp_path / "other"),
            "config.json has latent_channels = 16, but the checkpoint's own vae has 4; use a vae",
        ),
        (
            "stable-diffusion",
            "vae",
            save_vae(other, tmp_path / "other"),
            "encoder.conv_out.weight of AutoencoderKL has the shape (32, 16, 3, 3) instead of"
            " (8, 16, 3, 3); use a vae for this checkpoint",
        ),
        (
            "stable-diffusion",
            "vae",
            save_directory(tiny.vae(num_levels=3), tmp_path / "larger"),
            "has number of block_out_channels = 3, but the checkpoint's own vae has 2",
        ),
        (
            "stable-diffusion",
            "vae",
            save_directory(tiny.vae(scaling_factor=0.13025), tmp_path / "sdxl-vae"),
            "has scaling_factor = 0.13025, but the checkpoint's own vae has 0.18215; use a vae",
        ),
        ("stable-diffusion", "vae", lora, "which is a LoRA, by its tensor lora_unet_x.lora_down"),
        ("stable-diffusion", "unet", lora, "which is a LoRA, by its tensor lora_unet_x.lora_down"),
        ("stable-diffusion", "vae", truncated, "bytes instead of"),
        (
            "stable-diffusion",
            "vae",
            original_layout.write(tmp_path / "lacking.safetensors", lacking),
            "lacks encoder.conv_in.bias, which AutoencoderKL needs",
        ),
        ("stable-diffusion", "vae", pickle, "it must be the directory of a vae in diffusers"),
        ("stable-diffusion", "vae", tmp_path / "none", "which does not exist; it must be the"),
        ("stable-diffusion", "vae", Path("/dev/null"), "which is not a regular file; it must be"),
        ("stable-diffusion", "vae", xl, f"is a whole checkpoint; use {xl / 'vae'}"),
        ("stable-diffusion", "vae", xl / "tokenizer", "has no config.json; it must be"),
        ("stable-diffusion", "vae", xl / "unet", "is of the class 'UNet2DConditionModel'; it must"),
        (
            "stable-diffusion",
            "vae",
            save_unet(unet, tmp_path / "unet"),
            "which is a checkpoint, by its tensor input_blocks.0.0.weight; give it in the key",
        ),
        (
            "stable-diffusion",
            "unet",
            save_vae(tiny.vae(), tmp_path / "vae"),
            "which is a VAE alone, by its tensor",
        ),
        (
            "stable-diffusion",
            "unet",
            xl / "unet",
            "config.json has cross_attention_dim = 64, but the checkpoint's own unet has 32",
        ),
        (
            "stable-diffusion",
            "unet",
            save_file(unet, tmp_path / "sdxl"),
            "proj_in.weight of UNet2DConditionModel has the shape (64, 64) instead of (64, 64, 1,",
        ),
        (
            "stable-diffusion",
            "transformer",
            xl / "unet",
            "is a StableDiffusionPipeline, whose denoiser is unet; use that key",
        ),
        ("flux", "unet", xl / "unet", "is a FluxPipeline, whose denoiser is transformer; use that"),
    ]
    for family, name, path, words in cases:
        with pytest.raises(SettingsError) as caught:
            Bench(folder_of(family), components=((name, path),))
        message = caught.value.message
        assert words in message and str(path) in message and "\n" not in message, message
