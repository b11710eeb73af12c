"""The global random generators of torch, whose state no seed of a request decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from daguerre.errors import InternalError


@contextmanager
def unused(device: str, sampler: Any) -> Iterator[None]:
    """Raises `InternalError`, which blames the sampler, if the block has used one of them."""
    before = _states(device)
    yield
    if not all(map(torch.equal, before, _states(device))):
        raise InternalError(
            f"the sampler {type(sampler).__name__} draws random numbers that do not depend on the"
            " seed; choose another one with the catalog's key sampler"
        )


def _states(device: str) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    return states if device == "cpu" else [*states, torch.cuda.get_rng_state(device)]
