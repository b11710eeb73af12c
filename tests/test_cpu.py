"""What is read of the processor, by what Linux says of some."""

from __future__ import annotations

from pathlib import Path

import pytest

from daguerre import cpu


@pytest.mark.parametrize(
    ("words", "has_fast_bfloat16"),
    [
        ("vendor_id : AuthenticAMD\nflags : fpu avx2", False),
        ("vendor_id : AuthenticAMD\nflags : fpu avx512f avx512_bf16", True),
        ("vendor_id : GenuineIntel\nflags : fpu avx512f avx512_bf16", False),
        ("vendor_id : GenuineIntel\nflags : fpu avx512_bf16 amx_bf16 amx_tile", True),
        (None, False),
    ],
)
def test_units(
    words: str | None,
    has_fast_bfloat16: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cpuinfo"
    if words is not None:
        file.write_text(words)
    monkeypatch.setattr(cpu, "_CPUINFO", file)
    assert cpu.has_fast_bfloat16() is has_fast_bfloat16


@pytest.mark.parametrize(("num_threads", "expected"), [(0, True), (3, False), (4, True)])
def test_batching_needs_threads(
    num_threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batching needs four threads; 0 threads means one per CPU."""
    monkeypatch.setattr(cpu, "num_cpus", lambda: 8)
    assert cpu.can_batch(num_threads) is expected
