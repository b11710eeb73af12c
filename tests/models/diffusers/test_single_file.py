"""Single-file checkpoints: the images of the stock pipeline, from tiny files in the real layout."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.single_file import reader

from .conftest import REASON, Bench, Request, pipeline_images

pytest.importorskip("torch", reason=REASON)

import diffusers
import torch
from diffusers.loaders import single_file_model, single_file_utils

from daguerre.models.diffusers.single_file import network

from . import original_layout, tiny

REQUESTS = [
    Request("a red fox in the snow", seed=1),
    Request("blue ship", seed=2, steps=3, negative_prompt="cat"),
]
WIDTH_2 = 48  # diffusers tells the text encoders apart by their width


@pytest.fixture(autouse=True)
def _tiny_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' conversion of FLUX.1 assumes a width of 3072; the tiny one has 32."""
    convert = single_file_utils.convert_flux_transformer_checkpoint_to_diffusers
    source = inspect.getsource(convert).replace("inner_dim = 3072", "inner_dim = 32")
    scope = dict(vars(single_file_utils))
    exec(source, scope)
    classes = single_file_model.SINGLE_FILE_LOADABLE_CLASSES
    changed = {"checkpoint_mapping_fn": scope[convert.__name__]}
    monkeypatch.setitem(classes, "FluxTransformer2DModel", changed)


def stable_diffusion(pipeline: Any) -> list[original_layout.State]:
    prefix = "cond_stage_model.transformer."
    return [
        original_layout.unet(pipeline.unet),
        original_layout.vae(pipeline.vae),
        original_layout.clip(pipeline.text_encoder, prefix),
    ]


def stable_diffusion_2(pipeline: Any) -> list[original_layout.State]:
    text = original_layout.open_clip(pipeline.text_encoder, "cond_stage_model.model.")
    return [*stable_diffusion(pipeline)[:2], text]


def stable_diffusion_xl(pipeline: Any) -> list[original_layout.State]:
    return [
        original_layout.unet(pipeline.unet),
        original_layout.vae(pipeline.vae),
        original_layout.clip(pipeline.text_encoder, "conditioner.embedders.0.transformer."),
        original_layout.open_clip(pipeline.text_encoder_2, "conditioner.embedders.1.model."),
    ]


def stable_diffusion_3(pipeline: Any) -> list[original_layout.State]:
    return [
        original_layout.stable_diffusion_3(pipeline.transformer),
        original_layout.vae(pipeline.vae),
        original_layout.clip(pipeline.text_encoder, original_layout.CLIP_L),
        original_layout.clip(pipeline.text_encoder_2, original_layout.CLIP_G),
        original_layout.t5(pipeline.text_encoder_3),
    ]


def flux(pipeline: Any) -> list[original_layout.State]:
    return [original_layout.flux(pipeline.transformer)]


def _tiny_stable_diffusion_3(folder: Path) -> Path:
    """The first text encoder has an identity as projection, which diffusers assumes."""
    encoder = tiny.clip(with_projection=True)
    torch.nn.init.eye_(encoder.text_projection.weight)
    return tiny.stable_diffusion_3(folder, WIDTH_2, text_encoder=encoder)


MAKERS: dict[str, tuple[Callable[[Path], Path], Callable[[Any], list[original_layout.State]]]] = {
    "sd1": (tiny.stable_diffusion, stable_diffusion),
    "sd2": (tiny.stable_diffusion, stable_diffusion_2),
    "sdxl": (lambda path: tiny.stable_diffusion_xl(path, WIDTH_2), stable_diffusion_xl),
    "sd3": (_tiny_stable_diffusion_3, stable_diffusion_3),
    "flux-dev": (tiny.flux, flux),
    "flux-schnell": (lambda path: tiny.flux(path, is_schnell=True), flux),
}


def write_xl(folder: Path, change: Callable[[original_layout.State], None]) -> tuple[Path, Path]:
    """A file of SDXL with changed tensors, and its base."""
    folder.mkdir(exist_ok=True)
    base = tiny.stable_diffusion_xl(folder / "base", WIDTH_2)
    states = stable_diffusion_xl(diffusers.DiffusionPipeline.from_pretrained(base))
    state = {name: tensor for part in states for name, tensor in part.items()}
    change(state)
    return original_layout.write(folder / "model.safetensors", state), base


@pytest.mark.parametrize("name", ["xl-lcm", "xl-tcd", "hyper-sd-2steps"])
def test_sampler_of_a_kind(name: str, tmp_path: Path) -> None:
    """The kind that the name shows has a sampler, with which the stock pipeline draws the same."""
    file, base = write_xl(tmp_path, lambda state: None)
    file = file.rename(file.with_stem(name))
    bench = Bench(file, base=base)
    kind = bench.model.weights_key.checkpoint.distillation
    assert kind is not None
    stock = diffusers.DiffusionPipeline.from_pretrained(base)
    options = dict(kind.kind.sampler)
    sampler_class = getattr(diffusers, options.pop("_class_name"))
    stock.scheduler = sampler_class.from_config({**stock.scheduler.config, **options})
    request = Request("a red fox in the snow", steps=bench.model.steps)
    assert bench.images([request]) == pipeline_images(stock, bench, [request])


