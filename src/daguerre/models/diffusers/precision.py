"""The type of numbers that a checkpoint's networks are loaded in. Loads no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from daguerre.cpu import has_fast_bfloat16
from daguerre.errors import SettingsError
from daguerre.models.diffusers import quantization
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.devices import CPU

AUTO = "auto"
ITEM_BYTES: Mapping[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
DTYPES = (AUTO, *ITEM_BYTES)
# Type in a safetensors file -> the type that "auto" loads on a CUDA device. Both kinds of 8-bit
# floats are exact in bfloat16, and integers hold quantized weights, which do not count.
_STORED: Mapping[str, str] = {
    "F64": "float32",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "bfloat16",
    "F8_E5M2": "bfloat16",
}


def resolve(dtype: str, checkpoint: Checkpoint, device: str) -> str:
    """The type that "auto" means for this checkpoint on this device.

    It is the type of most numbers of the denoiser. A CPU gets what it computes fast: bfloat16 if
    the checkpoint is stored in it and the CPU has it, else float32. Tensors of torchao keep their
    type in any case, so the others must have it, too.
    """
    if dtype != AUTO:
        return dtype
    stored = stored_dtype(checkpoint, checkpoint.family.denoiser)
    package = checkpoint.denoiser_quantized_by
    if device != CPU or package == quantization.LIBRARY:
        return stored
    is_fast = stored == "bfloat16" and has_fast_bfloat16() and not package
    return stored if is_fast else "float32"


def stored_dtype(checkpoint: Checkpoint, component: str) -> str:
    """The type of most floating-point numbers in a component's files; float32 if it has none."""
    sizes: Counter[str] = Counter()
    for tensor in checkpoint.tensors(component):
        if dtype := _STORED.get(tensor.dtype):
            sizes[dtype] += math.prod(tensor.shape)
    return sizes.most_common(1)[0][0] if sizes else "float32"


def check_tf32(where: str, device: str, dtype: str) -> None:
    """Raises `SettingsError` if TF32 would have no effect; "auto" may turn out to be right."""
    if device == CPU or dtype not in (AUTO, "float32"):
        raise SettingsError(
            f"{where}: tf32 is true, which needs a CUDA device and dtype 'float32'; device is"
            f" {device!r}, dtype is {dtype!r}; remove tf32, or set them"
        )
