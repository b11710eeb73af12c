"""The decoder of a checkpoint in a half type, which may overflow: it then decodes in float32.

Whether it does depends on the checkpoint and on the latents alone, never on earlier requests.
"""

from __future__ import annotations

from typing import Any

import torch

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.diffusers.executors.base import is_half
from daguerre.models.diffusers.finite import is_finite
from daguerre.models.diffusers.proxies import TorchNetwork


class DecoderNetwork(TorchNetwork):
    """Decodes once again, in float32, what has NaN or infinity in a half type."""

    def __call__(self, inputs: Inputs) -> Outputs:
        outputs = super().__call__(inputs)
        if is_finite(outputs) or not is_half(self._method.module):
            return outputs
        return self._method.evaluate_in_float32(inputs)


def upcast(pipeline: Any) -> bool:
    """Converts the decoder to float32 if the pipeline does so for each image; returns whether.

    Those of SDXL and AuraFlow do, and some convert it back. Requests that run at the same time
    would notice. The weights are rounded to float16 first, as there.
    """
    vae = pipeline.vae
    if not (hasattr(pipeline, "upcast_vae") and vae.dtype == torch.float16):
        return False
    if is_forced := bool(vae.config.force_upcast):
        vae.float()
    return is_forced


class UpcastDecoder:
    """What one request's pipeline sees of a decoder after `upcast`: at first, one in float16."""

    def __init__(self, decoder: Any) -> None:
        self._decoder, self.dtype = decoder, torch.float16

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def to(self, dtype: torch.dtype) -> UpcastDecoder:
        """Only takes the type's name: the decoder stays in float32."""
        self.dtype = dtype
        return self
