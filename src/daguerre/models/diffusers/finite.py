"""NaN and infinity in the tensors of a request, which a pipeline would turn into black pixels."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from typing import Any

from daguerre.engine.forward import ForwardRequest, Outputs
from daguerre.errors import InternalError

logger = logging.getLogger(__name__)


class NotFiniteError(InternalError):
    """A network computed NaN or infinity for this request; others may be unaffected."""


def is_finite(tensors: Iterable[Any]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def check_finite(network: str, tensors: Iterable[Any]) -> None:
    """Raises `NotFiniteError`, which names the network that computed them, and logs what to do."""
    if is_finite(tensors):
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


def check_decoder(
    denoiser: str, forward: ForwardRequest
) -> Generator[ForwardRequest, Outputs, Outputs]:
    """Yields the forward, and checks the inputs and the outputs if it is the decoder's."""
    if forward.stage != "decode":
        return (yield forward)
    check_finite(denoiser, forward.arrays.values())
    outputs = yield forward
    check_finite(forward.network, outputs)
    return outputs
