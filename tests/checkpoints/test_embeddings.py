"""Texts that were read before are not read again, and nobody can tell from the picture."""

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
def test_text_is_read_once(family: str, folder_of: Callable[[str], Path]) -> None:
    """The second request with the same words runs no text encoder, and draws the same bits; other
    words, and the same ones as a negative prompt, are read."""
    request = REQUEST if family != "flux" else replace(REQUEST, negative_prompt="")
    bench = Bench(folder_of(family))
    first = bench.pictures([request])
    num_all = bench.loop.batcher.num_forwards
    assert bench.pictures([request]) == first
    num_denoiser = bench.loop.batcher.num_forwards - num_all
    num_steps = 3 if family == "stable-diffusion" else 2  # its sampler asks twice in the first
    assert num_denoiser == num_steps + 1  # and the decoder
    other = replace(request, prompt="a green fox", seed=2)
    before = bench.loop.batcher.num_forwards
    picture = bench.pictures([other])
    assert bench.loop.batcher.num_forwards - before > num_denoiser
    assert picture == Bench(folder_of(family)).pictures([other])
    assert bench.pictures([request]) == first


def test_least_used_is_forgotten() -> None:
    """The bytes are bounded, what was asked for last stays, and what is too large is not kept."""
    from daguerre.engine.forward import ForwardRequest
    from daguerre.models.diffusers.embeddings import Embeddings

    kept = Embeddings(max_bytes=3 * 40)
    forwards = [ForwardRequest("text", {"ids": torch.tensor([[i]])}, "encode") for i in range(4)]
    for forward in forwards[:3]:
        kept.put(forward, (torch.zeros(1, 10),))
    assert kept.get(forwards[0]) is not None
    kept.put(forwards[3], (torch.zeros(1, 10),))
    assert [kept.get(forward) is not None for forward in forwards] == [True, False, True, True]
    kept.put(forwards[1], (torch.zeros(1, 31),))
    assert kept.get(forwards[1]) is None


def test_what_is_kept_is_nobodys_to_change() -> None:
    """Neither who gave it nor who got it can change what the next one gets; shapes, types and
    networks are told apart."""
    from daguerre.engine.forward import ForwardRequest
    from daguerre.models.diffusers.embeddings import Embeddings

    kept, ids = Embeddings(), torch.tensor([[1, 2]])
    forward = ForwardRequest("text", {"ids": ids}, "encode")
    output = torch.ones(1, 3)
    kept.put(forward, (output,))
    output.zero_()
    for _ in range(2):
        found: Any = kept.get(forward)
        (got,) = found
        assert torch.equal(got, torch.ones(1, 3))
        got.zero_()
    for other in (
        ForwardRequest("text", {"ids": ids.to(torch.int32)}, "encode"),
        ForwardRequest("text", {"ids": ids.reshape(2, 1)}, "encode"),
        ForwardRequest("text_2", {"ids": ids}, "encode"),
    ):
        assert kept.get(other) is None
