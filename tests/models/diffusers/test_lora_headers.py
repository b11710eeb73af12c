"""LoRA files by their header: the words for those that are refused. The tests need no extra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters import lora_header
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.families import FAMILIES

from .test_recognition import write

TEXT_LAYER = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
Shapes = dict[str, tuple[int, ...]]


def layer(name: str, width: int = 320, down: str = "lora_down", up: str = "lora_up") -> Shapes:
    return {f"{name}.{down}.weight": (4, width), f"{name}.{up}.weight": (320, 4)}


def check(file: Path, pipeline: str = "StableDiffusionPipeline", **changes: object) -> None:
    """For a UNet that reads 768 features of a text."""
    family, folder = FAMILIES[pipeline], file.parent / "checkpoint"
    config = {"cross_attention_dim": 768} if family.denoiser == "unet" else {}
    (folder / family.denoiser).mkdir(parents=True, exist_ok=True)
    (folder / family.denoiser / "config.json").write_text(json.dumps(config))
    components = {"unet": "torchao"} if changes else {}
    lora_header.check(Lora(file), Checkpoint(folder, family, {}, quantized_components=components))


def refusal(file: Path, pipeline: str = "StableDiffusionPipeline", **changes: object) -> str:
    with pytest.raises(SettingsError) as caught:
        check(file, pipeline, **changes)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "shapes",
    [
        layer(TEXT_LAYER, 768),
        layer(LAYER, 320, "lora_A", "lora_B") | {f"{LAYER}.lora_B.bias": (320,)},
        layer(LAYER, 320, "lora_A.default", "lora_B.default"),
        layer(f"{LAYER}_lora", 320, "down", "up"),
        layer(TEXT_LAYER, 768) | {f"{TEXT_LAYER}.alpha": ()},
    ],
)
def test_names_of_matrices(shapes: Shapes, tmp_path: Path) -> None:
    check(write(tmp_path / "m.safetensors", shapes))


@pytest.mark.parametrize(
    ("pipeline", "shapes", "words"),
    [
        ("StableDiffusionPipeline", layer(TEXT_LAYER, 2048), "for SDXL, which reads 2048 features"),
        ("StableDiffusionPipeline", layer(TEXT_LAYER, 1024), "for Stable Diffusion 2.x, which"),
        ("FluxPipeline", layer(TEXT_LAYER, 768), "for Stable Diffusion 1.x, which reads 768"),
        ("StableDiffusionPipeline", layer(TEXT_LAYER, 99), "for another UNet, which reads 99"),
        (
            "StableDiffusionXLPipeline",
            layer("transformer.single_transformer_blocks.0.attn.to_q"),
            "for FLUX, by its layer transformer.single_transformer_blocks.0.attn.to_q",
        ),
        ("StableDiffusionPipeline", layer("lora_unet_double_blocks_0_img_mod_lin"), "for FLUX"),
        ("FluxPipeline", layer("lora_unet_joint_blocks_0_x_block_attn_qkv"), "Diffusion 3"),
        ("FluxPipeline", layer("transformer.transformer_blocks.0.img_mod.1"), "for Qwen-Image"),
        ("FluxPipeline", layer("diffusion_model.blocks.0.cross_attn.k"), "for Wan, a video model"),
    ],
)
def test_lora_for_another_family(pipeline: str, shapes: Shapes, words: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", shapes)
    message = refusal(file, pipeline)
    assert message.startswith(f"{file} is a LoRA ") and words in message
    assert f"{tmp_path / 'checkpoint'} is {FAMILIES[pipeline].checkpoints}" in message


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({**layer(LAYER), f"{LAYER}.dora_scale": (320,)}, "is a DoRA, by 1 of its tensors such as"),
        ({f"{LAYER}.hada_w1_a": (320, 4), f"{LAYER}.hada_w1_b": (4, 320)}, "is a LoHa, by 2 of"),
        ({f"{LAYER}.lokr_w1": (320, 4)}, "is a LoKr"),
        ({**layer(LAYER), f"{LAYER}.lora_mid.weight": (4, 4, 3, 3)}, "is a LoCon with three"),
        ({f"{LAYER}.oft_blocks": (4, 4)}, "is an OFT"),
        ({f"{LAYER}.a1.weight": (4, 4)}, "is a GLoRA"),
        ({f"{LAYER}.on_input": ()}, "is an IA³"),
        ({f"{LAYER}.lora_down.weight": (4, 320)}, "but not both matrices of that layer"),
        ({f"{LAYER}.lora_B.bias": (4,)}, "but not both matrices of that layer"),
        (
            {**layer(LAYER), f"{LAYER}.lora_up.weight": (320, 5)},
            "lora_down.weight has the shape (4, 320) and",
        ),
        ({**layer(LAYER), f"{LAYER}.lora_up.weight": (4,)}, "they do not multiply"),
        (
            {"model.diffusion_model.input_blocks.0.0.weight": (1,)},
            "is not a LoRA, but a checkpoint",
        ),
        ({"down_blocks.0.x": (1,)}, "is not a LoRA, but a denoiser alone"),
        ({"emb_params": (2, 768)}, "is not a LoRA, but a textual inversion, by its tensor"),
        ({"x": (1,)}, "is not a LoRA, but a file of an unknown kind, its first tensor is x"),
    ],
)
def test_other_files_are_named(shapes: Shapes, words: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", shapes)
    message = refusal(file)
    assert message.startswith(str(file)) and words in message


def test_unsuitable_checkpoints(tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", layer(LAYER))
    assert "PixArtSigmaPipeline of diffusers loads none; remove" in refusal(
        file, "PixArtSigmaPipeline"
    )
    assert "unet in" in (message := refusal(file, quantized=True))
    assert "is already quantized; use a checkpoint that is not" in message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04", "is a pickle of torch, which can run code"),
        (b"\x80\x02}", "is a pickle, which can run code"),
        (b"", "is empty; download it again"),
        (b"\x08\0\0\0\0\0\0\0{}", "has 10 bytes instead of 16; download it again"),
        (b"\x02\0\0\0\0\0\0\0[]", "is not a safetensors file, or is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of git-lfs"),
    ],
)
def test_damaged_file(data: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(data)
    message = refusal(file)
    assert message.startswith(str(file)) and words in message


def test_missing_file(tmp_path: Path) -> None:
    assert "m.pt cannot be read: No such file or directory" in refusal(tmp_path / "m.pt")
    (tmp_path / "m.pt").write_bytes(b"{}")
    assert "is a file of the type '.pt'; loras needs a .safetensors file" in refusal(
        tmp_path / "m.pt"
    )
