"""Distilled checkpoints, which need few steps and other guidance: how to recognize them.

Their tensors are those of the plain checkpoints. Their configuration shows some; a file's metadata
or only the name shows the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Config: TypeAlias = Mapping[str, Any]

_STABLE_DIFFUSION, _SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
_UNETS = (_STABLE_DIFFUSION, _SDXL)
_SD_2_WIDTH, _SMALL_LATENTS = 1024, 64
_STEPS = re.compile(r"(?<!\d)(1[0-6]|[1-9])[-_ ]?steps?(?![a-z])")
_TRAILING = {"timestep_spacing": "trailing"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of distilled checkpoint of these pipelines.

    `words` is a pattern of its names, `steps` the default if the name has no number of steps.
    Guidance None is the family's. `sampler` has the options that a single file needs, which has no
    configuration of its own. `is_configured` tells it from the configurations of sampler and
    denoiser; `configuration` says how, for the documentation.
    """

    name: str
    pipelines: tuple[str, ...]
    words: str
    steps: int
    guidance: float | None
    sampler: Config = field(default_factory=dict)
    configuration: str = ""
    is_configured: Callable[[Config, Config], bool] = lambda sampler, denoiser: False


@dataclass(frozen=True, slots=True)
class Distillation:
    """A recognized kind; `evidence` completes "it is distilled, by ..."."""

    kind: Kind
    steps: int
    guidance: float | None
    evidence: str

    @property
    def defaults(self) -> dict[str, Any]:
        """Fields of the family that change."""
        guidance = {} if self.guidance is None else {"guidance": self.guidance}
        return {"steps": self.steps, **guidance}

    def __str__(self) -> str:
        guidance = "" if self.guidance is None else f", guidance {self.guidance:g}"
        return f"{self.kind.name} by {self.evidence}: {self.steps} steps{guidance}"


def _is_turbo(sampler: Config, denoiser: Config) -> bool:
    """Whether the sampler and the size are those of SD-Turbo or SDXL-Turbo. SDXL has twice the
    size; Stable Diffusion 2.x another sampler."""
    is_sdxl = denoiser.get("addition_embed_type") == "text_time"
    is_sd_2 = denoiser.get("cross_attention_dim") == _SD_2_WIDTH
    return (
        sampler.get("_class_name") in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
        and sampler.get("timestep_spacing") == "trailing"
        and sampler.get("prediction_type", "epsilon") == "epsilon"
        and not sampler.get("rescale_betas_zero_snr")
        and denoiser.get("sample_size") == _SMALL_LATENTS
        and (is_sdxl or is_sd_2)
    )


def _has_sampler(name: str, is_guidance_embedded: bool | None = None) -> Any:
    """A check for a sampler, and for whether the denoiser reads the guidance."""

    def check(sampler: Config, denoiser: Config) -> bool:
        is_embedded = denoiser.get("time_cond_proj_dim") is not None
        return sampler.get("_class_name") == name and is_guidance_embedded in (None, is_embedded)

    return check


# The first that matches counts. Steps and guidance are those of the model cards.
KINDS: tuple[Kind, ...] = (
    Kind(
        name="LCM with embedded guidance",
        pipelines=_UNETS,
        words="",
        steps=4,
        guidance=8.0,
        configuration="sampler `LCMScheduler`, `time_cond_proj_dim` of the UNet",
        is_configured=_has_sampler("LCMScheduler", True),
    ),
    Kind(
        name="DMD2",
        pipelines=_UNETS,
        words="dmd2?",
        steps=4,
        guidance=0.0,
        sampler={"_class_name": "LCMScheduler"},
    ),
    Kind(
        name="LCM",
        pipelines=_UNETS,
        words="lcm",
        steps=4,
        guidance=1.0,
        sampler={"_class_name": "LCMScheduler"},
        configuration="sampler `LCMScheduler`",
        is_configured=_has_sampler("LCMScheduler", False),
    ),
    Kind(
        name="TCD",
        pipelines=_UNETS,
        words="tcd",
        steps=4,
        guidance=0.0,
        sampler={"_class_name": "TCDScheduler"},
        configuration="sampler `TCDScheduler`",
        is_configured=_has_sampler("TCDScheduler"),
    ),
    Kind(
        name="Hyper-SD",
        pipelines=_UNETS,
        words=r"hyper[-_ ]?(sd|sdxl|sd15|\d+[-_ ]?steps?)",
        steps=8,
        guidance=0.0,
        sampler={"_class_name": "DDIMScheduler", **_TRAILING},
    ),
    Kind(
        name="Lightning",
        pipelines=(_SDXL,),
        words="lightning",
        steps=4,
        guidance=0.0,
        sampler={"_class_name": "EulerDiscreteScheduler", **_TRAILING},
    ),
    Kind(
        name="Turbo",
        pipelines=_UNETS,
        words="turbo",
        steps=4,
        guidance=0.0,
        sampler={"_class_name": "EulerAncestralDiscreteScheduler", **_TRAILING},
        configuration="an Euler sampler with `trailing` steps, `sample_size` 64",
        is_configured=_is_turbo,
    ),
    Kind("Turbo", ("StableDiffusion3Pipeline",), "turbo", steps=4, guidance=0.0),
    Kind("Turbo", ("ZImagePipeline",), "turbo", steps=9, guidance=0.0),
    Kind("Turbo, Hyper", ("FluxPipeline",), "turbo|hyper", steps=8, guidance=None),
    Kind("Lightning", ("QwenImagePipeline",), "lightning", steps=8, guidance=1.0),
)


def find_distillation(
    pipeline: str, name: str, sampler: Config, denoiser: Config, title: str = ""
) -> Distillation | None:
    """The kind that the configurations show, else the title in a file's metadata, else the name.

    A number of steps in title or name counts.
    """
    for kind in KINDS:
        if pipeline in kind.pipelines and kind.is_configured(sampler, denoiser):
            return Distillation(kind, kind.steps, kind.guidance, "its configuration")
    return _by_name(pipeline, title, "its metadata") or _by_name(pipeline, name, "its name")


def _by_name(pipeline: str, text: str, evidence: str) -> Distillation | None:
    text = text.lower()
    for kind in KINDS:
        is_named = kind.words and re.search(rf"(?<![a-z])({kind.words})(?![a-z])", text)
        if pipeline in kind.pipelines and is_named:
            match = _STEPS.search(text)
            steps = int(match[1]) if match else kind.steps
            return Distillation(kind, steps, kind.guidance, evidence)
    return None
