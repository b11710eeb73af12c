"""Types and devices that "auto" stands for; the tests need no extra."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from daguerre.models.diffusers import checkpoint, devices, precision
from daguerre.models.diffusers.checkpoint import Checkpoint

from .test_component_files import folder  # noqa: F401

Reader = Callable[..., Checkpoint]


@pytest.fixture
def stored(folder: Path) -> Reader:  # noqa: F811
    """Reads a checkpoint whose denoiser has tensors of these types and numbers of items."""

    def read(**sizes: int) -> Checkpoint:
        header = {
            dtype: {"dtype": dtype, "shape": [size], "data_offsets": [0, 0]}
            for dtype, size in sizes.items()
        }
        data = json.dumps(header).encode()
        file = folder / "unet" / "model.safetensors"
        file.write_bytes(struct.pack("<Q", len(data)) + data)
        return checkpoint.read(folder)

    return read


@pytest.mark.parametrize(
    ("sizes", "on_cuda", "on_fast_cpu", "on_cpu"),
    [
        ({"F32": 9}, "float32", "float32", "float32"),
        ({"F64": 9}, "float32", "float32", "float32"),
        ({"F16": 9}, "float16", "float32", "float32"),
        ({"BF16": 9}, "bfloat16", "bfloat16", "float32"),
        ({"F8_E4M3": 9}, "bfloat16", "bfloat16", "float32"),
        ({"F8_E5M2": 9}, "bfloat16", "bfloat16", "float32"),
        ({"F16": 9, "F32": 8}, "float16", "float32", "float32"),  # norms in another type
        ({"I8": 9, "F16": 2, "F32": 1}, "float16", "float32", "float32"),  # quantized
        ({"U8": 9}, "float32", "float32", "float32"),
    ],
)
def test_auto(
    sizes: dict[str, int],
    on_cuda: str,
    on_fast_cpu: str,
    on_cpu: str,
    stored: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As stored, but on a CPU only what it computes fast; a given type is kept."""
    read = stored(**sizes)
    assert precision.resolve("auto", read, "cuda:0") == on_cuda
    for is_fast, expected in ((True, on_fast_cpu), (False, on_cpu)):
        monkeypatch.setattr(precision, "has_fast_bfloat16", lambda is_fast=is_fast: is_fast)
        assert precision.resolve("auto", read, "cpu") == expected
        for dtype in ("float32", "float16", "bfloat16"):
            assert precision.resolve(dtype, read, "cpu") == dtype


@pytest.mark.parametrize("has_cuda", [False, True])
def test_auto_device(has_cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA where there is a device, unless the executor needs another one."""
    monkeypatch.setattr(devices, "has_cuda", lambda: has_cuda)
    expected = "cuda:0" if has_cuda else "cpu"
    assert devices.resolve("auto", "auto", 0) == expected
    assert devices.resolve("auto", "eager", 0) == expected
    assert devices.resolve("auto", "openvino", 0) == "cpu"
    assert devices.resolve("auto", "cuda-graphs", 0) == "cuda:0"
    assert devices.resolve("cpu", "auto", 0) == "cpu"


def test_a_driver_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is asked only where the driver is installed."""
    asked: list[str] = []

    def is_available() -> bool:
        asked.append("torch")
        return False

    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=is_available))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: torch)
    for driver, expected in (("no-such-library.so", []), (None, ["torch"])):
        monkeypatch.setattr(devices, "_DRIVER", driver)  # None is this process, which has symbols
        devices.has_cuda.cache_clear()
        assert not devices.has_cuda() and asked == expected
    devices.has_cuda.cache_clear()
