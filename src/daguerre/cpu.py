"""CPU features and the number of CPUs.

The features, never a timing, choose the arithmetic, because it determines an image's bits.
"""

from __future__ import annotations

import os
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def num_cpus() -> int:
    """Number of logical CPUs (hardware threads) that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        return os.cpu_count() or 1


def can_batch(num_threads: int) -> bool:
    """Whether batching is worth verifying with this number of threads; 0 means one per CPU."""
    # With fewer than four, the bundled model gains an eighth at most, and a checkpoint nothing.
    return (num_threads or num_cpus()) >= 4


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 networks run faster than float32 ones on this processor.

    True with AMX, or with `avx512_bf16` on AMD. On a Xeon whose hypervisor hid AMX, vector bfloat16
    was slower (bench/LOG.md).
    """
    try:
        words = set(_CPUINFO.read_text().split())
    except OSError:  # Linux only
        return False
    return "amx_bf16" in words or {"avx512_bf16", "AuthenticAMD"} <= words
