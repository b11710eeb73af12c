"""Components in memory that several checkpoints share, such as a text encoder. Loads no torch.

Model IDs of one checkpoint may differ by a LoRA or a VAE. The other components are in memory once.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from daguerre.models.diffusers.adapters import lora_header
from daguerre.models.diffusers.checkpoint import DECODER, Checkpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.storage.file_digests import FileIdentity


class SharedComponents:
    """Modules by key; each stays in memory as long as a checkpoint refers to it.

    Used in the engine's thread only.
    """

    def __init__(self) -> None:
        self._modules: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def find(self, keys: Mapping[str, Hashable]) -> dict[str, Any]:
        """Name -> module, of the components that are in memory. Call only copies of them."""
        return {
            name: module
            for name, key in keys.items()
            if (module := self._modules.get(key)) is not None
        }

    def add(self, keys: Mapping[str, Hashable], modules: Mapping[str, Any]) -> None:
        self._modules.update({keys[name]: module for name, module in modules.items()})


def keys(checkpoint: Checkpoint, config: PipelineConfig) -> dict[str, Hashable]:
    """Name -> key of each network that the configuration leaves as it is stored.

    Equal keys have equal weights on one device. `config` has a device and a type. Raises OSError
    and `SettingsError` for a file that cannot be read.
    """
    if config.offload:  # its hooks move weights
        return {}
    family, changed = checkpoint.family, set(checkpoint.quantized_components)
    if config.loras or config.quantization or config.cache:
        changed.add(family.denoiser)
    if config.embeddings or any(map(lora_header.has_text_layers, config.loras)):
        changed.update(family.text_encoders)
    if config.dtype == "float16":
        changed.add(DECODER)  # some pipelines convert it to float32
    return {
        name: _key(checkpoint, name, config) for name in checkpoint.networks if name not in changed
    }


def _key(checkpoint: Checkpoint, name: str, config: PipelineConfig) -> Hashable:
    files = tuple(map(FileIdentity.of, checkpoint.files_of(name)))
    return checkpoint.components[name], config.dtype, config.device, files


def with_same_weights(module: Any) -> Any:
    """A copy of the module that shares its tensors."""
    tensors = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
