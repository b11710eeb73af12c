"""Step caches: each request has a state of its own, whatever else runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.engine.batching import batcher
from daguerre.engine.forward import ForwardRequest, OpaqueConstant
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import SettingsError
from daguerre.models.diffusers.caches import FIRST_BLOCK, METHODS, TAYLOR, TAYLOR_LITE, Cache
from daguerre.models.diffusers.families import FAMILIES

from .conftest import REASON, Bench, OneJobAtATime, Request, stock_images

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

CACHES = {
    # With random weights, this threshold makes some steps full and some cached.
    FIRST_BLOCK: Cache(FIRST_BLOCK, (("threshold", 0.42),)),
    TAYLOR: Cache(TAYLOR, (("cache_interval", 3), ("disable_cache_before_step", 2))),
    TAYLOR_LITE: Cache(TAYLOR_LITE, (("cache_interval", 2), ("disable_cache_before_step", 1))),
}
# (family, supported method)
SUPPORTED = [
    *(("flux", method) for method in METHODS),
    *(("qwen-image", method) for method in METHODS),
    ("flux-2", TAYLOR),
    ("flux-2", TAYLOR_LITE),
    ("flux-2-klein", TAYLOR),
    ("flux-2-klein", TAYLOR_LITE),
    ("stable-diffusion-3", TAYLOR),
    ("sana", TAYLOR_LITE),
]
# `make soak` compares all of them.
ESSENTIAL = [*(("flux", method) for method in METHODS), ("sana", TAYLOR_LITE)]
_REGISTRY = "_diffusers_hook"
# Of different lengths: one ends, and its pipeline resets the hooks, while the others still run.
REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=8),
    Request("cat", seed=2, steps=5),
    Request("the very old house", seed=3, steps=9),
)


def requests_of(family: str) -> list[Request]:
    size = (32, 64) if family == "sana" else (16, 24)
    return [replace(request, size=size) for request in REQUESTS]


def enable(pipeline: Any, cache: Cache) -> None:
    """Enables a cache before a request, as diffusers documents it.

    Some pipelines neither name a prediction for a cache nor reset it, so this does both.
    """
    from diffusers import hooks
    from diffusers.hooks.hooks import CacheContext, HookRegistry, StateManager

    module, options = pipeline.transformer, dict[str, Any](cache.options)
    if not any(hasattr(child, _REGISTRY) for child in module.modules()):
        if cache.method == FIRST_BLOCK:
            hooks.apply_first_block_cache(module, hooks.FirstBlockCacheConfig(**options))
        else:
            is_lite = cache.method == TAYLOR_LITE
            config = hooks.TaylorSeerCacheConfig(
                taylor_factors_dtype=torch.float32, use_lite_mode=is_lite, **options
            )
            hooks.apply_taylorseer_cache(module, config)
    HookRegistry.check_if_exists_or_initialize(module).reset_stateful_hooks()
    registries = [child._diffusers_hook for child in module.modules() if hasattr(child, _REGISTRY)]
    for hook in [hook for registry in registries for hook in registry.hooks.values()]:
        for manager in [held for held in vars(hook).values() if isinstance(held, StateManager)]:
            manager.set_context(CacheContext("all steps"))


class Interleaved:
    """Pipelines that run forward by forward, round-robin."""

    def __init__(self, bench: Bench, requests: Sequence[Request]) -> None:
        self._bench = bench
        self._running: dict[int, tuple[Pipeline, ForwardRequest]] = {}
        self.images: dict[int, bytes] = {}
        for number, request in enumerate(requests):
            pipeline = bench.model.run(request.params(), request.steps, bench.model.guidance)
            self._running[number] = (pipeline, next(pipeline))

    def run_round(self) -> None:
        for number, (pipeline, forward) in list(self._running.items()):
            outputs = self._bench.networks[forward.network](forward.inputs)
            try:
                self._running[number] = (pipeline, pipeline.send(outputs))
            except StopIteration as end:
                self.images[number] = np.asarray(end.value).tobytes()
                del self._running[number]

    def run(self) -> list[bytes]:
        while self._running:
            self.run_round()
        return [self.images[number] for number in sorted(self.images)]


def num_linear_calls(bench: Bench, requests: Sequence[Request]) -> int:
    """Number of calls of the denoiser's linear layers."""
    found = [0]

    def count(*_: Any) -> None:
        found[0] += 1

    denoiser = getattr(bench.model.weights_key.pipeline, bench.model.family.denoiser)
    layers = [layer for layer in denoiser.modules() if isinstance(layer, torch.nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    bench.images(requests)
    for handle in handles:
        handle.remove()
    return found[0]


@pytest.mark.parametrize(
    ("family", "method"),
    [
        pair if pair in ESSENTIAL else pytest.param(*pair, marks=pytest.mark.soak)
        for pair in SUPPORTED
    ],
)
def test_image_is_the_stock_pipelines_with_the_same_cache(
    family: str, method: str, folder_of: Callable[[str], Path]
) -> None:
    """Alone, concurrently and interleaved, a request gets the bits of the stock pipeline with this
    cache, which runs fewer layers than without."""
    folder, requests = folder_of(family), requests_of(family)
    bench, full = Bench(folder, cache=CACHES[method]), Bench(folder)
    stock = stock_images(folder, bench, requests, lambda pipeline: enable(pipeline, CACHES[method]))
    assert [bench.images([request])[0] for request in requests] == stock
    assert bench.images(requests) == stock
    assert Interleaved(bench, requests).run() == stock
    full.images(requests[1:2])  # finding the structure of a result takes one evaluation
    assert 0 < num_linear_calls(bench, requests[1:2]) < num_linear_calls(full, requests[1:2])
    assert bench.networks["transformer"].fingerprint != full.networks["transformer"].fingerprint


@pytest.mark.parametrize("method", METHODS)
def test_every_option_has_an_effect(method: str, folder_of: Callable[[str], Path]) -> None:
    """Each option of a method changes the outputs."""
    values = {
        "threshold": 0.001,
        "cache_interval": 5,
        "disable_cache_before_step": 4,
        "disable_cache_after_step": 4,
        "max_order": 3,
    }
    request = replace(REQUESTS[0], size=(32, 48))
    base = dict(CACHES[method].options)
    drawn = []
    for key in (None, *METHODS[method].keys):
        options = base if key is None else {**base, key: values[key]}
        bench = Bench(folder_of("flux"), cache=Cache(method, tuple(options.items())))
        forwards = []
        pipeline = bench.model.run(request.params(), request.steps, bench.model.guidance)
        outputs = None
        try:
            while True:
                forward = pipeline.send(outputs)  # type: ignore[arg-type]
                outputs = bench.networks[forward.network](forward.inputs)
                forwards += (
                    [np.asarray(torch.as_tensor(outputs[0]).cpu()).tobytes()]
                    if forward.step
                    else []
                )
        except StopIteration:
            drawn.append(b"".join(forwards))
    assert len(set(drawn)) == len(drawn)


def test_no_batch_is_shared(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests do not share a batch even if it were exact and free: a cache compares batches."""
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    bench = Bench(folder_of("flux"), cache=CACHES[TAYLOR])
    requests = [replace(request, prompt="a fox") for request in REQUESTS]
    shared = bench.networks["transformer"] = OneJobAtATime(bench.networks["transformer"], 1)
    alone = [bench.images([request])[0] for request in requests]
    for _ in range(3):
        assert bench.images(requests) == alone
    assert set(shared.calls) == {1}
    assert bench.loop.certificates() == {}


def test_state_ends_with_the_request(folder_of: Callable[[str], Path]) -> None:
    """A cancelled or completed request frees its state."""
    bench = Bench(folder_of("flux"), cache=CACHES[TAYLOR])
    events = bench.arrive([replace(REQUESTS[0], steps=40)])
    while len(events[0]) < 5:
        bench.loop.run_iteration()
    (job,) = bench.loop._jobs.values()
    assert job.pending is not None
    held = job.pending.inputs["cache_state"]
    assert isinstance(held, OpaqueConstant)
    states = [state for states in held.value[0] for state in states.values()]
    tensors = [weakref.ref(state.taylor_factors[0][0]) for state in states]
    assert len(tensors) >= 2 and all(tensor() is not None for tensor in tensors)
    bench.loop.cancel(job)
    del job, held, states, events
    gc.collect()
    assert [tensor() for tensor in tensors] == [None] * len(tensors)

    bench.images(REQUESTS)
    hooks = bench.networks["transformer"].hooks  # type: ignore[attr-defined]
    assert all(manager._state_cache == {} for manager in hooks._managers)


def test_unsupported_cache_is_refused(folder_of: Callable[[str], Path]) -> None:
    """The error, before anything is loaded, names the supported ones."""
    with pytest.raises(
        SettingsError, match="StableDiffusionPipeline does not support; supported: none"
    ):
        Bench(folder_of("stable-diffusion"), cache=CACHES[TAYLOR])
    with pytest.raises(
        SettingsError, match="Flux2Pipeline does not support; supported: taylorseer, taylor"
    ):
        Bench(folder_of("flux-2"), cache=CACHES[FIRST_BLOCK])


def test_every_supported_cache_is_tested() -> None:
    """The table of families agrees with the comparison above."""
    compared = {(FAMILIES_OF[family], method) for family, method in SUPPORTED}
    assert compared == {
        (name, method) for name, family in FAMILIES.items() for method in family.caches
    }


@pytest.mark.parametrize("method", METHODS)
def test_documented_defaults(method: str) -> None:
    """The documented defaults are those of diffusers' configurations."""
    from diffusers import hooks

    is_first_block = method == FIRST_BLOCK
    kind: Any = hooks.FirstBlockCacheConfig if is_first_block else hooks.TaylorSeerCacheConfig
    config = kind()
    expected = {key: getattr(config, key) for key in METHODS[method].keys}
    assert METHODS[method].defaults == {
        key: value for key, value in expected.items() if value is not None
    }


FAMILIES_OF = {
    "flux": "FluxPipeline",
    "qwen-image": "QwenImagePipeline",
    "flux-2": "Flux2Pipeline",
    "flux-2-klein": "Flux2KleinPipeline",
    "stable-diffusion-3": "StableDiffusion3Pipeline",
    "sana": "SanaPipeline",
}
