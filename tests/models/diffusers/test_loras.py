"""LoRAs: the weights and images of diffusers with the same files, and files that do not fit."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig

from .conftest import REASON

pytest.importorskip("peft", reason=REASON)

import diffusers
import torch
from diffusers.loaders import lora_conversion_utils, lora_pipeline

from daguerre.models.diffusers.adapters import lora_fusion

from . import lora_files
from .lora_files import State


@pytest.fixture(autouse=True)
def _tiny_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' conversion of FLUX.1 assumes a width of 3072; the tiny one has 32."""
    convert = lora_conversion_utils._convert_kohya_flux_lora_to_diffusers
    source = inspect.getsource(convert).replace("3072", "32").replace("12288", "128")
    scope = dict(vars(lora_conversion_utils))
    exec(source, scope)
    monkeypatch.setattr(lora_pipeline, convert.__name__, scope[convert.__name__])


def sd(pipeline: Any, **options: Any) -> list[State]:
    unet = lora_files.kohya("lora_unet", lora_files.matrices(pipeline.unet), **options)
    return [unet, lora_files.kohya_text(pipeline.text_encoder, **options)]


def sdxl(pipeline: Any) -> list[State]:
    return [
        lora_files.kohya_xl(pipeline.unet),
        lora_files.kohya_text(pipeline.text_encoder, "lora_te1"),
        lora_files.kohya_text(pipeline.text_encoder_2, "lora_te2"),
    ]


def flux(pipeline: Any) -> list[State]:
    text = lora_files.kohya_text(pipeline.text_encoder, "lora_te1")
    return [lora_files.kohya_flux(pipeline.transformer.inner_dim), text]


def peft(pipeline: Any, **options: Any) -> list[State]:
    """All parts that diffusers loads LoRAs into."""
    return [
        lora_files.peft(part, lora_files.matrices(getattr(pipeline, part), **options))
        for part in pipeline._lora_loadable_modules
    ]


def peft_unet(pipeline: Any) -> list[State]:
    """All layers of the UNet, with ranks of two sizes."""
    ranks = ((lora_files.ALL, 2), (lora_files.ATTENTION, 3))
    return [
        lora_files.peft("unet", lora_files.matrices(pipeline.unet, layers, rank))
        for layers, rank in ranks
    ]


# They share all code with the others, so `make soak` runs them.
_OTHER_FAMILIES = ("flux-2", "sana", "lumina-2", "z-image", "krea-2")
# Name -> family, and what makes the file from the family's pipeline.
FILES: Mapping[str, tuple[str, Callable[[Any], list[State]]]] = {
    "sd kohya": ("stable-diffusion", sd),
    "sd kohya without alphas": ("stable-diffusion", partial(sd, alpha=lambda layer: None)),
    "sd peft": ("stable-diffusion", peft),
    "sd all layers": ("stable-diffusion", peft_unet),
    "sdxl kohya": ("stable-diffusion-xl", sdxl),
    "sdxl peft": ("stable-diffusion-xl", peft),
    "flux kohya": ("flux", flux),
    **{
        f"{family} peft": (family, peft)
        for family in ("stable-diffusion-3", "flux", "qwen-image", *_OTHER_FAMILIES)
    },
}


def load(folder: Path) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(folder)


def stock(folder: Path, *loras: Lora) -> Any:
    """The stock pipeline with the LoRAs fused, as its documentation says."""
    return lora_files.fuse(load(folder), *loras)


def weights(pipeline: Any) -> State:
    return {
        f"{part}.{name}": tensor
        for part in pipeline._lora_loadable_modules
        for name, tensor in getattr(pipeline, part).state_dict().items()
    }


def changes(one: State, other: State) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name, tensor in one.items() if not torch.equal(tensor, other[name])}


