"""diffusers' cache hooks on a denoiser, with a separate state for each request.

The hooks keep the state of a denoising run in the module, as if only one ran at a time. Here each
request has its own state, kept with its coroutine. The state is installed in the hooks for one
evaluation and then removed, so no other request and no reset by a pipeline can change it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_taylorseer_cache,
)
from diffusers.hooks.hooks import CacheContext, StateManager

from daguerre.engine.forward import Inputs, OpaqueConstant
from daguerre.models.diffusers import coroutine
from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR_LITE, Cache
from daguerre.models.diffusers.call_packing import CACHE_STATE_INPUT

# The prediction of a pipeline that makes one call per step and names none.
_DEFAULT = CacheContext("cond")


class CacheHooks:
    """The hooks of one module, all of the same cache."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._managers = _managers(module)
        assert self._managers, "the cache hooked no module. This is a bug."

    def current_state(self) -> OpaqueConstant:
        """The input with the current request's state. Its digest is equal for all requests, which
        are kept apart by the model's `max_batch_size` of 1."""
        states = coroutine.task_locals().setdefault(self, self._new_states())
        context = self._managers[0]._context or _DEFAULT
        return OpaqueConstant((states, context), context.name)

    @contextmanager
    def installed(self, inputs: Inputs) -> Iterator[None]:
        """Installs the state in `inputs`, or an empty one that is dropped afterwards."""
        held, states, context = inputs.get(CACHE_STATE_INPUT), self._new_states(), _DEFAULT
        if isinstance(held, OpaqueConstant):
            states, context = held.value
        try:
            for manager, state in zip(self._managers, states, strict=True):
                manager._state_cache = state
                manager.set_context(context)
            yield
        finally:
            for manager in self._managers:
                manager._state_cache = {}
                manager.set_context(None)

    def _new_states(self) -> list[dict[str, Any]]:
        """Empty states, one mapping (prediction -> state) for each state manager."""
        return [{} for _ in self._managers]


def apply(module: torch.nn.Module, cache: Cache) -> CacheHooks:
    """Adds the hooks of `cache`. Must precede the `TorchNetwork` of the module."""
    options: dict[str, Any] = dict(cache.options)
    if cache.method == FIRST_BLOCK:
        apply_first_block_cache(module, FirstBlockCacheConfig(**options))
    else:
        # diffusers' default type for the series is coarser than float32.
        config = TaylorSeerCacheConfig(
            taylor_factors_dtype=next(module.parameters()).dtype,
            use_lite_mode=cache.method == TAYLOR_LITE,
            **options,
        )
        apply_taylorseer_cache(module, config)
    return CacheHooks(module)


def _managers(module: torch.nn.Module) -> list[StateManager]:
    """State managers of all hooks in the module, without duplicates: hooks may share one."""
    children = (child for child in module.modules() if hasattr(child, "_diffusers_hook"))
    hooks = (hook for child in children for hook in child._diffusers_hook.hooks.values())
    values = (value for hook in hooks for value in vars(hook).values())
    return list(dict.fromkeys(value for value in values if isinstance(value, StateManager)))