def test_parts_of_the_base(tmp_path: Path) -> None:
    """What the file lacks comes from the base, and the digest has those weights, too."""

    def remove(state: original_layout.State) -> None:
        for name in [name for name in state if not name.startswith(original_layout.UNET)]:
            del state[name]

    file, base = write_xl(tmp_path, remove)
    bench = Bench(file, base=base)
    assert bench.images(REQUESTS) == Bench(base).images(REQUESTS)
    read = reader.read(file, base)
    names = [str(one.relative_to(tmp_path)) for one in read.weights]
    assert "base/vae/diffusion_pytorch_model.safetensors" in names
    assert not any(name.startswith("base/unet") for name in names)


def test_all_in_one_file_of_flux(tmp_path: Path) -> None:
    """With text encoders and VAE in the file, the base needs no weights. T5's copy of a tensor may
    be missing."""
    base = tiny.flux(tmp_path / "base")
    expected = Bench(base).images(REQUESTS[:1])
    pipeline = diffusers.DiffusionPipeline.from_pretrained(base)
    t5 = original_layout.t5(pipeline.text_encoder_2)
    del t5[f"{original_layout.T5}encoder.embed_tokens.weight"]
    file = original_layout.write(
        tmp_path / "model.safetensors",
        original_layout.flux(pipeline.transformer, original_layout.UNET),
        original_layout.vae(pipeline.vae, "vae."),
        original_layout.clip(pipeline.text_encoder, original_layout.CLIP_L),
        t5,
    )
    for weights in base.glob("*/*.safetensors"):
        weights.unlink()
    assert Bench(file, base=base).images(REQUESTS[:1]) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{original_layout.UNET}middle_block.0.in_layers.2.weight", "lacks mid_block.resnets.0"),
        (f"{original_layout.UNET}time_embed.0.bias", "lacks time_embedding.linear_1.bias"),
        (f"{original_layout.UNET}label_emb.0.2.bias", "lacks label_emb.0.2.bias"),
        ("first_stage_model.decoder.conv_in.bias", "lacks decoder.conv_in.bias"),
        (
            "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.bias",
            "lacks encoder.layers.0.mlp.fc1.bias",
        ),
        ("conditioner.embedders.1.model.text_projection", "lacks text_projection.weight"),
    ],
)
def test_missing_tensor(name: str, words: str, tmp_path: Path) -> None:
    """diffusers would raise an error without the tensor's name, or use random numbers."""

    def remove(state: original_layout.State) -> None:
        del state[name]

    file, base = write_xl(tmp_path, remove)
    message = refusal(file, base)
    assert message.startswith(str(file)) and words in message


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (network, "load_file"),
        (network, "_rename"),
        (single_file_utils, "create_diffusers_clip_model_from_ldm"),
    ],
)
def test_lack_of_memory(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not reported as a fault of the file, because a later load may succeed."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    file, base = write_xl(tmp_path, lambda state: None)
    monkeypatch.setattr(module, name, fail)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        Bench(file, base=base)


def test_plain_8_bit_floats(tmp_path: Path) -> None:
    """They are converted like other types; integers would need scales."""

    def change(state: original_layout.State) -> None:
        for name in list(state):
            state[name] = state[name].to(torch.float8_e4m3fn)

    file, base = write_xl(tmp_path, change)
    bench = Bench(file, base=base, dtype="float32")  # some CPUs have bfloat16 as the default
    stock = diffusers.StableDiffusionXLPipeline.from_single_file(
        str(file), config=str(base), local_files_only=True, dtype=torch.float32
    )
    assert bench.images(REQUESTS) == pipeline_images(stock, bench, REQUESTS)

    def quantize(state: original_layout.State) -> None:
        name = f"{original_layout.UNET}time_embed.0.weight"
        state[name] = state[name].to(torch.int8)

    assert "time_embedding.linear_1.weight of UNet2DConditionModel is quantized" in refusal(
        *write_xl(tmp_path / "integers", quantize)
    )


def test_base_of_another_size(tmp_path: Path) -> None:
    file, _ = write_xl(tmp_path, lambda state: None)
    other = tiny.stable_diffusion_xl(tmp_path / "other", WIDTH_2 // 2)
    assert "the configuration is of another model; change base" in refusal(file, other)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tiny.flux(tmp_path / "dev"))
    dev = original_layout.write(tmp_path / "dev.safetensors", *flux(pipeline))
    schnell = tiny.flux(tmp_path / "schnell", is_schnell=True)
    assert "that FluxTransformer2DModel does not have, such as time_text" in refusal(dev, schnell)


def test_base_of_a_directory(tmp_path: Path) -> None:
    base = tiny.stable_diffusion(tmp_path / "base")
    with pytest.raises(SettingsError, match="is a directory; base has what a single file lacks"):
        Bench(base, base=base)


def test_sampler_of_a_distilled_file(tmp_path: Path) -> None:
    """The sampler's options come from the kind of the checkpoint, steps and guidance too."""
    file, base = write_xl(tmp_path, lambda state: None)
    file = file.rename(tmp_path / "x_lightning_2step.safetensors")
    bench = Bench(file, base=base)
    sampler = bench.model._loaded.pipeline.scheduler
    assert type(sampler) is diffusers.EulerDiscreteScheduler
    assert sampler.config.timestep_spacing == "trailing"
    assert (bench.model.steps, bench.model.guidance) == (2, 0.0)


def refusal(file: Path, base: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        Bench(file, base=base)
    assert "\n" not in caught.value.message
    return caught.value.message
