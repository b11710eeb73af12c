"""What caches, quantisation and a LoRA change in a checkpoint's work, and in its picture.

A FLUX-shaped checkpoint with random weights draws the same pictures with each of them in turns, in
one process and one thread; times are of that thread alone, so that what else runs on the machine is
not in them. Random weights say which work is left out, and what it
costs; they say little of what a trained network's picture would lose.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daguerre.engine.pipeline import Pixels
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR, TAYLOR_LITE, Cache
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.params import ImageParams

STEPS, SIDE_PX = 20, 64
PROMPTS = ("a red fox on the snow", "the very old house in the night")
BASE = "as it is"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    BASE: {},
    "first-block, threshold 0.1": {"cache": Cache(FIRST_BLOCK, (("threshold", 0.1),))},
    "first-block, threshold 0.4": {"cache": Cache(FIRST_BLOCK, (("threshold", 0.4),))},
    "first-block, threshold 0.8": {"cache": Cache(FIRST_BLOCK, (("threshold", 0.8),))},
    "taylorseer": {"cache": Cache(TAYLOR)},
    "taylorseer-lite": {"cache": Cache(TAYLOR_LITE)},
    "int8-weight-only": {"quantization": "int8-weight-only"},
    "float8-weight-only": {"quantization": "float8-weight-only"},
}
LORA = "LoRA, fused"
_RANK = 16


@dataclass(frozen=True, slots=True)
class Drawn:
    """`num_products` are the linear layers of the denoiser that were evaluated for it."""

    pixels: Pixels
    seconds: float
    num_products: int


class Variant:
    def __init__(self, folder: Path, kind: Mapping[str, Any]) -> None:
        import torch

        config = PipelineConfig(folder, executor="eager", **kind)
        self._model = DiffusersModel("bench", LoadedCheckpoint(config), ServingOptions())
        self._networks = self._model.load()
        self._num_products = 0
        denoiser = self._model.weights_key.pipeline.transformer
        for layer in denoiser.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.register_forward_hook(self._count)

    def draw(self, prompt: str, steps: int = STEPS) -> Drawn:
        params = ImageParams("bench", prompt, width=SIDE_PX, height=SIDE_PX, seed=1)
        pipeline = self._model.run(params, steps, self._model.guidance)
        self._num_products, spent_s, outputs = 0, 0.0, None
        while True:
            try:
                forward = next(pipeline) if outputs is None else pipeline.send(outputs)
            except StopIteration as end:
                return Drawn(end.value, spent_s, self._num_products)
            started_s = time.thread_time()
            outputs = self._networks[forward.network](forward.inputs)
            if forward.stage == "denoise":
                spent_s += time.thread_time() - started_s

    def _count(self, *_: object) -> None:
        self._num_products += 1


def psnr(one: Pixels, other: Pixels) -> float:
    """In dB; infinite where they are equal."""
    error = float(np.mean((one.astype(float) - other.astype(float)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def report(drawn: Mapping[str, Sequence[Drawn]]) -> list[str]:
    """A table of ratios to the first variant; of its time the sum over all prompts."""
    base = drawn[BASE]
    lines = ["| | denoiser's time | linear layers run | PSNR, dB |", "|---|---|---|---|"]
    for name, pictures in drawn.items():
        seconds = sum(each.seconds for each in pictures) / sum(each.seconds for each in base)
        products = sum(each.num_products for each in pictures)
        share = products / sum(each.num_products for each in base)
        worst = min(psnr(*pair) for pair in _pairs(pictures, base))
        lines.append(f"| {name} | {seconds:.2f} | {share:.2f} | {worst:.1f} |")
    return lines


def main(arguments: Sequence[str]) -> None:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        made = flux(Path(folder) / "flux")
        fused = {LORA: {"loras": (lora(Path(folder) / "lora.safetensors", made),)}}
        variants = {name: Variant(made, kind) for name, kind in {**VARIANTS, **fused}.items()}
        for variant in variants.values():
            variant.draw(PROMPTS[0], steps=1)  # the structure of a result takes an evaluation
        drawn: dict[str, list[Drawn]] = {name: [] for name in variants}
        for prompt in PROMPTS:
            for name, variant in variants.items():
                drawn[name].append(variant.draw(prompt))
    print("\n".join(report(drawn)))


def flux(folder: Path) -> Path:
    """FLUX.1 [dev] with 2 double and 4 single blocks of width 256, and 256 patches."""
    import torch

    from bench import components

    torch.manual_seed(1)
    return components.flux(
        folder,
        " ".join(PROMPTS).split(),
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=32,
        num_attention_heads=8,
        axes_dims_rope=(8, 12, 12),
    )


def lora(file: Path, folder: Path) -> Lora:
    """A LoRA with random weights for all attention layers of the checkpoint's denoiser."""
    import diffusers
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(2)
    denoiser = diffusers.FluxTransformer2DModel.from_pretrained(folder / "transformer")
    state = {}
    for name, layer in denoiser.named_modules():
        if isinstance(layer, torch.nn.Linear) and ".attn." in name:
            height, width = layer.weight.shape
            state[f"transformer.{name}.lora_A.weight"] = torch.randn(_RANK, width) / width
            state[f"transformer.{name}.lora_B.weight"] = torch.randn(height, _RANK)
    save_file(state, file)
    return Lora(file)


def _pairs(one: Sequence[Drawn], other: Sequence[Drawn]) -> list[tuple[Pixels, Pixels]]:
    return [(a.pixels, b.pixels) for a, b in zip(one, other, strict=True)]
