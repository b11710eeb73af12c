"""Loads the stock pipeline of a checkpoint, with all that its configuration adds; imports torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch

from daguerre.models.diffusers import clip_skip, libraries, quantization
from daguerre.models.diffusers.checkpoint import Checkpoint


def load(
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    method: str | None,
    device: torch.device,
    shared: Mapping[str, Any],
) -> Any:
    """The pipeline on the CPU, its denoiser quantized for `device` by `method`.

    `shared` has components that are in memory; the others are loaded. The libraries may raise
    anything.
    """
    pipeline = _load(checkpoint, dtype, shared)
    if method and method != quantization.CALIBRATED:
        # Here, because the device need not hold the full weights.
        quantization.quantize(getattr(pipeline, checkpoint.family.denoiser), method, device)
    return pipeline


def load_empty(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The pipeline with empty modules. Reads no weights, except those of LoRAs and embeddings."""
    return _load(checkpoint, dtype, {}, is_empty=True)


def _load(
    checkpoint: Checkpoint, dtype: torch.dtype, shared: Mapping[str, Any], *, is_empty: bool = False
) -> Any:
    libraries.prepare()
    pipeline = _assemble(checkpoint, dtype, shared, is_empty)
    pipeline.set_progress_bar_config(disable=True)
    if loras := checkpoint.loras:
        from daguerre.models.diffusers.adapters import lora_fusion

        lora_fusion.fuse(pipeline, loras, dtype, is_empty=is_empty)
    if embeddings := checkpoint.embeddings:
        from daguerre.models.diffusers.adapters import textual_inversion_loader

        textual_inversion_loader.load(pipeline, embeddings, checkpoint.family.text_encoders)
    clip_skip.add_text_model(pipeline)
    return pipeline


def _assemble(
    checkpoint: Checkpoint, dtype: torch.dtype, shared: Mapping[str, Any], is_empty: bool
) -> Any:
    from daguerre.models.diffusers.single_file import pipeline as single_file
    from daguerre.models.diffusers.weights import load_modules

    if checkpoint.single_file:
        return single_file.load(checkpoint, dtype, shared, is_empty=is_empty)
    pipeline_class = getattr(importlib.import_module("diffusers"), checkpoint.family.pipeline)
    return pipeline_class.from_pretrained(
        checkpoint.folder,
        dtype=dtype,
        local_files_only=True,
        **load_modules(checkpoint, pipeline_class, dtype, shared, is_empty=is_empty),
        # Some pipelines require these arguments and accept None.
        **dict.fromkeys(checkpoint.missing_components),
        **checkpoint.family.load_kwargs,
    )
