"""A dry run of a pipeline: finds at load time what would fail in every request.

The pipeline itself runs, with its tokenizers and its sampler. The networks only compute the shapes
of their outputs, so a dry run takes no arithmetic and no memory. The outputs are zeros, and those
of the denoiser noise, as a sampler expects it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from daguerre.engine.forward import ForwardRequest, Outputs, is_out_of_memory
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import DaguerreError, SettingsError, one_line
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.family import Family
from daguerre.models.diffusers.finite import is_finite

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


def run(forwards: Pipeline, networks: Mapping[str, TorchNetwork], checkpoint: Checkpoint) -> None:
    """Runs the pipeline of the checkpoint up to its decoder.

    Raises `SettingsError` if it fails, unless memory is short.
    """
    try:
        _run(forwards, networks)
    except Exception as error:  # the libraries may raise anything
        if is_out_of_memory(error):
            raise
        if isinstance(error, DaguerreError):
            reason = error.message
        else:
            advice = "check that its components, and the options of its sampler, belong together"
            reason = f"{one_line(error)}; {advice}"
        raise SettingsError(
            f"the checkpoint in {checkpoint.path} makes no image: {reason}"
        ) from error


def _run(forwards: Pipeline, networks: Mapping[str, TorchNetwork]) -> None:
    known: dict[tuple[str, int], Outputs] = {}
    with closing(forwards):
        forward = next(forwards)
        while True:
            key = (forward.signature, forward.rows)
            if key not in known:
                known[key] = tuple(_outputs(networks[forward.network], forward))
            if forward.stage == "decode":
                _check_latents(forward)
                return
            outputs: Any = known[key]
            # Copies, because the pipeline may change them in place.
            forward = forwards.send(tuple(output.clone() for output in outputs))


def _outputs(network: TorchNetwork, forward: ForwardRequest) -> Iterator[Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    zeros: Any = network.zeros(forward.inputs)
    for tensor in zeros:
        if forward.stage == "denoise" and tensor.is_floating_point():
            tensor = torch.randn(tensor.shape, generator=generator).to(tensor)
        yield tensor


def _check_latents(forward: ForwardRequest) -> None:
    """No network has computed them, so NaN and infinity come from the sampler."""
    if not is_finite(forward.arrays.values()):
        raise SettingsError("its sampler computes NaN or infinity; correct the sampler's options")


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
