"""Which environment variables are part of a fingerprint."""

from __future__ import annotations

import pytest

from daguerre import runtime_variables
from daguerre.runtime_variables import runtime_fingerprint


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        *((name, True) for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OMP_NUM_THREADS")),
        *((name, True) for name in ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "KMP_BLOCKTIME")),
        *((name, True) for name in ("GLIBC_TUNABLES", "NPY_DISABLE_CPU_FEATURES", "LD_PRELOAD")),
        *((name, False) for name in ("PATH", "ONEDNN_VERBOSE", "TORCHINDUCTOR_CACHE_DIR")),
        *((name, False) for name in ("NVIDIA_VISIBLE_DEVICES", "DAGUERRE_PORT")),
        # Kubernetes sets these for the Services triton and torch-serve in the same namespace.
        *((name, False) for name in ("TRITON_SERVICE_HOST", "TORCH_SERVE_SERVICE_PORT_HTTP")),
        *((name, False) for name in ("TRITON_PORT", "TRITON_PORT_8000_TCP_ADDR")),
    ],
)
def test_names(name: str, is_part: bool) -> None:
    found = runtime_variables.runtime_variables({name: "1", "OMP_DYNAMIC": ""})
    assert found == ({name: "1"} if is_part else {})


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is one word, because fingerprints are compared by words."""
    for name in list(runtime_variables._AT_START):
        monkeypatch.delitem(runtime_variables._AT_START, name)
    monkeypatch.setitem(runtime_variables._AT_START, "OMP_PLACES", "{0}, {1}")
    monkeypatch.setitem(runtime_variables._AT_START, "ATEN_CPU_CAPABILITY", "avx2")
    assert runtime_fingerprint() == ["ATEN_CPU_CAPABILITY=avx2", "OMP_PLACES=%7B0%7D%2C%20%7B1%7D"]
