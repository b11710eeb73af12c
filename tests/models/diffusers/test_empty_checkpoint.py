"""What `daguerre models add` finds without reading weights: the same as a load, in its words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.empty_checkpoint import EmptyCheckpoint
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.samplers import Sampler
from daguerre.models.diffusers.serving_options import ServingOptions

from .conftest import REASON

pytest.importorskip("peft", reason=REASON)

import torch
from safetensors.torch import load_file, save_file

from . import forms, lora_files, original_layout, tiny
from .test_default_executor import families
from .test_single_file import _tiny_flux  # noqa: F401

Config = Mapping[str, Any]


def model(path: Path, config: Config) -> DiffusersModel:
    """`config` has keys of `PipelineConfig` and of `ServingOptions`."""
    serving = {name: config[name] for name in config if name in ServingOptions.__slots__}
    pipeline = {name: config[name] for name in config if name not in serving}
    loaded = LoadedCheckpoint(PipelineConfig(path, **{"executor": "eager", **pipeline}))
    return DiffusersModel("m", loaded, ServingOptions(**serving))


# `make soak` checks all families.
ESSENTIAL = ("stable-diffusion-xl", "flux", "z-image")


@pytest.mark.parametrize("family", families(ESSENTIAL))
def test_families(family: str, folder_of: Callable[[str], Path]) -> None:
    """A check accepts what a load accepts, and the weights take no memory."""
    checked = model(folder_of(family), {})
    checked.check()
    assert checked.weights_key.pipeline is None
    empty = EmptyCheckpoint(checked.weights_key.config)
    empty.load()
    modules = [part for part in empty.pipeline.components.values() if hasattr(part, "parameters")]
    weights = [weight for module in modules for weight in module.parameters()]
    assert weights and all(weight.untyped_storage().nbytes() <= 8 for weight in weights)


def change(file: Path, edit: Callable[[original_layout.State], object]) -> None:
    state = dict(load_file(file))
    edit(state)
    save_file(state, file, metadata={"format": "pt"})


def lacking(name: str) -> Callable[[original_layout.State], object]:
    return lambda state: state.pop(name)


def of_shape(name: str, *shape: int) -> Callable[[original_layout.State], object]:
    return lambda state: state.update({name: torch.zeros(shape)})


UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


def damaged(
    file: str, edit: Callable[[original_layout.State], object]
) -> Callable[[Path], tuple[Path, Config]]:
    def make(home: Path) -> tuple[Path, Config]:
        change(home / "sd" / file, edit)
        return home / "sd", {}

    return make


def single_file(edit: Callable[[original_layout.State], object]) -> Any:
    def make(home: Path) -> tuple[Path, Config]:
        file, base = forms.write_single(forms.Files(home, Path), "sdxl", edit)
        return file, {"base": base}

    return make


def other_unet(home: Path) -> tuple[Path, Config]:
    state = original_layout.tensors(tiny.unet(cross_attention_dim=32))
    file = original_layout.write(home / "unet.safetensors", state)
    change(file, lacking("conv_in.bias"))
    return home / "sd", {"components": (("unet", file),)}


def lora(home: Path) -> tuple[Path, Config]:
    state = lora_files.kohya("lora_unet", {"no_layer": lora_files.pair((64, 64))})
    return home / "sd", {"loras": (Lora(lora_files.write(home / "l.safetensors", state)),)}


def embedding(home: Path) -> tuple[Path, Config]:
    save_file({"emb_params": torch.zeros(1, 32)}, home / "e.safetensors")
    return home / "sd", {"embeddings": (TextualInversion(home / "e.safetensors", "a"),)}


def sampler(**options: Any) -> Callable[[Path], tuple[Path, Config]]:
    chosen = Sampler("EulerDiscreteScheduler", tuple(options.items()))
    return lambda home: (home / "sd", {"sampler": chosen})


def other_width(home: Path) -> tuple[Path, Config]:
    shutil.rmtree(home / "sd/text_encoder")
    tiny.clip(width=40).save_pretrained(home / "sd/text_encoder")
    return home / "sd", {}


def other_config(home: Path) -> tuple[Path, Config]:
    file = home / "sd/unet/config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "in_channels": 9}))
    return home / "sd", {}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (damaged(UNET, lacking("conv_in.weight")), "lacks conv_in.weight, which UNet2D"),
        (damaged(UNET, of_shape("conv_in.weight", 3)), "has tensors of other shapes than UNet2D"),
        (damaged(TEXT, lacking("final_layer_norm.bias")), "lacks final_layer_norm.bias, which CL"),
        (
            damaged(TEXT, of_shape("final_layer_norm.bias", 3)),
            "has tensors of other shapes than CLIPTextModel has with",
        ),
        (other_config, "has tensors of other shapes than UNet2DConditionModel has with"),
        (other_width, "makes no image: "),
        (
            single_file(lacking(f"{original_layout.UNET}time_embed.0.bias")),
            "lacks time_embedding.linear_1.bias, which UNet2DConditionModel needs",
        ),
        (
            single_file(lacking("conditioner.embedders.1.model.text_projection")),
            "lacks text_projection.weight, which CLIPTextModelWithProjection needs",
        ),
        (other_unet, "lacks conv_in.bias, which UNet2DConditionModel needs"),
        (lora, "does not fit StableDiffusionPipeline, or has a layout that diffusers does not"),
        (embedding, "of embeddings already; change it to another one"),
        (sampler(no_option=1), "unknown key 'no_option'"),
        (sampler(beta_end=1e30), "its sampler computes NaN or infinity"),
    ],
)
def test_refusals(
    make: Callable[[Path], tuple[Path, Config]],
    words: str,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A check refuses what a load refuses, in the same words. The libraries print nothing."""
    shutil.copytree(folder_of("stable-diffusion"), tmp_path / "sd")
    refused = model(*make(tmp_path))
    capfd.readouterr()
    with pytest.raises(SettingsError) as checked:
        refused.check()
    with pytest.raises(SettingsError) as loaded:
        refused.load()
    assert checked.value.message == loaded.value.message
    assert words in checked.value.message and "\n" not in checked.value.message
    assert capfd.readouterr().err == ""
