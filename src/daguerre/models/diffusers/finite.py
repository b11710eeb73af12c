"""NaN and infinity in the tensors of a request, which a pipeline would turn into black pixels."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from daguerre.engine.forward import Outputs
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.errors import InternalError

logger = logging.getLogger(__name__)


class NotFiniteError(InternalError):
    """A network computed NaN or infinity for this request; others may be unaffected."""


def check_finite(network: str, tensors: Iterable[Any]) -> None:
    """Raises `NotFiniteError`, which names the network that computed them, and logs what to do."""
    if all(bool(tensor.isfinite().all()) for tensor in tensors):
        return
    logger.error(
        "%s computed NaN or infinity: its weights may be damaged, or their type or executor too"
        ' inexact; try dtype = "float32", executor = "eager" and no quantization',
        network,
    )
    raise NotFiniteError(
        f"the model's network {network} computed NaN or infinity instead of an image; try another"
        " prompt or seed"
    )


def check_decoder(forwards: Pipeline, denoiser: str) -> Pipeline:
    """Yields the forwards, and checks the inputs and the outputs of the decoder."""
    outputs: Outputs | None = None
    with closing(forwards):
        while True:
            try:
                forward = next(forwards) if outputs is None else forwards.send(outputs)
            except StopIteration as end:
                pixels: Pixels = end.value
                return pixels
            if forward.stage != "decode":
                outputs = yield forward
                continue
            check_finite(denoiser, forward.arrays.values())
            outputs = yield forward
            check_finite(forward.network, outputs)
