"""How a checkpoint is loaded: its path, device and type, and what is added. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers import (
    checkpoint_reader,
    devices,
    gguf_file,
    offload,
    precision,
    quantization,
)
from daguerre.models.diffusers.adapters import lora_header, textual_inversion_header
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.caches import Cache
from daguerre.models.diffusers.calibration import Calibration
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.library_errors import naming_key


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How a checkpoint is loaded; model IDs with equal configurations share one in memory.

    `base` has the components that a single file lacks. `components` are (name, path) of those that
    replace the checkpoint's own. `calibration` matters to quantization "int8" only.
    """

    path: Path
    base: Path | None = None
    components: tuple[tuple[str, Path], ...] = ()
    dtype: str = precision.AUTO
    device: str = devices.AUTO
    executor: str = "auto"
    tf32: bool = False
    cache: Cache | None = None
    quantization: str | None = None
    offload: str | None = None
    loras: tuple[Lora, ...] = ()
    embeddings: tuple[TextualInversion, ...] = ()
    calibration: Calibration = Calibration()

    def changes(self) -> Iterator[str]:
        """What the configuration adds to the checkpoint, or changes, in words."""
        yield from (f"{name} from {path}" for name, path in self.components)
        if self.cache:
            yield f"cache {self.cache}"
        if self.quantization:
            yield self.quantization
        yield from (f"LoRA {one.path.name} {one.scale:g}" for one in self.loras)
        yield from (f"embedding {one.token} from {one.path.name}" for one in self.embeddings)
        if self.offload:
            yield f"offload {self.offload}"

    def read_checkpoint(self) -> Checkpoint:
        """The checkpoint with what the configuration adds.

        Raises `SettingsError` for a file that is damaged, or does not fit the others.
        """
        found = checkpoint_reader.read(self.path, self.base, dict(self.components))
        for one in self.loras:
            with naming_key("loras"):
                lora_header.check(one, found)
        for embedding in self.embeddings:
            with naming_key("embeddings"):
                textual_inversion_header.check(embedding, found)
        return replace(found, loras=self.loras, embeddings=self.embeddings)

    def resolve(self, checkpoint: Checkpoint, worker: int = 0) -> PipelineConfig:
        """The configuration with a device and a type instead of "auto".

        Raises `SettingsError` if the checkpoint cannot run in this way.
        """
        stored_by = checkpoint.denoiser_quantized_by
        if self.quantization and stored_by:
            raise SettingsError(
                f"quantization is {self.quantization!r}, but the denoiser in {self.path} is"
                " already quantized; remove the key"
            )
        if stored_by == gguf_file.LIBRARY:
            gguf_file.check_executor(self.executor)
        device = devices.resolve(self.device, self.executor, worker)
        if self.offload:
            offload.check_device(str(self.path), self.offload, device)
        quantization.check_calibrated(self.quantization, checkpoint.family, device)
        dtype = precision.resolve(self.dtype, checkpoint, device)
        quantization.check_stored(self.path, stored_by, device, dtype)
        if self.tf32:
            precision.check_tf32(str(self.path), device, dtype)
        return replace(self, device=device, dtype=dtype)
