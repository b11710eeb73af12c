"""The catalog's `clip_skip`: how many more layers at the end of CLIP's text encoders are left out.

The number is that of diffusers' parameter of the same name.
"""

from __future__ import annotations

from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.component_files import read_json

_DEFAULT_LAYERS = 12  # of transformers' CLIPTextConfig


def check(where: str, clip_skip: int, checkpoint: Checkpoint) -> None:
    """Raises `SettingsError` if the pipeline takes none, or an encoder has too few layers."""
    family = checkpoint.family
    if family.skipped_clip_layers is None:
        raise SettingsError(
            f"{where}: clip_skip is {clip_skip}, but {family.pipeline} takes none; remove it"
        )
    for name in family.text_encoders:
        if checkpoint.components.get(name, ("", ""))[1].startswith("CLIP"):
            file = checkpoint.component_folder(name) / "config.json"
            num_layers = read_json(file).get("num_hidden_layers", _DEFAULT_LAYERS)
            most = num_layers - 1 - family.skipped_clip_layers
            if clip_skip > most:
                raise SettingsError(
                    f"{where}: clip_skip is {clip_skip}, but the text encoder of {file} has"
                    f" {num_layers} layers; it must be at most {most}"
                )


def add_text_model(pipeline: Any) -> None:
    """Gives the text encoder the attribute `text_model`, which Stable Diffusion's pipeline reads.

    Since transformers 5.6, `CLIPTextModel` is that module itself.
    """
    encoder = getattr(pipeline, "text_encoder", None)
    if encoder is not None and not hasattr(encoder, "text_model"):
        object.__setattr__(encoder, "text_model", encoder)  # not registered as its own submodule
