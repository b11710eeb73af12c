"""Interfaces of a model: its networks, and one pipeline per request.

A pipeline is a generator. It yields a `ForwardRequest` whenever it needs a network evaluated,
receives the outputs for its own rows, and returns the pixels. The engine may evaluate its forwards
in a batch with those of other requests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import closing
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import ForwardRequest, Network, Outputs
from daguerre.params import ImageParams, ModelInfo

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), sRGB
Pipeline: TypeAlias = Generator[ForwardRequest, Outputs, Pixels]


def map_forwards(
    pipeline: Pipeline,
    evaluate: Callable[[ForwardRequest], Generator[ForwardRequest, Outputs, Outputs]],
) -> Pipeline:
    """The pipeline, whose forwards get the results of `evaluate` as outputs.

    `evaluate` yields the forwards that the engine evaluates in their place.
    """
    outputs: Outputs | None = None
    with closing(pipeline):
        while True:
            try:
                forward = next(pipeline) if outputs is None else pipeline.send(outputs)
            except StopIteration as end:
                pixels: Pixels = end.value
                return pixels
            outputs = yield from evaluate(forward)


def check_pixels(pixels: Pixels, params: ImageParams) -> None:
    """Raises ValueError if the pixels do not have the requested size or are not uint8."""
    expected = (params.height, params.width, 3)
    pixels = np.asarray(pixels)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"the pipeline returned {pixels.dtype} {pixels.shape} instead of uint8 {expected}"
        )


class Model(Protocol):
    """A model that the engine serves.

    The engine's thread calls the methods; any thread may read `info` and `max_batch_size`.
    """

    @property
    def info(self) -> ModelInfo:
        """Available before the model is loaded."""

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        """Network -> maximum rows in a batch. Other networks run without batching."""

    @property
    def num_bytes(self) -> int:
        """Memory that it needs on its device, including working memory; 0 if unknown."""

    def load(self) -> Mapping[str, Network]:
        """Name -> network. May take minutes."""

    def pipeline(self, params: ImageParams) -> Pipeline:
        """A new pipeline for one request, which has not started yet.

        The model is loaded. Raises `InvalidRequestError` for parameters that it does not support.
        """

    def batch_class(self, params: ImageParams) -> Hashable:
        """Equal for requests that ask for the same networks and shapes."""


@runtime_checkable
class EvictableModel(Model, Protocol):
    """A model that can be unloaded. Models with equal `weights_key` share what they load."""

    @property
    def preload(self) -> bool:
        """Whether it is loaded at startup instead of on its first request."""

    @property
    def idle_unload_s(self) -> float:
        """Seconds without jobs after which it is unloaded; 0: never."""

    @property
    def weights_key(self) -> Hashable: ...

    @property
    def device(self) -> Hashable: ...

    @property
    def fault(self) -> str:
        """Why the loaded model must not be used any more, in words for clients, or "".

        Any thread may read it.
        """

    def free_bytes(self) -> int:
        """Free memory of its device."""

    def unload(self) -> None:
        """Frees the memory. None of its pipelines may be running; `load` may be called again."""
