"""The layouts of single files: which tensors show a family, a size and a component. Loads no torch.

The names of tensors are those that diffusers' `single_file_utils` converts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

# Directories in diffusers format without weights, of the sizes that were published.
CONFIGURATIONS = Path(__file__).parent / "configurations"
# CLIP's vocabulary, which all of them share.
MERGES = Path(__file__).parent / "clip_merges.txt"
DENOISER_PREFIX = "model.diffusion_model."
_CLIP_L = ("text_encoders.clip_l.transformer.",)
_T5 = ("text_encoders.t5xxl.transformer.",)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Variant:
    """A published size; `configuration` is a directory below `CONFIGURATIONS`.

    A file has it if its denoiser has tensors of all these `shapes`, and none of those `without`.
    """

    configuration: str
    shapes: Shapes
    without: tuple[str, ...] = ()

    def differences(self, denoiser: Shapes) -> list[str]:
        """What keeps a denoiser from being of this size."""
        found = {name: denoiser.get(name) for name in (*self.shapes, *self.without)}
        return [
            f"{name} is {_words(shape)}, not {_words(self.shapes.get(name))}"
            for name, shape in found.items()
            if shape != self.shapes.get(name)
        ]


def _words(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


@dataclass(frozen=True, slots=True)
class Layout:
    """A family's layout. `mark` is a tensor of the denoiser that only this layout has.

    `prefixes` maps each component besides the denoiser to the prefixes of its tensors.
    `channels` are the tensors whose second and first dimension are the denoiser's input and output.
    """

    checkpoints: str
    pipeline: str
    mark: str
    prefixes: Mapping[str, tuple[str, ...]]
    channels: tuple[str, str] | None = None
    denoiser: str = "transformer"
    variants: tuple[Variant, ...] = ()
    # Number of input channels -> what such a denoiser is.
    other_inputs: Mapping[int, str] = field(default_factory=dict)

    def variant(self, denoiser: Shapes) -> Variant | None:
        fitting = (one for one in self.variants if not one.differences(denoiser))
        return next(fitting, None)

    def difference(self, denoiser: Shapes) -> str:
        """The first difference to the most similar size; empty if no size is known."""
        found = [one.differences(denoiser) for one in self.variants]
        return min(found, key=len)[0] if found else ""

    def component_prefixes(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The components in a file with tensors of these names."""
        names = tuple(names)
        return {
            part: prefixes
            for part, prefixes in self.prefixes.items()
            if any(name.startswith(prefixes) for name in names)
        }


VAE_PREFIXES = ("first_stage_model.", "vae.")
_unet_layout = partial(
    Layout,
    mark="input_blocks.0.0.weight",
    channels=("input_blocks.0.0.weight", "out.2.weight"),
    denoiser="unet",
    other_inputs={
        5: "a depth-to-image model",
        7: "an upscaler",
        8: "InstructPix2Pix, which edits images",
        9: "an inpainting model",
    },
)
SDXL = _unet_layout(
    checkpoints="SDXL",
    pipeline="StableDiffusionXLPipeline",
    prefixes={
        "text_encoder": ("conditioner.embedders.0.transformer.",),
        "text_encoder_2": ("conditioner.embedders.1.model.",),
        "vae": VAE_PREFIXES,
    },
    variants=(
        Variant(
            "sdxl",
            {
                "input_blocks.0.0.weight": (320, 4, 3, 3),
                "label_emb.0.0.weight": (1280, 2816),
                "middle_block.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
            },
        ),
    ),
)
STABLE_DIFFUSION_1 = _unet_layout(
    checkpoints="Stable Diffusion 1.x",
    pipeline="StableDiffusionPipeline",
    prefixes={"text_encoder": ("cond_stage_model.transformer.",), "vae": VAE_PREFIXES},
    variants=(
        Variant(
            "sd1",
            {
                "input_blocks.0.0.weight": (320, 4, 3, 3),
                "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
                "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
            },
        ),
    ),
)
# Whether it predicts noise or velocity, its tensors do not show: its configurations must be given.
STABLE_DIFFUSION_2 = _unet_layout(
    checkpoints="Stable Diffusion 2.x",
    pipeline="StableDiffusionPipeline",
    prefixes={"text_encoder": ("cond_stage_model.model.",), "vae": VAE_PREFIXES},
)
STABLE_DIFFUSION_3 = Layout(
    checkpoints="Stable Diffusion 3, 3.5",
    pipeline="StableDiffusion3Pipeline",
    mark="joint_blocks.0.context_block.adaLN_modulation.1.bias",
    prefixes={
        "text_encoder": _CLIP_L,
        "text_encoder_2": ("text_encoders.clip_g.transformer.",),
        "text_encoder_3": _T5,
        "vae": VAE_PREFIXES,
    },
    variants=(
        Variant(
            "sd3-medium",
            {"pos_embed": (1, 36864, 1536), "joint_blocks.23.x_block.mlp.fc1.weight": (6144, 1536)},
        ),
        Variant(
            "sd3.5-medium",
            {
                "pos_embed": (1, 147456, 1536),
                "joint_blocks.23.x_block.mlp.fc1.weight": (6144, 1536),
                "joint_blocks.12.x_block.attn2.qkv.weight": (4608, 1536),
            },
        ),
        Variant(
            "sd3.5-large",
            {"pos_embed": (1, 36864, 2432), "joint_blocks.37.x_block.mlp.fc1.weight": (9728, 2432)},
        ),
    ),
)
_FLUX_SHAPES = {
    "img_in.weight": (3072, 64),
    "double_blocks.18.img_attn.proj.weight": (3072, 3072),
    "single_blocks.37.linear2.weight": (3072, 15360),
}
FLUX_GUIDANCE = "guidance_in.in_layer.weight"
FLUX = Layout(
    checkpoints="FLUX.1",
    pipeline="FluxPipeline",
    mark="double_blocks.0.img_attn.norm.key_norm.scale",
    prefixes={"text_encoder": _CLIP_L, "text_encoder_2": _T5, "vae": VAE_PREFIXES},
    channels=("img_in.weight", "final_layer.linear.weight"),
    variants=(
        Variant("flux-dev", {**_FLUX_SHAPES, FLUX_GUIDANCE: (3072, 256)}),
        Variant("flux-schnell", _FLUX_SHAPES, without=(FLUX_GUIDANCE,)),
    ),
    other_inputs={128: "FLUX.1 Depth or Canny", 384: "FLUX.1 Fill, an inpainting model"},
)
LAYOUTS = (STABLE_DIFFUSION_1, STABLE_DIFFUSION_2, SDXL, STABLE_DIFFUSION_3, FLUX)
