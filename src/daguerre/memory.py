"""Free memory, and the kernel's kills for lack of it, under the limits of cgroups v1 and v2.

Linux only: elsewhere, free memory counts as unlimited and no kill is known.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

UNLIMITED_BYTES = 1 << 62
_QUERY_TIMEOUT_S = 30
_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
# Limit, usage, and the page cache in `memory.stat` that the kernel reclaims first: v2, then v1.
_ACCOUNTS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_bytes() -> int:
    """Bytes that this process can allocate now: free in the machine and below every limit."""
    limits = [_free_below_limit(directory) for directory in _memory_cgroups()]
    return min(_free_in_machine(), *limits, UNLIMITED_BYTES)


def free_gpu_bytes(device: str) -> int | None:
    """Free memory of a device such as "cuda:1", by nvidia-smi; None if it does not tell.

    A runtime would tell, too, but takes memory of the device and seconds to load.
    """
    index = int(device.partition(":")[2] or 0)
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    name = visible[index] if index < len(visible) else str(index)
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", name],
            capture_output=True,
            text=True,
            timeout=_QUERY_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = done.stdout.strip()
    return int(text) << 20 if text.isdigit() else None


def resident_bytes() -> int:
    """Resident memory of this process, like `process_resident_memory_bytes`; 0 if unknown."""
    try:
        return int((_PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def num_oom_kills() -> int:
    """Processes of this cgroup that the kernel has killed for lack of memory.

    Without a cgroup, those of the machine.
    """
    events = ("memory.events", "memory.oom_control")  # v2, v1
    files = [directory / name for directory in _memory_cgroups() for name in events]
    counts = (_pairs(file).get("oom_kill") for file in (*files, _PROC / "vmstat"))
    return next((count for count in counts if count is not None), 0)


def _free_in_machine() -> int:
    kilobytes = _pairs(_PROC / "meminfo").get("MemAvailable:")
    return UNLIMITED_BYTES if kilobytes is None else kilobytes * 1024


def _free_below_limit(cgroup: Path) -> int:
    for limit_file, usage_file, cache in _ACCOUNTS:
        limit, usage = _number(cgroup / limit_file), _number(cgroup / usage_file)
        if limit is not None and usage is not None:
            return limit - usage + _pairs(cgroup / "memory.stat").get(cache, 0)
    return UNLIMITED_BYTES


def _memory_cgroups() -> Iterator[Path]:
    """This process's cgroup and the ones that contain it, whose limits count, too.

    In a container, directories outside of it may be missing.
    """
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = _CGROUPS / "memory" if controllers else _CGROUPS
        names = Path(path).relative_to("/").parts
        for length in range(len(names), -1, -1):
            yield mount.joinpath(*names[:length])


def _number(file: Path) -> int | None:
    """The number in the file; None without one, for example for the limit "max"."""
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdigit() else None


def _pairs(file: Path) -> dict[str, int]:
    """The lines that begin with a name and a number."""
    words = (line.split() for line in _lines(file))
    return {pair[0]: int(pair[1]) for pair in words if len(pair) > 1 and pair[1].isdigit()}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
