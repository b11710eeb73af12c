"""Determinism settings and fingerprint of a CUDA device, tested without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

CUDA = torch.device("cuda:0")


def flags() -> dict[str, Any]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return {
        "deterministic": cudnn.deterministic,
        "benchmark": cudnn.benchmark,
        "bf16": matmul.allow_bf16_reduced_precision_reduction,
        "fp16": matmul.allow_fp16_reduced_precision_reduction,
        "tf32": (matmul.allow_tf32, cudnn.allow_tf32),
        "cudnn_sdp": torch.backends.cuda.cudnn_sdp_enabled(),
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    }


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "to be restored")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before, matmul, cudnn = flags(), torch.backends.cuda.matmul, torch.backends.cudnn
    torch.backends.cuda.enable_cudnn_sdp(True)
    cudnn.benchmark = matmul.allow_bf16_reduced_precision_reduction = True
    yield
    cudnn.deterministic, cudnn.benchmark = before["deterministic"], before["benchmark"]
    matmul.allow_bf16_reduced_precision_reduction = before["bf16"]
    matmul.allow_fp16_reduced_precision_reduction = before["fp16"]
    matmul.allow_tf32, cudnn.allow_tf32 = before["tf32"]
    torch.backends.cuda.enable_cudnn_sdp(before["cudnn_sdp"])


def test_cuda_settings() -> None:
    """All settings are applied; a workspace that the operator chose is kept."""
    from daguerre.models.diffusers import determinism

    determinism.enable_determinism(CUDA)
    expected = {
        "deterministic": True,
        "benchmark": False,
        "bf16": False,
        "fp16": False,
        "tf32": (False, False),
        "cudnn_sdp": False,
        "workspace": ":4096:8",
    }
    assert flags() == expected
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    determinism.enable_determinism(CUDA)
    assert flags() == expected | {"workspace": ":16:8"}


def test_cpu_changes_nothing() -> None:
    """Other code in the process keeps its settings."""
    from daguerre.models.diffusers import determinism

    before = flags()
    determinism.enable_determinism(torch.device("cpu"))
    assert flags() == before


def test_tf32_is_set_per_forward() -> None:
    """TF32 is on only during a forward of a model that allows it, also after an error."""
    from daguerre.models.diffusers.executors.base import ExecutionTarget
    from daguerre.models.diffusers.proxies import TorchNetwork

    seen: list[tuple[bool, bool]] = []

    def forward(x: Any) -> Any:
        seen.append(flags()["tf32"])
        if x.sum() < 0:
            raise ValueError("negative")
        return x

    from daguerre.models.diffusers import determinism
    from daguerre.models.diffusers.call_packing import pack_call

    determinism.enable_determinism(CUDA)
    for is_tf32 in (True, False, True):
        target = ExecutionTarget("eager", CUDA, "float32", "", is_tf32=is_tf32)
        module = torch.nn.Identity()
        module.forward = forward
        network = TorchNetwork("n", module, "forward", target)
        network(pack_call({"x": torch.ones(1, 2)}))
        assert seen.pop() == (is_tf32, is_tf32)
        with pytest.raises(ValueError, match="negative"):
            network(pack_call({"x": -torch.ones(1, 2)}))
        assert flags()["tf32"] == (False, False)


def test_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Driver, workspace and TF32 are part of it. CUDA replaces a missing driver file."""
    from daguerre.models.diffusers import determinism

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Test GPU")
    monkeypatch.setattr(torch._C, "_cuda_getDriverVersion", lambda: 12080, raising=False)
    file = tmp_path / "version"
    monkeypatch.setattr(determinism, "_DRIVER_VERSION", file)
    fingerprints = {determinism.fingerprint("w", CUDA, "float32")}
    assert "driver for cuda 12080" in fingerprints.pop()
    for version in ("550.54.15", "570.10"):
        file.write_text(f"NVRM version: NVIDIA UNIX  {version}\nGCC version: 12\n")
        found = determinism.fingerprint("w", CUDA, "float32")
        assert "Test GPU" in found and f"driver NVRM version: NVIDIA UNIX {version}" in found
        assert "GCC" not in found
        fingerprints.add(found)
    fingerprints.add(determinism.fingerprint("w", CUDA, "float32", is_tf32=True))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    fingerprints.add(determinism.fingerprint("w", CUDA, "float32"))
    assert len(fingerprints) == 4
