"""What the processor has units for. Features only, never a timing: they decide bits."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def has_fast_bfloat16() -> bool:
    """Whether networks of bfloat16 are faster than those of float32: with matrix units, or with
    AMD's vector units, which have twice the rate for it. On a Xeon whose hypervisor hid the matrix
    units, vector bfloat16 was the slower one (bench/LOG.md)."""
    try:
        words = set(_CPUINFO.read_text().split())
    except OSError:  # not on every system
        return False
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words
