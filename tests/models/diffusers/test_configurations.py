"""The configurations in the package are those of the published checkpoints.

The networks have their real sizes, without memory for their weights.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.models.diffusers.single_file.layouts import CONFIGURATIONS
from daguerre.models.diffusers.single_file.recognition import recognize

from .conftest import REASON

pytest.importorskip("torch", reason=REASON)

import diffusers
from accelerate import init_empty_weights

from daguerre.models.diffusers.single_file import clip_tokenizer, network

from . import original_layout
from .test_recognition import write

CLIP_L, CLIP_G = 123_060_480, 694_659_840
# Numbers of parameters, as published.
NUM_PARAMETERS = {
    "sd1": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": CLIP_L},
    "sdxl": {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": CLIP_L,
        "text_encoder_2": CLIP_G,
    },
    "sd3-medium": {
        "transformer": 2_028_328_000,
        "vae": 83_819_683,
        "text_encoder": CLIP_L + 768 * 768,
        "text_encoder_2": CLIP_G,
    },
    "sd3.5-medium": {
        "transformer": 2_243_171_520,
        "vae": 83_819_683,
        "text_encoder": CLIP_L + 768 * 768,
        "text_encoder_2": CLIP_G,
    },
    "sd3.5-large": {
        "transformer": 8_056_627_520,
        "vae": 83_819_683,
        "text_encoder": CLIP_L + 768 * 768,
        "text_encoder_2": CLIP_G,
    },
    "flux-dev": {"transformer": 11_901_408_320, "vae": 83_819_683, "text_encoder": CLIP_L},
    "flux-schnell": {"transformer": 11_891_178_560, "vae": 83_819_683, "text_encoder": CLIP_L},
}
WRITERS: dict[str, Callable[[Any], original_layout.State]] = {
    "UNet2DConditionModel": original_layout.unet,
    "SD3Transformer2DModel": original_layout.stable_diffusion_3,
    "FluxTransformer2DModel": original_layout.flux,
}


def networks(configuration: Path) -> dict[str, Any]:
    """The networks with a configuration, without weights."""
    found = {}
    for name, entry in json.loads((configuration / "model_index.json").read_text()).items():
        if (configuration / name / "config.json").exists():
            module_class = getattr(importlib.import_module(entry[0]), entry[1])
            with init_empty_weights():
                if entry[0] == "diffusers":
                    config = module_class.load_config(configuration / name)
                    found[name] = module_class.from_config(config)
                else:
                    config_class = module_class.config_class
                    found[name] = module_class(config_class.from_pretrained(configuration / name))
    return found


@pytest.mark.parametrize("name", NUM_PARAMETERS)
def test_configuration(name: str, tmp_path: Path) -> None:
    """A file of the published size is recognized, and its tensors fit the configuration."""
    configuration = CONFIGURATIONS / name
    made = networks(configuration)
    numbers = {
        part: sum(parameter.numel() for parameter in network.parameters())
        for part, network in made.items()
    }
    assert numbers == NUM_PARAMETERS[name]
    denoiser = "unet" if "unet" in made else "transformer"
    state = WRITERS[type(made[denoiser]).__name__](made[denoiser])
    vae = original_layout.vae(made["vae"])
    shapes = {key: tuple(tensor.shape) for key, tensor in {**state, **vae}.items()}
    file = write(tmp_path / "model.safetensors", shapes)
    variant = recognize(file).variant
    assert variant and variant.configuration == name
    for part, tensors in {denoiser: state, "vae": vae}.items():
        network.convert(file, type(made[part]), configuration / part, tensors)
    sampler = json.loads((configuration / "scheduler/scheduler_config.json").read_text())
    assert getattr(diffusers, sampler["_class_name"]).from_config(sampler)


def test_every_configuration_is_tested() -> None:
    assert {path.name for path in CONFIGURATIONS.iterdir()} == NUM_PARAMETERS.keys()


def test_clip_tokenizer() -> None:
    """Token IDs as published with CLIP; the second tokenizer of SDXL pads with "!"."""
    first = clip_tokenizer.load(CONFIGURATIONS / "sdxl/tokenizer")
    second = clip_tokenizer.load(CONFIGURATIONS / "sdxl/tokenizer_2")
    ids = [49406, 320, 1125, 539, 320, 2368, 49407]
    assert first("a photo of a cat").input_ids == second("a photo of a cat").input_ids == ids
    assert len(first) == 49408 and first.model_max_length == 77
    padded = [one("", padding="max_length").input_ids for one in (first, second)]
    assert padded == [[49406] + [49407] * 76, [49406, 49407] + [0] * 75]
