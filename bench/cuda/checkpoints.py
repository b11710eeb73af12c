"""Checkpoints whose denoiser and decoder are made on the device: real shapes, random weights.

Only small text encoders are written to disk. The shapes are the published ones that daguerre has
for single files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch

from bench import components
from bench.cuda.target import Target
from daguerre.engine.forward import ForwardRequest, Network
from daguerre.models.diffusers.component_files import read_json
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.models.diffusers.single_file.layouts import CONFIGURATIONS
from daguerre.params import ImageParams

MODEL = "measured"
PROMPT = "a lighthouse on a rocky coast in the evening"
_TINY_DECODER = {"block_out_channels": (8,) * 4, "norm_num_groups": 8, "layers_per_block": 1}


@dataclass(frozen=True, slots=True)
class Shape:
    """The configurations of a denoiser and a decoder.

    `save` writes a checkpoint with text encoders of the widths that the denoiser takes.
    """

    name: str
    denoiser: Mapping[str, Any]
    decoder: Mapping[str, Any]
    save: Callable[[Path, Mapping[str, Any]], Path]
    steps: int


def _config(name: str) -> dict[str, Any]:
    config = read_json(CONFIGURATIONS / name / "config.json")
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _save_sdxl(folder: Path, denoiser: Mapping[str, Any]) -> Path:
    projected = denoiser["projection_class_embeddings_input_dim"]
    width_2 = projected - 6 * denoiser["addition_time_embed_dim"]
    width, vocabulary = denoiser["cross_attention_dim"] - width_2, components.clip_vocabulary()
    return components.save(
        diffusers.StableDiffusionXLPipeline,
        folder,
        unet=diffusers.UNet2DConditionModel.from_config(_TINY_SDXL),
        vae=_small_decoder("sdxl/vae"),
        text_encoder=_clip(vocabulary, width),
        text_encoder_2=_clip(vocabulary, width_2, with_projection=True),
        tokenizer=components.clip_tokenizer(folder, vocabulary),
        tokenizer_2=components.clip_tokenizer(folder, vocabulary),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
        ),
    )


def _save_flux(folder: Path, denoiser: Mapping[str, Any]) -> Path:
    vocabulary = components.clip_vocabulary()
    return components.save(
        diffusers.FluxPipeline,
        folder,
        transformer=diffusers.FluxTransformer2DModel.from_config(_TINY_FLUX),
        vae=_small_decoder("flux-dev/vae"),
        text_encoder=_clip(vocabulary, denoiser["pooled_projection_dim"]),
        text_encoder_2=components.t5(denoiser["joint_attention_dim"], num_layers=1),
        tokenizer=components.clip_tokenizer(folder, vocabulary),
        tokenizer_2=components.t5_tokenizer(folder, PROMPT.split()),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def _small_decoder(name: str) -> Any:
    return diffusers.AutoencoderKL.from_config({**_config(name), **_TINY_DECODER})


def _clip(vocabulary: Mapping[str, int], width: int, with_projection: bool = False) -> Any:
    return components.clip(
        vocabulary,
        with_projection,
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=2,
        num_attention_heads=width // 32,
        projection_dim=width,
    )


_TINY_SDXL = {
    **_config("sdxl/unet"),
    "block_out_channels": (32, 32, 64),
    "attention_head_dim": (2, 2, 4),
    "transformer_layers_per_block": (1, 1, 1),
    "layers_per_block": 1,
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 32,
}
_TINY_FLUX = {
    **_config("flux-dev/transformer"),
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "axes_dims_rope": (4, 4, 8),
    "joint_attention_dim": 32,
    "pooled_projection_dim": 32,
}
_SHAPES = (
    Shape("SDXL", _config("sdxl/unet"), _config("sdxl/vae"), _save_sdxl, steps=8),
    Shape("FLUX.1", _config("flux-dev/transformer"), _config("flux-dev/vae"), _save_flux, steps=4),
)


def shapes(target: Target) -> tuple[Shape, ...]:
    if not target.is_tiny:
        return _SHAPES
    tiny = (_TINY_SDXL, _TINY_FLUX)
    return tuple(
        replace(shape, denoiser=denoiser, decoder={**shape.decoder, **_TINY_DECODER}, steps=2)
        for shape, denoiser in zip(_SHAPES, tiny, strict=True)
    )


class RandomCheckpoint(LoadedCheckpoint):
    """A checkpoint in bfloat16 that gets its denoiser and its decoder when it is loaded.

    The weights are the same for each load on one kind of device.
    """

    def __init__(self, shape: Shape, target: Target, executor: str = "eager") -> None:
        folder = target.folder / shape.name
        if not folder.exists():
            shape.save(folder, shape.denoiser)
        self._shape = shape
        super().__init__(
            PipelineConfig(folder, dtype="bfloat16", device=target.device, executor=executor)
        )

    def _load_pipeline(self, device: torch.device) -> Any:
        pipeline = super()._load_pipeline(device)
        made = {self.checkpoint.family.denoiser: self._shape.denoiser, "vae": self._shape.decoder}
        for name, config in made.items():
            module = _random(type(getattr(pipeline, name)), config, device)
            pipeline.register_modules(**{name: module})
        return pipeline


def _random(kind: Any, config: Mapping[str, Any], device: torch.device) -> Any:
    torch.manual_seed(1)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            module = kind.from_config(config)
    finally:
        torch.set_default_dtype(default)
    return module.eval().requires_grad_(False)


def model_of(
    loaded: RandomCheckpoint, shape: Shape, model_id: str = MODEL, **options: Any
) -> DiffusersModel:
    return DiffusersModel(model_id, loaded, ServingOptions(steps=shape.steps, **options))


def params(side: int, seed: int, model_id: str = MODEL, num_previews: int = 0) -> ImageParams:
    return ImageParams(
        model_id, PROMPT, width=side, height=side, seed=seed, num_previews=num_previews
    )


def denoiser_forwards(
    model: DiffusersModel, networks: Mapping[str, Network], side: int, num: int
) -> list[ForwardRequest]:
    """The first forward of the denoiser for requests with different seeds."""
    return [_first_denoising(model, networks, params(side, seed)) for seed in range(1, num + 1)]


def _first_denoising(
    model: DiffusersModel, networks: Mapping[str, Network], wanted: ImageParams
) -> ForwardRequest:
    with closing(model.pipeline(wanted)) as pipeline:
        forward = next(pipeline)
        while forward.stage == "encode":
            forward = pipeline.send(networks[forward.network](forward.inputs))
        return forward
