"""Checkpoints on a CUDA device: executors and batches. Skipped without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.engine.batching import batcher

from .conftest import REASON, Bench, Request
from .test_executors import CLOSE, distance

torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("diffusers", reason=REASON)

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device on this machine"
)

FAMILIES = ("stable-diffusion-xl", "flux")
REQUESTS = [
    Request("a red fox on the snow", seed=1, steps=4),
    Request("cat", seed=2, steps=4),
    Request("the very old house in the night", seed=3, steps=4),
]


def bench(folder: Path, **config: Any) -> Bench:
    return Bench(folder, device="cuda", dtype="bfloat16", **config)


def fingerprint(made: Bench) -> str:
    return made.networks[made.model.family.denoiser].fingerprint


@pytest.mark.parametrize("family", FAMILIES)
def test_replayed_graphs(family: str, folder_of: Callable[[str], Path]) -> None:
    """Graphs are captured and give the images of eager torch."""
    expected = bench(folder_of(family)).images(REQUESTS)
    graphs = bench(folder_of(family), executor="cuda-graphs")
    for _ in range(2):  # with eager calls and captures, and with replays only
        assert graphs.images(REQUESTS) == expected
    assert fingerprint(graphs).endswith("cuda graphs")


@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_images(family: str, folder_of: Callable[[str], Path]) -> None:
    """Compiled networks give images like eager torch's, and the same bits each time."""
    (expected,) = bench(folder_of(family)).images(REQUESTS[:1])
    compiled = bench(folder_of(family), executor="compile")
    first, second = (compiled.images(REQUESTS[:1])[0] for _ in range(2))
    assert distance(first, expected) <= 4 * CLOSE  # bfloat16
    assert first == second
    assert "torch.compile triton" in fingerprint(compiled)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches(
    family: str, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent requests get the bits that they get alone, whichever batches are certified."""
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    made = bench(folder_of(family))
    alone = [made.images([request])[0] for request in REQUESTS]
    for _ in range(3):
        assert made.images(REQUESTS) == alone
    assert made.loop.certificates()


def test_peak_memory(folder_of: Callable[[str], Path]) -> None:
    """The probe sees what a forward allocates on the device."""
    made = bench(folder_of("flux"))
    probe = made.networks["transformer"].memory_probe  # type: ignore[attr-defined]
    with probe.track_peak() as peak:
        held = torch.empty(1 << 24, dtype=torch.uint8, device="cuda")
        assert peak.num_bytes() >= held.numel()
    assert 0 < probe.free() < torch.cuda.get_device_properties(0).total_memory
