"""How a forward of a checkpoint's network is run: the ways there are, and which is best where.

An executor answers the inputs of a forward with the tensors of the method's result. Which one a
network gets depends on its device and the catalog, never on a timing: it decides bits, so what it
is stands in the network's fingerprint. Knows nothing of requests or of how forwards are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from daguerre.engine.forward import Inputs, Outputs


@dataclass(frozen=True, slots=True)
class Method:
    """A module's method. `evaluate` calls it eagerly: the structure of the result, and the tensors
    in it."""

    name: str
    module: torch.nn.Module
    evaluate: Callable[[Inputs], tuple[Any, Outputs]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network runs, what runs it, and what is kept where. `facts` names all else that
    decides bits; what is kept in `folder` is found again under them."""

    executor: str
    device: torch.device
    dtype: str
    facts: str
    folder: Path | None = None


class Executor(Protocol):
    @property
    def facts(self) -> str:
        """What decides bits beside the weights, the libraries' versions and the device."""

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        """See `daguerre.engine.forward.Preparing`."""

    def __call__(self, inputs: Inputs) -> Outputs: ...

    def undo(self) -> None:
        """Leaves the module as it was: another executor takes over."""


class Eager:
    """torch, operation by operation: the bits of the stock pipeline."""

    facts = "eager"

    def __init__(self, method: Method) -> None:
        self._method = method

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        return iter(())

    def __call__(self, inputs: Inputs) -> Outputs:
        return self._method.evaluate(inputs)[1]

    def undo(self) -> None:
        pass


def structure(method: Method, inputs: Inputs) -> Any:
    """Of the result, without the arithmetic. Raises where the method looks at a tensor's values."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {
            name: mode.from_tensor(value) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        return method.evaluate(fake)[0]


def executor(method: Method, place: Place) -> Executor:
    """Raises whatever keeps the one that is wanted from running here."""
    wanted = place.executor
    if wanted == "auto":
        wanted = "openvino" if place.device.type == "cpu" else "eager"
    if wanted == "openvino":
        from daguerre.models.diffusers.conversion import Converted

        return Converted(method, place)
    assert wanted == "eager", f"no executor {wanted!r}. This is a bug."
    return Eager(method)
