"""How a forward is run: OpenVINO beside torch, what is kept on disk, and what a fault costs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request, failure

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox on the snow", steps=2)
# Of 255: sums in another order, seen through a random decoder.
CLOSE = 2


def distance(one: bytes, other: bytes) -> int:
    pixels = (np.frombuffer(picture, np.uint8).astype(int) for picture in (one, other))
    return int(np.abs(next(pixels) - next(pixels)).max())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted networks, for all tests that do not care who converted them."""
    return tmp_path_factory.mktemp("converted")


def converted(folder: Path, kept: Path | None, **kind: Any) -> Bench:
    store = ArtifactCache(kept, 1 << 40) if kept else None
    return Bench(folder, executor="openvino", store=store, **kind)


def test_openvino_draws_what_torch_draws(
    folder_of: Callable[[str], Path], kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """To the eye the same picture; the same bits for the same seed, also when it is read again from
    disk, where nothing is converted any more; and a fingerprint of its own."""
    folder = folder_of("stable-diffusion")
    eager, bench = Bench(folder), converted(folder, kept)
    drawn = bench.pictures([REQUEST])[0]
    assert distance(drawn, eager.pictures([REQUEST])[0]) <= CLOSE
    assert bench.pictures([REQUEST])[0] == drawn
    for name in ("unet", "vae"):
        assert "openvino" in bench.networks[name].fingerprint
        assert "openvino" not in eager.networks[name].fingerprint
    assert len(list(kept.rglob("*.bin"))) == len(list(kept.rglob("*.xml"))) >= 2

    before = {file: file.stat().st_mtime_ns for file in kept.rglob("*.*")}
    caplog.clear()
    with caplog.at_level(logging.INFO, "daguerre"):
        assert converted(folder, kept).pictures([REQUEST])[0] == drawn
    assert {file: file.stat().st_mtime_ns for file in kept.rglob("*.*")} == before
    assert "converting" not in caplog.text


def test_failing_executor_costs_no_client_anything(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What cannot be converted runs eagerly, with one warning; the pictures are torch's."""
    from daguerre.models.diffusers.executors import openvino

    def failing(*args: Any) -> Any:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino, "_trace", failing)
    requests = [REQUEST, Request("cat", seed=2, steps=3)]
    expected = Bench(folder_of("flux")).pictures(requests)
    bench = converted(folder_of("flux"), None)
    with caplog.at_level(logging.WARNING, "daguerre"):
        assert bench.pictures(requests) == expected
    assert bench.networks["transformer"].fingerprint.endswith("transformer eager")
    ours = [record for record in caplog.records if record.name.startswith("daguerre")]
    warnings = [record.getMessage() for record in ours]
    assert len(warnings) == 2 and "no such operation" in warnings[0]  # of denoiser and decoder


def test_memory_that_runs_out_is_no_fault_of_the_executor(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be there again for the next: the network stays with its executor, and its bits."""
    from daguerre.models.diffusers.executors import openvino

    def failing(*args: Any) -> Any:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(openvino, "_trace", failing)
    bench = converted(folder_of("flux"), None)
    assert failure(bench.run([REQUEST])[0][-1]).__cause__
    assert "openvino" in bench.networks["transformer"].fingerprint
