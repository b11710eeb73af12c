"""Missing tensors and other shapes are refused; older names of tensors are accepted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from daguerre.errors import SettingsError

from .conftest import REASON, Bench, Request

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

Tensors: TypeAlias = dict[str, Any]
REQUEST = Request("a red fox", steps=1)


def change(folder: Path, component: str, change: Callable[[Tensors], Tensors]) -> Path:
    """Rewrites the weights of a component; returns their file."""
    from safetensors.torch import load_file, save_file

    (file,) = (folder / component).glob("*.safetensors")
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return file


def without(pattern: str) -> Callable[[Tensors], Tensors]:
    def remove(tensors: Tensors) -> Tensors:
        kept = {name: each for name, each in tensors.items() if not re.search(pattern, name)}
        assert kept.keys() < tensors.keys()
        return kept

    return remove


def renamed(pattern: str, replacement: str) -> Callable[[Tensors], Tensors]:
    def rename(tensors: Tensors) -> Tensors:
        changed = {re.sub(pattern, replacement, name): each for name, each in tensors.items()}
        assert changed.keys() != tensors.keys()
        return changed

    return rename


@pytest.mark.parametrize(
    ("family", "component", "damage", "message"),
    [
        ("stable-diffusion", "unet", without("conv_in.weight"), "conv_in.weight, which UNet2D"),
        ("stable-diffusion", "vae", without("decoder.conv_out.bias"), "decoder.conv_out.bias"),
        ("stable-diffusion", "text_encoder", without("0.mlp.fc1.weight"), "0.mlp.fc1.weight"),
        ("stable-diffusion", "text_encoder", renamed("^", "other."), " and 33 more, which CLIP"),
        ("stable-diffusion-xl", "text_encoder_2", without("text_projection"), "text_projection"),
        ("flux", "text_encoder_2", without("shared.weight"), "shared.weight, which T5"),
        ("flux-2", "vae", without("running_mean"), "bn.running_mean, which AutoencoderKLFlux2"),
    ],
)
def test_missing_tensor(
    family: str,
    component: str,
    damage: Callable[[Tensors], Tensors],
    message: str,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The error names the file, the tensors and the class that needs them."""
    folder = shutil.copytree(folder_of(family), tmp_path / "damaged")
    file = change(folder, component, damage)
    with pytest.raises(SettingsError, match=re.escape(message)) as raised:
        Bench(folder)
    assert str(file) in raised.value.message and "download" in raised.value.message


def cut(tensors: Tensors) -> Tensors:
    """The first matrix without its last row."""
    name = next(name for name, each in tensors.items() if each.ndim == 2)
    return {**tensors, name: tensors[name][:-1].clone()}


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_other_shape(component: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The weights of another checkpoint: the error names their file and the configuration."""
    folder = shutil.copytree(folder_of("stable-diffusion"), tmp_path / "swapped")
    file = change(folder, component, cut)
    with pytest.raises(SettingsError, match="tensors of other shapes than") as raised:
        Bench(folder)
    config = file.parent / "config.json"
    assert str(file) in raised.value.message and str(config) in raised.value.message


def test_missing_tensor_of_the_safety_checker(tmp_path: Path) -> None:
    """Components that the engine does not run are checked, too."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "checked", **tiny.safety_checker(threshold=2.0))
    change(folder, "safety_checker", without("visual_projection"))
    with pytest.raises(SettingsError, match=r"visual_projection\.weight, which StableDiffusion"):
        Bench(folder)


def with_position_ids(tensors: Tensors) -> Tensors:
    prefixed = renamed("^", "text_model.")(tensors)
    return {**prefixed, "text_model.embeddings.position_ids": torch.arange(77)[None]}


def attention_of_2022(tensors: Tensors) -> Tensors:
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for name, old in names.items():
        tensors = renamed(rf"attentions\.0\.{name}", f"attentions.0.{old}")(tensors)
    return tensors


@pytest.mark.parametrize(
    ("family", "component", "age"),
    [
        ("stable-diffusion", "text_encoder", with_position_ids),
        ("stable-diffusion", "vae", attention_of_2022),
        ("stable-diffusion-3", "text_encoder_3", renamed("shared", "encoder.embed_tokens")),
        ("stable-diffusion-3", "transformer", without(r"pos_embed\.pos_embed")),
        ("flux-2", "vae", without("num_batches_tracked")),
    ],
)
def test_harmless_absence(
    family: str,
    component: str,
    age: Callable[[Tensors], Tensors],
    folder_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Older names, tied weights and computed buffers: the image is the same."""
    expected = Bench(folder_of(family)).images([REQUEST])
    folder = shutil.copytree(folder_of(family), tmp_path / "old")
    change(folder, component, age)
    assert Bench(folder).images([REQUEST]) == expected
