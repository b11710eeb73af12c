"""Calls of a denoiser for the calibration of its int8 graph: images of fixed prompts and seeds.

They are drawn by eager torch, with the checkpoint's sampler and the model's steps and guidance,
which decide the ranges of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.family import Family
from daguerre.params import ImageParams

if TYPE_CHECKING:
    from daguerre.models.diffusers.proxies import TorchNetwork

_PROMPTS = (
    "a photograph of a lighthouse on a rocky coast at sunset",
    "a watercolour of two children with a red kite in a green field",
)
# Few, because an operator waits for them: together 16 calls, each of which is an inference, too.
_MAX_STEPS = 8
_MAX_LATENT_SIZE = 64  # width and height
_VERSION = 1  # increment when other calls or layers change the int8 graph


@dataclass(frozen=True, slots=True)
class Calibration:
    """Steps and guidance of the images; None is the family's."""

    steps: int | None = None
    guidance: float | None = None

    def fingerprint(self, family: Family) -> str:
        guidance = self._guidance(family)
        return f"calibration {_VERSION}: {self._steps(family)} steps, guidance {guidance}"

    def calls(
        self,
        family: Family,
        copy: Callable[[float | None], Any],
        load: Callable[[], Mapping[str, TorchNetwork]],
    ) -> Iterator[Inputs]:
        """The inputs of each call. `copy` returns a pipeline with the guidance, and `load` its
        networks, which run in the thread of the caller."""
        guidance = self._guidance(family)
        for seed, prompt in enumerate(_PROMPTS, 1):
            pipeline = copy(guidance)
            side = _image_side(pipeline, family)
            params = ImageParams("", prompt, width=side, height=side, seed=seed)
            arguments = family.call_arguments(params, self._steps(family), guidance)
            yield from _calls(family.denoiser, partial(pipeline, **arguments), load())

    def _steps(self, family: Family) -> int:
        return min(self.steps or family.steps, _MAX_STEPS)

    def _guidance(self, family: Family) -> float | None:
        return family.guidance if self.guidance is None else self.guidance


def _calls(
    denoiser: str, draw: Callable[[], Any], networks: Mapping[str, TorchNetwork]
) -> Iterator[Inputs]:
    from daguerre.models.diffusers import coroutine  # the catalog has no greenlet

    outputs: Outputs | None = None
    with closing(coroutine.run(draw)) as task:
        while (call := task.send(outputs))[0] != DECODER:
            name, inputs = call
            if name == denoiser:
                yield inputs
            outputs = networks[name].evaluate(inputs)[1]


def _image_side(pipeline: Any, family: Family) -> int:
    """Width and height in pixels: those of the training images, or fewer."""
    trained = getattr(getattr(pipeline, family.denoiser).config, "sample_size", None)
    latents = min(trained, _MAX_LATENT_SIZE) if isinstance(trained, int) else _MAX_LATENT_SIZE
    return latents * int(pipeline.vae_scale_factor)
