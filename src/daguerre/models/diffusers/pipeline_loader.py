"""Loads the stock pipeline of a checkpoint, with all that its configuration adds; imports torch."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch

from daguerre.models.diffusers import clip_skip, quantization
from daguerre.models.diffusers.checkpoint import Checkpoint


def load(
    checkpoint: Checkpoint, dtype: torch.dtype, method: str | None, device: torch.device
) -> Any:
    """The pipeline on the CPU, its denoiser quantized for `device` by `method`.

    The libraries may raise anything.
    """
    _prepare_libraries()
    pipeline = _assemble(checkpoint, dtype)
    pipeline.set_progress_bar_config(disable=True)
    if loras := checkpoint.loras:
        from daguerre.models.diffusers.adapters import lora_fusion

        lora_fusion.fuse(pipeline, loras, dtype)
    if embeddings := checkpoint.embeddings:
        from daguerre.models.diffusers.adapters import textual_inversion_loader

        textual_inversion_loader.load(pipeline, embeddings, checkpoint.family.text_encoders)
    clip_skip.add_text_model(pipeline)
    if method and method != quantization.CALIBRATED:
        # Here, because the device need not hold the full weights.
        quantization.quantize(getattr(pipeline, checkpoint.family.denoiser), method, device)
    return pipeline


def _prepare_libraries() -> None:
    # Before the libraries are imported: a checkpoint may name files of the hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["DIFFUSERS_GGUF_CUDA_KERNELS"] = "false"  # kernels from the hub
    for library in ("transformers", "diffusers"):  # diffusers imports transformers
        # Its warnings quote prompts, and its progress bars overwrite the server's log.
        library_logging = importlib.import_module(library).utils.logging
        library_logging.set_verbosity_error()
        library_logging.disable_progress_bar()


def _assemble(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    from daguerre.models.diffusers.single_file import pipeline as single_file
    from daguerre.models.diffusers.weights import load_modules

    if checkpoint.single_file:
        return single_file.load(checkpoint, dtype)
    pipeline_class = getattr(importlib.import_module("diffusers"), checkpoint.family.pipeline)
    return pipeline_class.from_pretrained(
        checkpoint.folder,
        dtype=dtype,
        local_files_only=True,
        **load_modules(checkpoint, pipeline_class, dtype),
        # Some pipelines require these arguments and accept None.
        **dict.fromkeys(checkpoint.missing_components),
        **checkpoint.family.load_kwargs,
    )
