"""Textual inversions by their header: the words for those that are refused. No extra is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters import textual_inversion_header
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.families import FAMILIES

from .test_recognition import write

SD, SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
Shapes = dict[str, tuple[int, ...]]


def check(file: Path, pipeline: str = SD) -> None:
    """For text encoders with 768 and 1280 numbers."""
    folder = file.parent / "checkpoint"
    for name, width in (("text_encoder", 768), ("text_encoder_2", 1280)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps({"hidden_size": width}))
    checkpoint = Checkpoint(folder, FAMILIES[pipeline], {})
    textual_inversion_header.check(TextualInversion(file, "<x>"), checkpoint)


def refusal(file: Path, pipeline: str = SD) -> str:
    with pytest.raises(SettingsError) as caught:
        check(file, pipeline)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("pipeline", "shapes"),
    [
        (SD, {"emb_params": (4, 768)}),
        (SD, {"<cat-toy>": (768,)}),
        (SDXL, {"clip_l": (2, 768), "clip_g": (2, 1280)}),
        (SDXL, {"text_encoders_0": (2, 768), "text_encoders_1": (2, 1280)}),
    ],
)
def test_layouts(pipeline: str, shapes: Shapes, tmp_path: Path) -> None:
    check(write(tmp_path / "m.safetensors", shapes), pipeline)


@pytest.mark.parametrize(
    ("pipeline", "shapes", "words"),
    [
        (SD, {"emb_params": (2, 1024)}, "have 1024 numbers, as for Stable Diffusion 2.x; those of"),
        (SD, {"emb_params": (2, 99)}, "have 99 numbers; those of text_encoder in"),
        (
            SDXL,
            {"clip_l": (2, 768), "clip_g": (2, 768)},
            "as for Stable Diffusion 1.x; those of te",
        ),
        (SD, {"clip_l": (2, 768), "clip_g": (2, 1280)}, "has vectors for text_encoder, text_enc"),
        (SDXL, {"emb_params": (2, 768)}, "has vectors for text_encoder, but the checkpoint has"),
        (
            SDXL,
            {"clip_l": (2, 768), "clip_g": (3, 1280)},
            "(2, 768) and (3, 1280) are not shapes of",
        ),
        (SD, {"emb_params": (1, 2, 768)}, "(1, 2, 768) are not shapes of vectors"),
        (SD, {"emb_params": (0, 768)}, "are not shapes of vectors"),
        (SD, {}, "is not a textual inversion, but a file of an unknown kind"),
        (
            SD,
            {"lora_unet_x.lora_down.weight": (4, 8), "lora_unet_x.lora_up.weight": (8, 4)},
            "is not a textual inversion, but a LoRA, by its tensor lora_unet_x.lora_down.weight",
        ),
        ("FluxPipeline", {"emb_params": (2, 768)}, "embeddings is given, but FluxPipeline has no"),
    ],
)
def test_files_that_do_not_fit(pipeline: str, shapes: Shapes, words: str, tmp_path: Path) -> None:
    assert words in refusal(write(tmp_path / "m.safetensors", shapes), pipeline)


def test_pickle(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"\x80\x02}")
    message = refusal(tmp_path / "m.pt")
    assert "is a pickle, which can run code when it is loaded; embeddings needs a" in message
