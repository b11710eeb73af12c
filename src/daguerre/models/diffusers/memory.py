"""How much memory a checkpoint takes, and how much there is where it goes.

Sizes are read from the heads of its files, not from the files' lengths: another type is loaded than
lies on the disk. Knows nothing of models, and needs no torch for a CPU.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Iterable
from pathlib import Path

ITEM_BYTES = {"float32": 4, "bfloat16": 2}
# Beside its weights, a request's tensors of a megapixel and what a decoder makes of them.
_WORK_BYTES = 2 << 30
_CGROUP = Path("/sys/fs/cgroup")


def needed(weights: Iterable[Path], dtype: str, quantized: Collection[Path] = ()) -> int:
    """Bytes of the weights in this type, and room to work. The matrices of what is quantised take
    a byte for each number."""
    num_bytes = _WORK_BYTES
    for file in weights:
        for shape in _shapes(file):
            is_small = file in quantized and len(shape) == 2
            num_bytes += math.prod(shape) * (1 if is_small else ITEM_BYTES[dtype])
    return num_bytes


def free(device: str) -> int:
    """Bytes that can be taken now."""
    if device == "cpu":
        return min(_free_of_machine(), _free_of_group())
    import torch

    # What torch keeps for later tensors is ours, too.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + kept)


def _shapes(file: Path) -> list[list[int]]:
    """Of all tensors in a file of safetensors; none of what is none, which loading will tell."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > file.stat().st_size:
                return []
            head = json.loads(opened.read(length))
        shapes = [held["shape"] for name, held in head.items() if name[:2] != "__"]
        return [shape for shape in shapes if type(math.prod(shape)) is int]
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return []


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
