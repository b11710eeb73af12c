"""Every family on the executor that the catalog chooses by default: images close to eager torch's.

A module may keep tensors of the first size for later ones, so sizes run in both orders.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request
from .test_executors import CLOSE, distance
from .test_images import FAMILIES, MIN_STEPS, SIZES

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

DEFAULT = PipelineConfig(Path()).executor
# Sana's decoder with random weights divides by almost zero for seed 1, which amplifies rounding.
# `make soak` runs all families, which take minutes.
ESSENTIAL = ("flux", "stable-diffusion")
REQUEST = Request("a red fox on the snow", seed=2, steps=1)


def families(essential: Sequence[str]) -> list[Any]:
    """Parameters: all families, of which the essential ones are no soak."""
    return [
        family if family in essential else pytest.param(family, marks=pytest.mark.soak)
        for family in FAMILIES
    ]


def draw(folder: Path, kept: Path, requests: Sequence[Request], **config: Any) -> list[bytes]:
    """Images of the default executor, one after the other."""
    torch.set_num_threads(1)
    bench = Bench(folder, executor=DEFAULT, store=ArtifactCache(kept, 1 << 40), **config)
    return [bench.images([request])[0] for request in requests]


def requests_of(family: str) -> list[Request]:
    size, steps = SIZES.get(family, REQUEST.size), MIN_STEPS.get(family, REQUEST.steps)
    return [replace(REQUEST, size=each, steps=steps) for each in (size, size[::-1])]


def assert_close(found: Sequence[bytes], expected: Sequence[bytes]) -> None:
    assert all(distance(*pair) <= CLOSE for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("family", families(ESSENTIAL))
def test_two_sizes(family: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """In both orders: first the networks are converted, then they are read from the cache. Two
    concurrent requests of a size get the bits that each gets alone."""
    folder, requests = folder_of(family), requests_of(family)
    eager = Bench(folder)
    expected = [eager.images([request])[0] for request in requests]
    first = draw(folder, tmp_path, requests)
    assert_close(first, expected)
    assert draw(folder, tmp_path, requests[::-1]) == first[::-1]
    bench = Bench(folder, executor=DEFAULT, store=ArtifactCache(tmp_path, 1 << 40))
    other = replace(requests[0], seed=3)
    alone = bench.images([other])[0]
    assert bench.images([requests[0], other]) == [first[0], alone]


def test_prompts_of_different_lengths(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Qwen-Image's denoiser is converted once for prompts up to 64 tokens, which share batches;
    eager torch gets the prompts as they are."""
    folder = folder_of("qwen-image")
    prompts = ("cat", "the very old house on the green sea", "a red fox on the snow")
    requests = [
        replace(REQUEST, prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts, 1)
    ]
    eager = Bench(folder)
    expected = [eager.images([request])[0] for request in requests]
    bench = Bench(folder, executor=DEFAULT, store=ArtifactCache(tmp_path, 1 << 40))
    found = [bench.images([request])[0] for request in requests]
    assert_close(found, expected)
    assert bench.images(requests) == found
    denoiser: Any = bench.networks["transformer"]
    signatures = {signature for signature, _ in denoiser._executor._calls}
    assert not denoiser._executor.has_eager_bits and len(signatures) == 1


@pytest.mark.parametrize("family", families(["qwen-image"]))
def test_fresh_process(family: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The same in a process that has done nothing before."""
    folder, requests = folder_of(family), requests_of(family)
    eager = Bench(folder)
    expected = [eager.images([request])[0] for request in requests]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as fresh:
        for number in (1, -1):
            found = fresh.submit(draw, folder, tmp_path / str(number), requests[::number])
            assert_close(found.result(), expected[::number])
