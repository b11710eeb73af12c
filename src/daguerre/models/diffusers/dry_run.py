"""A dry run of a pipeline: finds at load time what would fail in every request.

The pipeline itself runs, with its tokenizers and its sampler. The networks only compute the shapes
of their outputs, which are zeros, so a dry run takes no arithmetic and no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from daguerre.engine.forward import Outputs
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import SettingsError
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.family import Family

if TYPE_CHECKING:
    from daguerre.models.diffusers.proxies import TorchNetwork

_MAX_SIZE, _LATENT_SIZE = 1024, 128
# For networks that read the values of their inputs: they cannot run without arithmetic.
_MAX_SMALL_SIZE, _SMALL_LATENT_SIZE = 256, 32
# The tokenizers of transformers have a limit of 1e30 if their configuration has none.
_NO_LIMIT = 1 << 31


def image_size(family: Family, pipeline: Any) -> int:
    """Width and height of a dry run's image, in pixels: 1024 if they are eight to a latent."""
    scale = int(pipeline.vae_scale_factor)
    if family.layout.ragged or family.layout.value_dependent:
        return min(_MAX_SMALL_SIZE, _SMALL_LATENT_SIZE * scale)
    return min(_MAX_SIZE, _LATENT_SIZE * scale)


def run(forwards: Pipeline, networks: Mapping[str, TorchNetwork]) -> None:
    """Runs the pipeline up to its decoder; raises whatever it raises."""
    known: dict[tuple[str, int], Outputs] = {}
    with closing(forwards):
        forward = next(forwards)
        while True:
            key = (forward.signature, forward.rows)
            if key not in known:
                known[key] = networks[forward.network].zeros(forward.inputs)
            if forward.stage == "decode":
                return
            outputs: Any = known[key]
            # Copies, because the pipeline may change them in place.
            forward = forwards.send(tuple(output.clone() for output in outputs))


def check_tokenizers(pipeline: Any, checkpoint: Checkpoint) -> None:
    """Raises `SettingsError` for a tokenizer of CLIP without a limit, which pads to that limit."""
    for name, part in pipeline.components.items():
        is_clip = type(part).__name__.startswith("CLIPTokenizer")
        if is_clip and part.model_max_length > _NO_LIMIT:
            file = checkpoint.component_folder(name) / "tokenizer_config.json"
            raise SettingsError(
                f"{file} has no model_max_length; set it to the"
                " max_position_embeddings of the text encoder, usually 77"
            )
