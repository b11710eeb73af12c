"""diffusers' cache hooks on a denoiser, with a separate state for each request.

The hooks keep the state of a denoising run in the module, as if only one ran at a time. Here each
request has its own state, kept with its coroutine. The state is installed in the hooks for one
evaluation and then removed, so no other request and no reset by a pipeline can change it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_taylorseer_cache,
)
from diffusers.hooks.hooks import CacheContext, HookRegistry, StateManager

from daguerre.engine.forward import Inputs, OpaqueConstant
from daguerre.models.diffusers import coroutine
from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR_LITE, Cache
from daguerre.models.diffusers.call_packing import CACHE_STATE_INPUT

# Name of the prediction in a pipeline that makes one call per step and names none.
_DEFAULT_CONTEXT = "cond"


class CacheState:
    """State of one request: for each state manager of the hooks, prediction -> state."""

    def __init__(self, number: int, num_managers: int) -> None:
        self.number = number
        self.states: tuple[dict[str, Any], ...] = tuple({} for _ in range(num_managers))


@dataclass(frozen=True, slots=True)
class _CacheCursor:
    """The state, and the prediction that is evaluated next."""

    state: CacheState
    context: CacheContext


class CacheHooks:
    """The hooks of one module, all of the same cache."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._managers = _managers(module)
        assert self._managers, "the cache hooked no module. This is a bug."
        self._numbers: set[int] = set()  # of live states

    def current_state(self) -> OpaqueConstant:
        """The input that carries the state of the current request.

        Live requests have different states, so their forwards never share a batch.
        """
        values = coroutine.task_locals()
        if self not in values:
            values[self] = self._new_state()
        context = self._managers[0]._context or CacheContext(_DEFAULT_CONTEXT)
        cursor = _CacheCursor(values[self], context)
        return OpaqueConstant(cursor, f"{cursor.state.number} {context.name}")

    @contextmanager
    def installed(self, inputs: Inputs) -> Iterator[None]:
        """Installs the state in `inputs`, or an empty one that is dropped afterwards."""
        held = inputs.get(CACHE_STATE_INPUT)
        if isinstance(held, OpaqueConstant):
            cursor: _CacheCursor = held.value
        else:
            state = CacheState(-1, len(self._managers))
            cursor = _CacheCursor(state, CacheContext(_DEFAULT_CONTEXT))
        try:
            for manager, states in zip(self._managers, cursor.state.states, strict=True):
                manager._state_cache = states
                manager.set_context(cursor.context)
            yield
        finally:
            for manager in self._managers:
                manager._state_cache = {}
                manager.set_context(None)

    def _new_state(self) -> CacheState:
        """Takes the lowest free number, because each number makes new signatures."""
        number = next(n for n in itertools.count() if n not in self._numbers)
        self._numbers.add(number)
        state = CacheState(number, len(self._managers))
        weakref.finalize(state, self._numbers.discard, number).atexit = False
        return state


def apply(module: torch.nn.Module, cache: Cache) -> CacheHooks:
    """Adds the hooks of `cache`. Must precede `proxies.patch_module`."""
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
    registries = (getattr(child, "_diffusers_hook", None) for child in module.modules())
    hooks = [
        hook
        for registry in registries
        if isinstance(registry, HookRegistry)
        for hook in registry.hooks.values()
    ]
    values = (value for hook in hooks for value in vars(hook).values())
    return list({id(value): value for value in values if isinstance(value, StateManager)}.values())
