"""A checkpoint's stock pipeline, loaded once: its patched networks, and copies to run.

Several model IDs may share one. torch is imported when the pipeline is loaded, not before.
"""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import (
    devices,
    memory_probe,
    offload,
    quantization,
    shared_components,
)
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.checkpoint_digest import CheckpointDigest
from daguerre.models.diffusers.component_files import StoredTensor
from daguerre.models.diffusers.library_errors import as_settings_error
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.shared_components import SharedComponents, with_same_weights
from daguerre.storage.artifact_cache import ArtifactCache
from daguerre.storage.file_digests import FileDigests

if TYPE_CHECKING:
    import torch

    from daguerre.models.diffusers.embeddings import Embeddings
    from daguerre.models.diffusers.executors.base import ExecutionTarget
    from daguerre.models.diffusers.previews.latent_rgb import LatentToRgb
    from daguerre.models.diffusers.proxies import TorchNetwork

logger = logging.getLogger(__name__)


class LoadedCheckpoint:
    """`pipeline` is diffusers' object once it is loaded; only its copies are called.

    `config` has a device and a type instead of "auto". `shared` has components of other
    checkpoints.
    """

    def __init__(
        self,
        config: PipelineConfig,
        num_threads: int = 0,
        worker: int = 0,
        store: ArtifactCache | None = None,
        file_digests: FileDigests | None = None,
        shared: SharedComponents | None = None,
    ) -> None:
        self.num_threads, self._store = num_threads, store
        self.checkpoint = config.read_checkpoint()
        self.config = config.resolve(self.checkpoint, worker)
        self.device = self.config.device
        self.digest = CheckpointDigest(self.checkpoint, file_digests)
        self.pipeline: Any = None
        self.latent_to_rgb: LatentToRgb | None = None  # for previews; None if they failed to fit
        self.embeddings: Embeddings  # exists while loaded: its module imports torch
        self._networks: Mapping[str, TorchNetwork] = {}
        self._is_upcast = False  # whether the decoder is in float32 and the rest in float16
        self._offload: offload.Offload | None = None
        self._shared = SharedComponents() if shared is None else shared
        self._components: Mapping[str, Any] = {}  # keeps the shared components in memory
        self._found: Collection[str] = ()  # those that were in memory before

    @property
    def num_bytes(self) -> int:
        """Memory on the device that loading takes: weights, plus a request's work.

        Components that another checkpoint has in memory need none.
        """
        found = self._found
        if self.pipeline is None:
            with suppress(OSError, SettingsError):  # a file was removed, which `load` reports
                found = self._shared.find(shared_components.keys(self.checkpoint, self.config))
        return self._needed_bytes - sum(sum(self._tensor_bytes(one, self.config)) for one in found)

    @cached_property
    def _needed_bytes(self) -> int:
        return self.estimate_bytes()

    def estimate_bytes(self, **changes: Any) -> int:
        """Like `num_bytes` alone in memory, with other values in the configuration."""
        config = replace(self.config, **changes)
        sizes = {name: self._tensor_bytes(name, config) for name in self._tensors}
        if config.offload:
            return memory_probe.WORK_BYTES + offload.device_bytes(config.offload, sizes)
        return memory_probe.WORK_BYTES + sum(map(sum, sizes.values()))

    @cached_property
    def _tensors(self) -> Mapping[str, list[StoredTensor]]:
        """The stored tensors of each component; several estimates read the files once."""
        return {name: self.checkpoint.tensors(name) for name in self.checkpoint.components}

    def _tensor_bytes(self, name: str, config: PipelineConfig) -> list[int]:
        """The stored type may differ from the loaded one, so the shapes count."""
        tensors = self._tensors[name]
        if name in self.checkpoint.quantized_components:
            return [tensor.num_bytes for tensor in tensors]
        # On a CPU the full weights are in memory during loading.
        is_denoiser = name == self.checkpoint.family.denoiser
        is_smaller = bool(config.quantization) and is_denoiser and self.device != devices.CPU
        shapes = (tensor.shape for tensor in tensors)
        return memory_probe.tensor_bytes(shapes, config.dtype, is_smaller)

    def load(self) -> Mapping[str, TorchNetwork]:
        """Loads once; returns name -> network. Call it in the thread that runs the pipelines."""
        import torch

        from daguerre.models.diffusers import decoder, determinism
        from daguerre.models.diffusers.embeddings import Embeddings

        # For the whole thread: each pipeline restores at its end what it found at its start, which
        # is wrong when pipelines are interleaved.
        torch.set_grad_enabled(False)
        if self.num_threads:
            torch.set_num_threads(self.num_threads)
        if self._networks:
            return self._networks
        device = devices.available(self.device)
        determinism.enable_determinism(device)
        self.digest.update()
        self.embeddings = Embeddings()
        self.pipeline = self._load_or_refuse(device)
        self._is_upcast = decoder.upcast(self.pipeline)
        self._fit_previews()
        self._networks = self._patch_networks(device)
        return self._networks

    def unload(self) -> None:
        """Frees the memory, also after a failed `load`. No copy may be in use. Each model ID that
        shares it calls this."""
        if self.pipeline is None:
            return
        import torch

        self.pipeline, self._networks, self._offload = None, {}, None
        self._components, self._found = {}, ()
        del self.embeddings
        gc.collect()  # a proxy and its module form a cycle
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def copy(self, guidance: float | None = None, sampler: Any = None) -> Any:
        """A pipeline for one request, with its own sampler and guiders and shared networks.

        The sampler is a copy of `sampler`, or of the pipeline's own.
        """
        pipeline = copy.copy(self.pipeline)
        # `from_config` would lose what the pipeline corrected in an outdated configuration.
        pipeline.scheduler = copy.deepcopy(self.pipeline.scheduler if sampler is None else sampler)
        self.checkpoint.family.set_guidance(pipeline, guidance)
        if self._is_upcast:
            from daguerre.models.diffusers.decoder import UpcastDecoder

            vars(pipeline)[DECODER] = UpcastDecoder(pipeline.vae)
        return pipeline

    def _load_or_refuse(self, device: torch.device) -> Any:
        hint = ""
        if packages := {*self.checkpoint.quantized_components.values()}:
            hint = f"; its weights are quantized by {', '.join(sorted(packages))};"
            hint += f" known are {', '.join(quantization.PACKAGES)}"
        text = f"the checkpoint in {self.checkpoint.path} cannot be loaded"
        with as_settings_error(text, hint):
            return self._load_pipeline(device)

    def _load_pipeline(self, device: torch.device) -> Any:
        import torch

        from daguerre.models.diffusers import pipeline_loader

        dtype, method = getattr(torch, self.config.dtype), self.config.quantization
        keys = shared_components.keys(self.checkpoint, self.config)
        found = self._shared.find(keys)
        shared = {name: with_same_weights(module) for name, module in found.items()}
        pipeline = pipeline_loader.load(self.checkpoint, dtype, method, device, shared)
        if self.config.offload:
            self._offload = offload.Offload(pipeline, self.config.offload, device)
            return pipeline
        pipeline = pipeline.to(device)
        # Copies without the proxies that will replace methods of the pipeline's modules.
        own = {name: with_same_weights(getattr(pipeline, name)) for name in keys.keys() - found}
        self._components, self._found = {**own, **found}, frozenset(found)
        self._shared.add(keys, own)
        return pipeline

    def _fit_previews(self) -> None:
        """Fits once and at load time, so that no step waits for it."""
        from daguerre.models.diffusers.previews.latent_rgb import fit_latent_to_rgb

        vae, factor = self.pipeline.vae, self.pipeline.vae_scale_factor
        try:
            self.latent_to_rgb = self.latent_to_rgb or fit_latent_to_rgb(vae, factor)
        except Exception:  # a decoder may raise anything; images do not need the fit
            logger.exception("%s is served without previews", self.checkpoint.path)

    def _patch_networks(self, device: torch.device) -> Mapping[str, TorchNetwork]:
        from daguerre.models.diffusers import determinism
        from daguerre.models.diffusers.decoder import DecoderNetwork
        from daguerre.models.diffusers.executors.base import ExecutionTarget
        from daguerre.models.diffusers.executors.cuda_graphs import GraphCapturer
        from daguerre.models.diffusers.proxies import TorchNetwork

        config, dtype, family = self.config, self.config.dtype, self.checkpoint.family
        fingerprint = determinism.fingerprint(self.digest.sha256, device, dtype, config.tf32)
        if packages := self.checkpoint.quantized_components.values():
            fingerprint += f" {quantization.stored_fingerprint(packages)}"
        target = ExecutionTarget(
            config.executor,
            device,
            dtype,
            fingerprint,
            self._store,
            is_tf32=config.tf32,
            capture_graph=GraphCapturer(device),
            make_room=self._offload.make_room if self._offload else None,
        )
        networks: dict[str, TorchNetwork] = {family.denoiser: self._patch_denoiser(target)}
        # A text encoder runs briefly, once per request: compiling it does not pay.
        eager = replace(target, executor="eager")
        for name in self.checkpoint.networks:
            module = getattr(self.pipeline, name)
            if name == DECODER:
                networks[name] = DecoderNetwork(name, module, "decode", target)
            elif name != family.denoiser:
                networks[name] = TorchNetwork(name, module, "forward", eager, family.text_layout)
        return networks

    def _patch_denoiser(self, target: ExecutionTarget) -> TorchNetwork:
        from daguerre.models.diffusers import cache_hooks
        from daguerre.models.diffusers.proxies import TorchNetwork

        family = self.checkpoint.family
        module = getattr(self.pipeline, family.denoiser)
        fingerprint, executor, hooks = target.fingerprint, target.executor, None
        if cache := self.config.cache:
            hooks = cache_hooks.apply(module, cache)
            fingerprint, executor = f"{fingerprint} cache {cache}", "eager"
        if method := self.config.quantization:
            fingerprint += f" {quantization.fingerprint(method)}"
        is_calibrated = self.config.quantization == quantization.CALIBRATED
        is_quantized = self.config.quantization or self.checkpoint.denoiser_quantized_by
        if is_calibrated:
            calibration = self.config.calibration
            fingerprint += f" {calibration.fingerprint(family)}"
            target = replace(
                target, record_calls=partial(calibration.calls, family, self.copy, self.load)
            )
        elif is_quantized and executor == "auto":  # which is OpenVINO on a CPU
            executor = "eager"
        target = replace(target, fingerprint=fingerprint, executor=executor)
        return TorchNetwork(family.denoiser, module, "forward", target, family.layout, hooks)
