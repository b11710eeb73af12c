"""Cached outputs of text encoders, which change no image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .conftest import REASON, Bench, Request

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox on the snow", steps=2, negative_prompt="blue sea")


@pytest.mark.parametrize("family", ["stable-diffusion", "flux"])
def test_text_is_encoded_once(family: str, folder_of: Callable[[str], Path]) -> None:
    """A second request with the same prompts runs no text encoder and gets the same bits; other
    prompts are encoded."""
    request = REQUEST if family != "flux" else replace(REQUEST, negative_prompt="")
    bench = Bench(folder_of(family))
    first = bench.images([request])
    num_all = bench.loop.batcher.num_forwards
    assert bench.images([request]) == first
    num_denoiser = bench.loop.batcher.num_forwards - num_all
    # Stable Diffusion's sampler makes two calls in the first step. The decoder makes one.
    assert num_denoiser == (4 if family == "stable-diffusion" else 3)
    other = replace(request, prompt="a green fox", seed=2)
    before = bench.loop.batcher.num_forwards
    image = bench.images([other])
    assert bench.loop.batcher.num_forwards - before > num_denoiser
    assert image == Bench(folder_of(family)).images([other])
    assert bench.images([request]) == first


def test_eviction() -> None:
    """The least recently used entry is evicted at the limit; too large ones are not stored."""
    from daguerre.engine.forward import ForwardRequest
    from daguerre.models.diffusers.embeddings import Embeddings

    cache = Embeddings(max_bytes=3 * 40)
    forwards = [ForwardRequest("text", {"ids": torch.tensor([[i]])}, "encode") for i in range(4)]
    for forward in forwards[:3]:
        cache.put(forward, (torch.zeros(1, 10),))
    assert cache.get(forwards[0]) is not None
    cache.put(forwards[3], (torch.zeros(1, 10),))
    assert [cache.get(forward) is not None for forward in forwards] == [True, False, True, True]
    cache.put(forwards[1], (torch.zeros(1, 31),))
    assert cache.get(forwards[1]) is None


def test_entries_are_copies() -> None:
    """Changing a stored or a returned tensor changes no entry. Shape, type and network are part of
    the key."""
    from daguerre.engine.forward import ForwardRequest
    from daguerre.models.diffusers.embeddings import Embeddings

    cache, ids = Embeddings(), torch.tensor([[1, 2]])
    forward = ForwardRequest("text", {"ids": ids}, "encode")
    output = torch.ones(1, 3)
    cache.put(forward, (output,))
    output.zero_()
    for _ in range(2):
        found: Any = cache.get(forward)
        (got,) = found
        assert torch.equal(got, torch.ones(1, 3))
        got.zero_()
    for other in (
        ForwardRequest("text", {"ids": ids.to(torch.int32)}, "encode"),
        ForwardRequest("text", {"ids": ids.reshape(2, 1)}, "encode"),
        ForwardRequest("text_2", {"ids": ids}, "encode"),
    ):
        assert cache.get(other) is None
