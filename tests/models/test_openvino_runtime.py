"""What the runtime says of its threads and its types."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from daguerre import runtime_variables
from daguerre.cpu import num_cpus
from daguerre.errors import SettingsError
from daguerre.models.embedded import networks
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.networks import load_networks
from daguerre.models.openvino import effective_num_threads, openvino_core


@pytest.mark.parametrize("asked", [1, 1000])
def test_no_more_than_there_are_cores(asked: int) -> None:
    """Whatever is asked for; and the networks' fingerprints name those that are taken."""
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(asked)}
    taken = effective_num_threads(openvino_core(), config)
    assert 1 <= taken <= min(asked, num_cpus())
    loaded = load_networks(WEIGHTS, "0" * 64, asked, "auto")
    assert all(f" {taken} threads" in network.fingerprint for network in loaded.values())


@pytest.mark.parametrize(
    ("is_fast", "is_supported", "wanted", "precision"),
    [
        (True, True, "auto", "bf16"),
        (False, True, "auto", "f32"),
        (True, False, "auto", "f32"),
        (False, True, "bfloat16", "bf16"),
        (True, False, "float32", "f32"),
    ],
)
def test_precision(
    is_fast: bool,
    is_supported: bool,
    wanted: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` is bfloat16 if it is fast on the processor and the runtime may use it."""
    monkeypatch.setattr(networks, "has_fast_bfloat16", lambda: is_fast)
    monkeypatch.setattr(networks, "supports_bfloat16", lambda: is_supported)
    assert networks.inference_precision(wanted) == precision


def test_unsupported_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for bfloat16 that the runtime must not use names the variable."""
    monkeypatch.setattr(networks, "supports_bfloat16", lambda: False)
    monkeypatch.setitem(runtime_variables._AT_START, "ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(SettingsError, match="ONEDNN_MAX_CPU_ISA=AVX2.*use 'auto' or 'float32'"):
        networks.inference_precision("bfloat16")


def test_variables_are_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a certificate that was made with other kernels does not count."""
    monkeypatch.setitem(runtime_variables._AT_START, "ONEDNN_MAX_CPU_ISA", "AVX2")
    found = load_networks(WEIGHTS, "0" * 64, 1, "float32")
    assert all(" ONEDNN_MAX_CPU_ISA=AVX2 " in network.fingerprint for network in found.values())


_PROBE = "from daguerre.models.openvino import supports_bfloat16; print(supports_bfloat16())"


def test_forbidden_instructions() -> None:
    """Without AVX-512, oneDNN has no bfloat16 on a processor of x86, whatever it can do."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the variable is for x86")
    environ = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", _PROBE], env=environ, capture_output=True)
    assert done.stdout == b"False\n", done.stderr
