"""diffusers' cache hooks on a denoiser, with a memory for each request that runs.

The hooks keep what they remember of a denoising run in the module, as if there were only one at a
time. Here each request has a memory of its own, which goes with its coroutine. It is put into the
hooks for one evaluation and taken out again, so that whatever other requests do in between, and
whatever a pipeline resets at its end, reaches nothing. Knows nothing of catalogs or families.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
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
from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR, TAYLOR_LITE, Cache
from daguerre.models.diffusers.call_packing import CACHE_STATE_INPUT

# Of a pipeline that asks once in a step, and does not say for which prediction.
_ONLY = "cond"


class CacheState:
    """What the hooks remember of one request: for each of their managers, state by prediction."""

    def __init__(self, number: int, num_managers: int) -> None:
        self.number = number
        self.states: tuple[dict[str, Any], ...] = tuple({} for _ in range(num_managers))


@dataclass(frozen=True, slots=True)
class _CacheCursor:
    """A memory, and the prediction that is asked for."""

    memory: CacheState
    context: CacheContext


class CacheHooks:
    """Those of one module, all of one cache."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._managers = _managers(module)
        assert self._managers, "a cache that hooks nothing. This is a bug."
        self._taken: set[int] = set()

    def memory(self) -> OpaqueConstant:
        """For the inputs of a call; of the request that makes it. No two requests that live have
        equal ones, so that they never share a forward."""
        kept = coroutine.kept()
        if self not in kept:
            kept[self] = self._new()
        moment = _CacheCursor(kept[self], self._managers[0]._context or CacheContext(_ONLY))
        return OpaqueConstant(moment, f"{moment.memory.number} {moment.context.name}")

    @contextmanager
    def remembering(self, inputs: Inputs) -> Iterator[None]:
        """Evaluates with the memory of the inputs, or with one that is thrown away."""
        moment = _held(inputs) or _CacheCursor(
            CacheState(-1, len(self._managers)), CacheContext(_ONLY)
        )
        try:
            for manager, states in zip(self._managers, moment.memory.states, strict=True):
                manager._state_cache = states
                manager.set_context(moment.context)
            yield
        finally:
            for manager in self._managers:
                manager._state_cache = {}
                manager.set_context(None)

    def _new(self) -> CacheState:
        """Its number is the least that is free: numbers are in signatures, which are counted."""
        number = next(n for n in itertools.count() if n not in self._taken)
        self._taken.add(number)
        memory = CacheState(number, len(self._managers))
        weakref.finalize(memory, self._taken.discard, number).atexit = False
        return memory


def apply(module: torch.nn.Module, cache: Cache) -> CacheHooks:
    """Puts the hooks into the module: before a door is put before it."""
    _APPLY[cache.method](module, dict(cache.options))
    return CacheHooks(module)


def _held(inputs: Inputs) -> _CacheCursor | None:
    held = inputs.get(CACHE_STATE_INPUT)
    return held.value if isinstance(held, OpaqueConstant) else None


def _managers(module: torch.nn.Module) -> list[StateManager]:
    """Of all hooks below, each once: several hooks may share one."""
    registries = (getattr(child, "_diffusers_hook", None) for child in module.modules())
    hooks = [
        hook
        for registry in registries
        if isinstance(registry, HookRegistry)
        for hook in registry.hooks.values()
    ]
    held = (value for hook in hooks for value in vars(hook).values())
    return list({id(value): value for value in held if isinstance(value, StateManager)}.values())


def _first_block(module: torch.nn.Module, options: Mapping[str, Any]) -> None:
    apply_first_block_cache(module, FirstBlockCacheConfig(**options))


def _taylorseer(module: torch.nn.Module, options: Mapping[str, Any], is_lite: bool = False) -> None:
    """What it foretells from is kept in the network's own type, not in a coarser one."""
    dtype = next(module.parameters()).dtype
    config = TaylorSeerCacheConfig(taylor_factors_dtype=dtype, use_lite_mode=is_lite, **options)
    apply_taylorseer_cache(module, config)


def _taylorseer_lite(module: torch.nn.Module, options: Mapping[str, Any]) -> None:
    _taylorseer(module, options, is_lite=True)


_APPLY: Mapping[str, Callable[[torch.nn.Module, Mapping[str, Any]], None]] = {
    FIRST_BLOCK: _first_block,
    TAYLOR: _taylorseer,
    TAYLOR_LITE: _taylorseer_lite,
}