def fused(folder: Path, *loras: Lora) -> State:
    pipeline = load(folder)
    lora_fusion.fuse(pipeline, loras, torch.float32)
    return weights(pipeline)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.soak) if family in _OTHER_FAMILIES else name
        for name, (family, _) in FILES.items()
    ],
)
def test_weights_are_those_of_diffusers(
    name: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    family, make = FILES[name]
    folder = folder_of(family)
    base = load(folder)
    lora = Lora(lora_files.write(tmp_path / "x.safetensors", *make(base)), 0.75)
    found = fused(folder, lora)
    assert not changes(found, weights(stock(folder, lora)))
    changed = {name.partition(".")[0] for name in changes(found, weights(base))}
    is_denoiser_only = name == "sd all layers"
    assert changed == {*base._lora_loadable_modules[: 1 if is_denoiser_only else None]}


def test_families_with_loras() -> None:
    """The families say which pipelines of diffusers load LoRAs."""
    found = {name: hasattr(getattr(diffusers, name), "load_lora_weights") for name in FAMILIES}
    assert {name: family.has_loras for name, family in FAMILIES.items()} == found


@pytest.fixture
def sd_lora(folder_of: Callable[[str], Path], tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint and a LoRA for it."""
    folder = folder_of("stable-diffusion")
    return folder, lora_files.write(tmp_path / "x.safetensors", *sd(load(folder)))


def test_different_alphas(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """diffusers gives the attention layers the most frequent alpha. Layers without one have their
    rank."""
    folder = folder_of("stable-diffusion")
    base = load(folder)

    def alpha(layer: str) -> float | None:
        return None if "to_k" in layer else 1.5 if "to_v" in layer or "v_proj" in layer else 4.0

    file = lora_files.write(tmp_path / "x.safetensors", *sd(base, alpha=alpha))
    found, before = fused(folder, Lora(file, 2.0)), weights(base)
    for part in ("unet", "text_encoder"):
        for layer, (down, up) in lora_files.matrices(getattr(base, part)).items():
            name = f"{part}.{layer}.weight"
            scale = 2.0 * (alpha(layer) or len(down)) / len(down)
            expected = before[name] + scale * (up.half().float() @ down.half().float())
            torch.testing.assert_close(found[name], expected)


def test_last_layer_of_flux(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """diffusers ignores it and its alpha."""
    folder = folder_of("flux")
    before = weights(load(folder))
    name = "transformer.proj_out.weight"
    down, up = lora_files.pair(before[name].shape)
    state = lora_files.kohya("lora_unet", {"final_layer_linear": (down, up)}, lambda layer: 1.0)
    found = fused(folder, Lora(lora_files.write(tmp_path / "x.safetensors", state)))
    assert changes(found, before) == {name}
    expected = before[name] + up.half().float() @ down.half().float() / len(down)
    torch.testing.assert_close(found[name], expected)


def test_scale_in_the_metadata(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Newer files of diffusers have the alpha there."""
    folder = folder_of("stable-diffusion")
    (state, _) = peft(load(folder))
    layers = sorted({name.split(".lora_")[0].removeprefix("unet.") for name in state})
    config = {"r": 4, "lora_alpha": 12, "target_modules": layers}
    text = json.dumps({f"unet.{key}": value for key, value in config.items()})
    plain = Lora(lora_files.write(tmp_path / "x.safetensors", state), 3.0)
    file = lora_files.write(tmp_path / "y.safetensors", state, lora_adapter_metadata=text)
    assert not changes(fused(folder, Lora(file)), fused(folder, plain))
    assert not changes(fused(folder, Lora(file)), weights(stock(folder, Lora(file))))


def test_tensors_without_effect(sd_lora: tuple[Path, Path], tmp_path: Path) -> None:
    """Zeros may belong to a layer that does not exist."""
    folder, file = sd_lora
    (down, up) = lora_files.pair((8, 8))
    zeros = {"x.lora_down.weight": down, "x.lora_up.weight": up * 0, "x.diff_b": torch.zeros(3)}
    added = lora_files.write(tmp_path / "y.safetensors", lora_files.read(file), zeros)
    assert not changes(fused(folder, Lora(added)), fused(folder, Lora(file)))


NO_LAYER = "lora_unet_down_blocks_7_attentions_0_proj_in"
NO_LAYER_OF_TEXT = "lora_te_text_model_encoder_layers_9_mlp_fc1"


@pytest.mark.parametrize(
    ("added", "words"),
    [
        (lora_files.kohya("", {NO_LAYER: lora_files.pair((64, 64))}), "3 of "),
        (lora_files.kohya("", {NO_LAYER_OF_TEXT: lora_files.pair((37, 32))}), "3 of "),
        (lora_files.kohya("lora_te2", {"layers_0_fc1": lora_files.pair((37, 32))}), "3 of "),
        ({"lora_unet_conv_in.diff": torch.ones(3)}, "1 of "),
        ({"lora_unet_conv_in.alpha": torch.tensor(2.0)}, "1 of "),
        ({"bundle_emb.x.string_to_param.*": torch.ones(3)}, "1 of "),
    ],
)
def test_tensors_that_fit_no_layer(
    added: State, words: str, sd_lora: tuple[Path, Path], tmp_path: Path
) -> None:
    """diffusers ignores some of them."""
    added = {name.removeprefix("_"): tensor for name, tensor in added.items()}
    folder, file = sd_lora
    state = lora_files.read(file)
    file = lora_files.write(tmp_path / "y.safetensors", state, added)
    message = refusal(folder, file)
    assert message.startswith(f"{words}{len(state) + len(added)} tensors in {file} fit no layer")
    assert min(added) in message


def test_parts_that_the_loader_ignores(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """kohya's layout of Stable Diffusion 3, a normalization, and an input with more channels."""
    folder = folder_of("stable-diffusion-3")
    made = lora_files.matrices(load(folder).transformer)
    file = lora_files.write(tmp_path / "x.safetensors", lora_files.kohya("lora_unet", made))
    assert f"{3 * len(made)} of {3 * len(made)} tensors in" in refusal(folder, file)
    folder = folder_of("flux")
    norm = {"transformer.transformer_blocks.0.attn.norm_q.weight": torch.ones(16)}
    file = lora_files.write(tmp_path / "y.safetensors", *peft(load(folder)), norm)
    assert f"tensors in {file} fit no layer of FluxPipeline, such as {min(norm)};" in refusal(
        folder, file
    )
    wide = {"x_embedder": lora_files.pair((32, 2 * load(folder).transformer.config.in_channels))}
    file = lora_files.write(tmp_path / "z.safetensors", lora_files.peft("transformer", wide))
    assert f"{file} changes the shapes of layers" in refusal(folder, file)


def test_values_that_cannot_be_added(sd_lora: tuple[Path, Path], tmp_path: Path) -> None:
    folder, file = sd_lora
    state = lora_files.read(file)
    name = next(name for name in state if name.endswith("to_q.lora_up.weight"))

    def changed(tensor: Any) -> str:
        added = {name: tensor}
        return refusal(folder, lora_files.write(tmp_path / "y.safetensors", state, added))

    assert "has values that are not finite" in changed(state[name] * torch.nan)
    assert f"{name} has the type torch.int8" in changed(state[name].to(torch.int8))
    assert "size mismatch" in changed(torch.cat([state[name]] * 2))


def test_floats_of_8_bits(sd_lora: tuple[Path, Path], tmp_path: Path) -> None:
    folder, file = sd_lora
    small = {
        name: tensor if name.endswith("alpha") else tensor.to(torch.float8_e4m3fn)
        for name, tensor in lora_files.read(file).items()
    }
    wide = {name: tensor.float() for name, tensor in small.items()}
    files = (
        lora_files.write(tmp_path / f"{number}.safetensors", state)
        for number, state in enumerate((small, wide))
    )
    assert not changes(*(fused(folder, Lora(file)) for file in files))


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantization": "int8-weight-only"}])
def test_other_types(options: dict[str, Any], sd_lora: tuple[Path, Path]) -> None:
    """The LoRA is added before the denoiser is quantized."""
    folder, file = sd_lora
    if "quantization" in options:
        pytest.importorskip("torchao", reason="daguerre[quantization] is not installed")
    loaded = LoadedCheckpoint(PipelineConfig(folder, loras=(Lora(file),), **options))
    loaded.load()
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = loaded.pipeline.unet.get_submodule(name).weight
    weight = weight.dequantize() if "quantization" in options else weight
    expected = fused(folder, Lora(file))[f"unet.{name}.weight"]
    torch.testing.assert_close(weight.float(), expected, atol=0.02, rtol=0.02)


def test_digest(sd_lora: tuple[Path, Path]) -> None:
    """It has the file and its scale, and the file must not change while it is served."""
    folder, file = sd_lora

    def loaded(*loras: Lora) -> LoadedCheckpoint:
        return LoadedCheckpoint(PipelineConfig(folder, loras=loras))

    digests = [
        one.checkpoint.sha256()
        for one in (loaded(), loaded(Lora(file)), loaded(Lora(file, 0.5)), loaded(Lora(file)))
    ]
    assert len({*digests}) == 3 and digests[1] == digests[3]
    served = loaded(Lora(file))
    served.load()
    served.unload()
    state = lora_files.read(file)
    lora_files.write(file, {name: tensor * 2 for name, tensor in state.items()}, again="yes")
    with pytest.raises(SettingsError, match="have changed since the server started"):
        served.load()


def refusal(folder: Path, file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        fused(folder, Lora(file))
    assert "\n" not in caught.value.message
    return caught.value.message
