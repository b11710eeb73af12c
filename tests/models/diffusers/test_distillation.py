"""Distilled checkpoints: recognized by configuration, metadata or name; no others are."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daguerre.config import Settings
from daguerre.factory import summarize_catalog
from daguerre.model_factory import build_models
from daguerre.models import catalog
from daguerre.models.diffusers.distillation import KINDS, find_distillation
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.model import DiffusersModel
from models.test_catalog import checkpoint

SD, XL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
LCM = {"_class_name": "LCMScheduler"}
TRAILING = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
SMALL_XL = {"addition_embed_type": "text_time", "sample_size": 64}


def found(
    pipeline: str = XL,
    name: str = "",
    sampler: dict[str, Any] | None = None,
    denoiser: dict[str, Any] | None = None,
    title: str = "",
) -> tuple[str, int, float | None] | None:
    one = find_distillation(pipeline, name, sampler or {}, denoiser or {}, title)
    return (one.kind.name, one.steps, one.guidance) if one else None


@pytest.mark.parametrize(
    ("pipeline", "sampler", "denoiser", "expected"),
    [
        (SD, LCM, {"time_cond_proj_dim": 256}, ("LCM with embedded guidance", 4, 8.0)),
        (XL, LCM, {"time_cond_proj_dim": None}, ("LCM", 4, 1.0)),
        (SD, {"_class_name": "TCDScheduler"}, {}, ("TCD", 4, 0.0)),
        (XL, TRAILING, SMALL_XL, ("Turbo", 4, 0.0)),
        (SD, TRAILING, {"cross_attention_dim": 1024, "sample_size": 64}, ("Turbo", 4, 0.0)),
        # Plain checkpoints: SDXL, Stable Diffusion 1.x, zero terminal SNR, velocity prediction.
        (XL, TRAILING, {**SMALL_XL, "sample_size": 128}, None),
        (SD, TRAILING, {"cross_attention_dim": 768, "sample_size": 64}, None),
        (XL, {**TRAILING, "rescale_betas_zero_snr": True}, SMALL_XL, None),
        (XL, {**TRAILING, "prediction_type": "v_prediction"}, SMALL_XL, None),
        ("FluxPipeline", LCM, {}, None),
    ],
)
def test_configuration(
    pipeline: str, sampler: dict[str, Any], denoiser: dict[str, Any], expected: object
) -> None:
    assert found(pipeline, "", sampler, denoiser) == expected


@pytest.mark.parametrize(
    ("pipeline", "name", "expected"),
    [
        (XL, "sd_xl_turbo_1.0", ("Turbo", 4, 0.0)),
        (SD, "sd-turbo", ("Turbo", 4, 0.0)),
        (XL, "SDXL-Lightning-8step", ("Lightning", 8, 0.0)),
        (SD, "sd-lightning", None),
        (XL, "Hyper-SDXL-1step", ("Hyper-SD", 1, 0.0)),
        (SD, "hyper_12_steps", ("Hyper-SD", 12, 0.0)),
        (XL, "dmd2_sdxl_4step_unet", ("DMD2", 4, 0.0)),
        (SD, "LCM_Dreamshaper_v7", ("LCM", 4, 1.0)),
        (XL, "hyper-realistic", None),
        (XL, "turbocharged", None),
        (XL, "realism-30steps", None),
        ("StableDiffusion3Pipeline", "sd3.5-large-turbo", ("Turbo", 4, 0.0)),
        ("ZImagePipeline", "Z-Image-Turbo", ("Turbo", 9, 0.0)),
        ("FluxPipeline", "flux1-dev-hyper-8steps", ("Turbo, Hyper", 8, None)),
        ("QwenImagePipeline", "Qwen-Image-Lightning-4steps", ("Lightning", 4, 1.0)),
        ("SanaPipeline", "sana-turbo", None),
    ],
)
def test_name(pipeline: str, name: str, expected: object) -> None:
    assert found(pipeline, name) == expected


def test_order() -> None:
    """The configuration has priority over the title, and the title over the name."""
    assert found(XL, "x-lightning", LCM, title="turbo") == ("LCM", 4, 1.0)
    assert found(XL, "x-lightning", title="Turbo, 2 steps") == ("Turbo", 2, 0.0)
    found_by = (
        find_distillation(XL, "turbo", {}, {}, "turbo"),
        find_distillation(XL, "turbo", {}, {}),
        find_distillation(XL, "turbo", LCM, {}),
    )
    evidence = [each.evidence for each in found_by if each]
    assert evidence == ["its metadata", "its name", "its configuration"]


def test_kinds_are_of_families() -> None:
    """Every kind names supported pipelines, and can be recognized."""
    for kind in KINDS:
        assert set(kind.pipelines) <= set(FAMILIES) and (kind.words or kind.configuration)
        assert not kind.words or re.compile(kind.words)


def model(settings: Settings, folder: Path) -> DiffusersModel:
    (built,) = build_models(settings, catalog.of_checkpoints([str(folder)], settings.data_dir()))
    assert isinstance(built, DiffusersModel)
    return built


def test_checkpoint_in_diffusers_format(settings: Settings) -> None:
    """By its sampler; the table of models shows the kind."""
    folder = checkpoint(settings.data_dir() / "sd")
    plain = model(settings, folder)
    assert (plain.steps, plain.guidance) == (50, 7.5)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(LCM))
    distilled = model(settings, folder)
    assert (distilled.steps, distilled.guidance) == (4, 1.0)
    named = catalog.of_checkpoints([str(folder)], settings.data_dir())
    (summary,) = summarize_catalog(settings, named)
    assert summary.family == "Stable Diffusion 1.x, 2.x, LCM"


def test_directory_with_a_name(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a repository; the log says that the name decided, unless the catalog does."""
    folder = checkpoint(settings.data_dir() / "checkpoints" / "maker--sd-turbo" / ("0" * 40))
    hinted = model(settings, folder)
    assert (hinted.steps, hinted.guidance) == (4, 0.0)
    monkeypatch.setattr(hinted, "_loaded", SimpleNamespace(**_parts(hinted)))
    monkeypatch.setattr(hinted, "_dry_run", lambda networks: None)
    with caplog.at_level(logging.INFO):
        hinted.load()
    assert caplog.messages == [
        "model 'sd-turbo' is Turbo by its name: 4 steps, guidance 0; change them with the keys"
        " steps and guidance"
    ]


def _parts(of: DiffusersModel) -> dict[str, Any]:
    """A loaded checkpoint without its weights."""
    return {"checkpoint": of.weights_key.checkpoint, "pipeline": None, "load": lambda: {}}
