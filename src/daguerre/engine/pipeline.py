"""What the engine needs of a model: its networks, and one coroutine per request.

A pipeline is a generator: it yields a `ForwardRequest` whenever it needs a network evaluated,
receives the outputs for its own rows, and returns the pixels. It knows nothing of other requests:
that its forwards may be shared is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import ForwardRequest, Network, Outputs
from daguerre.params import ImageParams, ModelInfo

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), sRGB
Pipeline: TypeAlias = Generator[ForwardRequest, Outputs, Pixels]


def check_pixels(pixels: Pixels, params: ImageParams) -> None:
    """Raises ValueError for what is no picture of the size that was asked for."""
    expected = (params.height, params.width, 3)
    pixels = np.asarray(pixels)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"the pipeline returned {pixels.dtype} {pixels.shape} instead of uint8 {expected}"
        )


class Model(Protocol):
    """Every method is called from the engine's thread; `info` and `max_batch_size` from any."""

    @property
    def info(self) -> ModelInfo:
        """Known before the model is loaded."""

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        """Network -> most rows in one shared forward; a network that is not named is not shared."""

    def load(self) -> Mapping[str, Network]:
        """Name -> network; may take long."""

    def pipeline(self, params: ImageParams) -> Pipeline:
        """A fresh coroutine for one request; called after `load`, when the request arrives. Does
        not begin: it may wait for its first turn. Raises `InvalidRequestError` for what the model
        cannot do."""


@runtime_checkable
class KeyedModel(Model, Protocol):
    """One whose requests take each other's turns, where they cannot share; others' do not."""

    def batch_class(self, params: ImageParams) -> Hashable:
        """Equal for requests that ask for the same networks and shapes."""


@runtime_checkable
class EvictableModel(Model, Protocol):
    """One that need not stay in memory. Its memory is counted in bytes of a place, such as a
    device, and models of one source share what they load."""

    @property
    def preload(self) -> bool: ...

    @property
    def weights_key(self) -> Hashable: ...

    @property
    def device(self) -> Hashable: ...

    @property
    def num_bytes(self) -> int:
        """What it takes, room for its work included."""

    def free_bytes(self) -> int:
        """What its place has."""

    def unload(self) -> None:
        """Nothing of it is in use; `load` may be called again."""
