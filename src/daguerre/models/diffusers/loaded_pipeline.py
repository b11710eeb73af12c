"""A checkpoint's stock pipeline, loaded once: the networks behind its doors, and copies to run.

Several model ids may share one. Knows nothing of requests, steps or guidance. torch is imported
when the pipeline is loaded, not before.
"""

from __future__ import annotations

import copy
import gc
import importlib
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from daguerre.engine.forward import Network
from daguerre.errors import SettingsError
from daguerre.models.diffusers import memory, quantization
from daguerre.models.diffusers.caches import Cache
from daguerre.models.diffusers.checkpoint import DECODER, Checkpoint
from daguerre.storage.artifact_cache import ArtifactCache

if TYPE_CHECKING:
    import torch

    from daguerre.models.diffusers.embeddings import Embeddings
    from daguerre.models.diffusers.executors.base import ExecutionTarget
    from daguerre.models.diffusers.previews.latent_rgb import LatentToRgb

logger = logging.getLogger(__name__)


class LoadedCheckpoint:
    """`pipeline` is diffusers' own object once it is loaded; it is never called, its copies are."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: str = "float32",
        device: str = "cpu",
        num_threads: int = 0,
        worker: int = 0,
        executor: str = "eager",
        tf32: bool = False,
        store: ArtifactCache | None = None,
        cache: Cache | None = None,
        quantization: str | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.weights_sha256 = ""  # known when it is loaded: that takes reading all of them
        self.pipeline: Any = None
        self.dtype, self.device = dtype, device_of(device, worker)
        self.num_threads = num_threads
        self.executor, self.is_tf32, self._store = executor, tf32, store
        self.cache, self.quantization = cache, quantization
        self.colours: LatentToRgb | None = None  # for previews; None also where there can be none
        self._networks: Mapping[str, Network] = {}
        self.embeddings: Embeddings  # there from `load` on: importing it imports torch
        self._hashed: tuple[tuple[str, int, int], ...] = ()  # the files that were read for it

    @cached_property
    def num_bytes(self) -> int:
        denoiser = self.checkpoint.folder / self.checkpoint.family.denoiser
        # On a CPU the weights are there whole while they are loaded.
        is_less = self.quantization and self.device != "cpu"
        quantized = {file for file in self.checkpoint.weights if file.parent == denoiser}
        return memory.needed(self.checkpoint.weights, self.dtype, quantized if is_less else ())

    def load(self) -> Mapping[str, Network]:
        """Name -> network. Called in the thread that will run the pipelines; loads once."""
        import torch

        from daguerre.models.diffusers import determinism

        # For the whole thread: coroutines take turns in it, and each would put back at its end
        # what it found at its beginning.
        torch.set_grad_enabled(False)
        if self.num_threads:
            torch.set_num_threads(self.num_threads)
        if not self._networks:
            device = _device(self.device)
            determinism.enable_determinism(device)
            self._hash()
            self.pipeline = self._load_pipeline(device)
            self.embeddings = _embeddings()
            self._fit_colours()
            self._networks = self._open_doors(device)
        return self._networks

    def unload(self) -> None:
        """Gives the memory back; there must be no copy left. Each id that shares it calls this."""
        import torch

        if not self._networks:
            return
        self.pipeline, self._networks = None, {}
        del self.embeddings
        gc.collect()  # a door and its module hold each other
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _hash(self) -> None:
        """Names the weights; when they are loaded again they must be the same."""
        found = self.checkpoint.file_stats()
        if found == self._hashed:
            return
        digest = self.checkpoint.sha256()
        if self.weights_sha256 not in ("", digest):
            raise SettingsError(
                f"{self.checkpoint.folder} holds another checkpoint than at the start; start again"
            )
        self.weights_sha256, self._hashed = digest, found

    def copy(self, guidance: float | None = None) -> Any:
        """The same networks and tokenizers; a sampler of its own and, where there are any, guiders
        with this guidance, which remember a run, too. Nothing else of a pipeline is changed by a
        call but what it sets on itself."""
        pipeline, family = copy.copy(self.pipeline), self.checkpoint.family
        sampler = self.pipeline.scheduler
        pipeline.scheduler = type(sampler).from_config(sampler.config)
        for name in family.guiders:
            if guider := getattr(self.pipeline, name):
                own = guider.new(guidance_scale=guidance, enabled=family.is_guided(guidance))
                setattr(pipeline, name, own)
        return pipeline

    def _load_pipeline(self, device: torch.device) -> Any:
        import torch

        family = self.checkpoint.family
        # Whatever a checkpoint names, neither library asks a hub for it.
        os.environ["HF_HUB_OFFLINE"] = "1"
        # The second imports the first, and both talk from then on.
        for library in ("transformers", "diffusers"):
            _quiet(importlib.import_module(library))
        kind = getattr(importlib.import_module("diffusers"), family.pipeline)
        pipeline = kind.from_pretrained(
            self.checkpoint.folder,
            dtype=getattr(torch, self.dtype),
            use_safetensors=True,
            local_files_only=True,
            # A pipeline insists on some of these although it does without them.
            **dict.fromkeys(self.checkpoint.missing_components),
            **family.load_kwargs,
        )
        pipeline.set_progress_bar_config(disable=True)
        if self.quantization:  # before it is moved: the device need never hold it whole
            quantization.quantize(getattr(pipeline, family.denoiser), self.quantization, device)
        return pipeline.to(device)

    def _fit_colours(self) -> None:
        """Now, because no step is to wait for it; and once, because the weights stay the same."""
        from daguerre.models.diffusers.previews.latent_rgb import fit_latent_to_rgb

        try:
            self.colours = self.colours or fit_latent_to_rgb(
                self.pipeline.vae, self.pipeline.vae_scale_factor
            )
        except Exception:  # a decoder may raise anything; pictures do not need it
            logger.exception("no previews of %s", self.checkpoint.folder)

    def _open_doors(self, device: torch.device) -> Mapping[str, Network]:
        from daguerre.models.diffusers import determinism, proxies
        from daguerre.models.diffusers.executors.base import ExecutionTarget
        from daguerre.models.diffusers.executors.cuda_graphs import GraphCapturer

        fingerprint = determinism.fingerprint(self.weights_sha256, device, self.dtype, self.is_tf32)
        eager = ExecutionTarget("eager", device, self.dtype, fingerprint, is_tf32=self.is_tf32)
        # A text encoder runs once per request, for a moment: it is not worth another's start.
        places = dict.fromkeys(self.checkpoint.family.text_encoders, eager)
        fast = replace(
            eager, executor=self.executor, store=self._store, capture_graph=GraphCapturer(device)
        )
        denoiser = self.checkpoint.family.denoiser
        return {denoiser: self._open_denoiser(fast)} | {
            name: proxies.patch_module(
                name,
                getattr(self.pipeline, name),
                "decode" if name == DECODER else "forward",
                places.get(name, fast),
            )
            for name in self.checkpoint.networks
            if name != denoiser
        }

    def _open_denoiser(self, target: ExecutionTarget) -> Network:
        from daguerre.models.diffusers import cache_hooks, proxies

        family = self.checkpoint.family
        module = getattr(self.pipeline, family.denoiser)
        remembering = None
        if self.cache:
            remembering = cache_hooks.apply(module, self.cache)
            target = replace(
                target, executor="eager", fingerprint=f"{target.fingerprint} cache {self.cache}"
            )
        if self.quantization:
            target = replace(
                target,
                fingerprint=f"{target.fingerprint} {quantization.fingerprint(self.quantization)}",
            )
            if target.device.type == "cpu":  # where "auto" would be OpenVINO
                target = replace(target, executor="eager")
        return proxies.patch_module(
            family.denoiser, module, "forward", target, family.layout, remembering
        )


def device_of(wanted: str, worker: int) -> str:
    """ "cuda" is the next for each worker, in turns; one that is named is the same for all."""
    if wanted != "cuda":
        return wanted
    if not worker:
        return "cuda:0"  # one name for one device: torch calls the first "cuda", too
    import torch

    return f"cuda:{worker % max(1, torch.cuda.device_count())}"


def _device(wanted: str) -> torch.device:
    import torch

    device = torch.device(wanted)
    num_found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_found:
        raise SettingsError(
            f"device is {wanted!r}, but torch finds {num_found} CUDA devices here;"
            ' use "cpu", or install the build of torch for them'
        )
    return device


def _embeddings() -> Embeddings:
    from daguerre.models.diffusers.embeddings import Embeddings

    return Embeddings()


def _quiet(library: Any) -> None:
    """Its warnings quote prompts, and its bars draw over the server's log."""
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
