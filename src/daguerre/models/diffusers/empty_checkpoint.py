"""A checkpoint that is loaded without its weights, to find what a load would refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daguerre.models.diffusers.devices import CPU
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig

if TYPE_CHECKING:
    import torch

    from daguerre.models.diffusers.proxies import TorchNetwork


class EmptyCheckpoint(LoadedCheckpoint):
    """Its modules are empty, and its networks are for a dry run only, on the CPU."""

    def __init__(self, config: PipelineConfig) -> None:
        super().__init__(config)
        self.config = replace(
            self.config, device=CPU, executor="eager", tf32=False, quantization=None, offload=None
        )
        self.device = CPU

    def load(self) -> Mapping[str, TorchNetwork]:
        import torch

        from daguerre.models.diffusers.embeddings import Embeddings

        torch.set_grad_enabled(False)
        device = torch.device(CPU)
        self.embeddings = Embeddings()
        self.pipeline = self._load_or_refuse(device)
        return self._patch_networks(device)

    def _load_pipeline(self, device: torch.device) -> Any:
        import torch

        from daguerre.models.diffusers import pipeline_loader

        return pipeline_loader.load_empty(self.checkpoint, getattr(torch, self.config.dtype))
