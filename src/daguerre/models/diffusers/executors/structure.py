"""The structure of a method's result, found without arithmetic: the call runs on fake tensors.

A module may keep tensors of a call for the next one, such as the frequencies of a size. Fake ones
would break all later calls, so afterwards the module and the function caches are as before.
"""

from __future__ import annotations

import copy
import functools
import gc
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from daguerre.engine.forward import Inputs
from daguerre.models.diffusers.executors.base import NetworkMethod


def output_structure(method: NetworkMethod, inputs: Inputs) -> Any:
    """Raises whatever the method raises if it reads the values of a tensor."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fake = {
        name: mode.from_tensor(value) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }
    with _restored_function_caches(), _fake_state(method.module, mode), mode:
        return method.evaluate(fake)[0]


@contextmanager
def _fake_state(module: torch.nn.Module, mode: FakeTensorMode) -> Iterator[None]:
    """Gives the module and its children copies of their attributes, with fake weights."""
    states = {child: child.__dict__ for child in module.modules()}
    weights = itertools.chain(module.parameters(), module.buffers())
    copies: dict[int, Any] = {id(child): child for child in states}  # which are not copied
    copies |= {id(weight): mode.from_tensor(weight) for weight in weights}
    try:
        for child, state in states.items():
            object.__setattr__(child, "__dict__", copy.deepcopy(state, copies))
        yield
    finally:
        for child, state in states.items():
            object.__setattr__(child, "__dict__", state)


@contextmanager
def _restored_function_caches() -> Iterator[None]:
    """Clears the `functools.lru_cache` of each function that stores a result during the block."""
    before = _misses()
    try:
        yield
    finally:
        for cache, misses in _misses().items():
            if misses != before.get(cache, 0):
                cache.cache_clear()


def _misses() -> Mapping[functools._lru_cache_wrapper[Any], int]:
    """Function cache -> its misses, without torch's own caches, which know fake tensors."""
    caches = [item for item in gc.get_objects() if type(item) is functools._lru_cache_wrapper]
    return {
        cache: cache.cache_info().misses
        for cache in caches
        if cache.__module__.partition(".")[0] != "torch"
    }
