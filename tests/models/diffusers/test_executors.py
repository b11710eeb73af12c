"""The OpenVINO executor in a checkpoint: its images, its cache on disk, and its fallback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.errors import UnavailableError
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request, failure

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox on the snow", steps=2)
# Largest difference, of 255: another order of summation, through a decoder with random weights.
CLOSE = 2


def distance(one: bytes, other: bytes) -> int:
    pixels = (np.frombuffer(image, np.uint8).astype(int) for image in (one, other))
    return int(np.abs(next(pixels) - next(pixels)).max())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted networks, shared by tests."""
    return tmp_path_factory.mktemp("converted")


def converted(folder: Path, kept: Path | None, **kind: Any) -> Bench:
    store = ArtifactCache(kept, 1 << 40) if kept else None
    return Bench(folder, executor="openvino", store=store, **kind)


def test_openvino_images(
    folder_of: Callable[[str], Path], kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The images look like torch's. A seed gives the same bits, also with networks from the cache,
    which are not converted again. The fingerprint names OpenVINO."""
    folder = folder_of("stable-diffusion")
    eager, bench = Bench(folder), converted(folder, kept)
    drawn = bench.images([REQUEST])[0]
    assert distance(drawn, eager.images([REQUEST])[0]) <= CLOSE
    assert bench.images([REQUEST])[0] == drawn
    for name in ("unet", "vae"):
        assert "openvino" in bench.networks[name].fingerprint
        assert "openvino" not in eager.networks[name].fingerprint
    assert len(list(kept.rglob("*.bin"))) == len(list(kept.rglob("*.xml"))) >= 2

    before = {file: file.stat().st_mtime_ns for file in kept.rglob("*.*")}
    caplog.clear()
    with caplog.at_level(logging.INFO, "daguerre"):
        assert converted(folder, kept).images([REQUEST])[0] == drawn
    assert {file: file.stat().st_mtime_ns for file in kept.rglob("*.*")} == before
    assert "converting" not in caplog.text


def test_failing_executor_falls_back(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A network that cannot be converted runs eagerly, with one warning and torch's images."""
    from daguerre.models.diffusers.executors import openvino

    def failing(*args: Any) -> Any:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino, "trace", failing)
    requests = [REQUEST, Request("cat", seed=2, steps=3)]
    expected = Bench(folder_of("flux")).images(requests)
    bench = converted(folder_of("flux"), None)
    with caplog.at_level(logging.WARNING, "daguerre"):
        assert bench.images(requests) == expected
    assert bench.networks["transformer"].fingerprint.endswith("transformer eager")
    ours = [record for record in caplog.records if record.name.startswith("daguerre")]
    warnings = [record.getMessage() for record in ours]
    assert len(warnings) == 2 and "no such operation" in warnings[0]  # denoiser and decoder


def test_out_of_memory_keeps_the_executor(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lack of memory can be temporary, so the network keeps its executor and its bits."""
    from daguerre.models.diffusers.executors import openvino

    def failing(*args: Any) -> Any:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(openvino, "trace", failing)
    bench = converted(folder_of("flux"), None)
    assert failure(bench.run([REQUEST])[0][-1]).__cause__
    assert "openvino" in bench.networks["transformer"].fingerprint


def test_size_that_does_not_fit_fails_alone(folder_of: Callable[[str], Path]) -> None:
    """A size without memory gets a 503, and the network keeps its executor and its bits."""
    bench = converted(folder_of("flux"), None)
    image = bench.images([REQUEST])[0]
    compiled = bench.networks["transformer"]._target.compiled  # type: ignore[attr-defined]
    free_bytes, compiled._free_bytes = compiled._free_bytes, lambda: -(1 << 40)
    error = failure(bench.run([replace(REQUEST, size=(24, 16))])[0][-1])
    assert isinstance(error, UnavailableError) and "GB are free" in error.message
    assert bench.images([REQUEST])[0] == image
    compiled._free_bytes = free_bytes
    assert bench.images([replace(REQUEST, size=(24, 16))])[0] != image
