"""How much memory a checkpoint takes, and how much there is where it goes.

Sizes are read from the heads of its files, not from the files' lengths: another type is loaded than
lies on the disk. Knows nothing of models, and needs no torch for a CPU.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from pathlib import Path

ITEM_BYTES = {"float32": 4, "bfloat16": 2}
# Beside its weights, a request's tensors of a megapixel and what a decoder makes of them.
_WORK_BYTES = 2 << 30
_CGROUP = Path("/sys/fs/cgroup")


def needed(weights: Iterable[Path], dtype: str) -> int:
    """Bytes of the weights in this type, and room to work."""
    return sum(map(_num_items, weights)) * ITEM_BYTES[dtype] + _WORK_BYTES


def free(device: str) -> int:
    """Bytes that can be taken now."""
    if device == "cpu":
        return min(_free_of_machine(), _free_of_group())
    import torch

    # What torch keeps for later tensors is ours, too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + kept)


def _num_items(file: Path) -> int:
    """Of all tensors in a file of safetensors; 0 for what is none, which loading will tell."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > file.stat().st_size:
                return 0
            head = json.loads(opened.read(length))
        return sum(math.prod(held["shape"]) for name, held in head.items() if name[:2] != "__")
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return 0


def _free_of_machine() -> int:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62  # a system that does not say


def _free_of_group() -> int:
    """Of a container that has less than its machine; memory of files that were read is free."""
    limit = "".join(_lines(_CGROUP / "memory.max")).strip()
    used = "".join(_lines(_CGROUP / "memory.current")).strip()
    if not (limit.isdigit() and used.isdigit()):
        return 1 << 62
    stat = dict(line.split() for line in _lines(_CGROUP / "memory.stat"))
    return int(limit) - int(used) + int(stat.get("inactive_file", 0))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
