"""Offloading: weights wait in the memory of the host until the device needs them.

Only copies move, so no bit of an image changes. torch is imported when a checkpoint is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.devices import CPU
from daguerre.validation import Table, check_with

if TYPE_CHECKING:
    import torch

MODEL, GROUP = "model", "group"
METHODS = (MODEL, GROUP)


def check(where: str, table: Table) -> None:
    """Raises `SettingsError` if other keys of the catalog's table exclude its offload."""
    check_with(where, table, "offload", "executor", ("auto", "eager"))
    for key in ("cache", "quantization"):
        if key in table:
            raise SettingsError(
                f"{where}: {key} and offload are both given; they exclude each other, because both"
                " replace the weights; remove one"
            )
    check_device(where, str(table["offload"]), str(table.get("device")))


def check_device(where: str, method: str, device: str) -> None:
    if device == CPU:
        raise SettingsError(
            f"{where}: offload is {method!r}, which needs a CUDA device; device is {device!r},"
            " whose memory holds the weights anyway; remove offload"
        )


def device_bytes(method: str, sizes: Mapping[str, Iterable[int]]) -> int:
    """Most bytes of weights on the device at a time; `sizes` are those of each component's tensors.

    The next layer of a group is copied while the current one runs.
    """
    if method == MODEL:
        return max(map(sum, sizes.values()))
    largest = max(max(tensors, default=0) for tensors in sizes.values())
    return 2 * largest + sum(sizes[DECODER])


class Offload:
    """Has the weights of one network on the device, or of one layer of it.

    `device` may be the CPU, where nothing moves.
    """

    def __init__(self, pipeline: Any, method: str, device: torch.device) -> None:
        self._hooks: dict[Any, Any] = {}  # module -> its hook
        if method == MODEL:
            self._hook_models(pipeline, device)
        else:
            # The decoder is small, and its weights are converted where it overflows.
            pipeline.enable_group_offload(
                device,
                offload_type="leaf_level",
                use_stream=device.type != CPU,
                exclude_modules=[DECODER],
            )

    def _hook_models(self, pipeline: Any, device: torch.device) -> None:
        """Like `enable_model_cpu_offload`, which expects pipelines to run one after the other."""
        from accelerate import cpu_offload_with_hook
        from torch import nn

        for name, module in pipeline.components.items():
            if name in pipeline._exclude_from_cpu_offload and isinstance(module, nn.Module):
                module.to(device)
            elif isinstance(module, nn.Module):
                _, self._hooks[module] = cpu_offload_with_hook(module, device)

    def make_room(self, module: Any) -> None:
        """Call it before a forward of the module: no other one stays on the device."""
        for other, hook in self._hooks.items():
            if other is not module:
                hook.offload()
