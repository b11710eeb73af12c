"""Facts about a model before it is loaded: its form, its size, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre import memory
from daguerre.errors import SettingsError
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.params import ModelInfo

if TYPE_CHECKING:
    from daguerre.engine.pipeline import Model
    from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
    from daguerre.models.diffusers.model import DiffusersModel

# Keys of the catalog with which a checkpoint may need less memory.
_SMALLER = {"dtype": "bfloat16", "quantization": "int8-weight-only", "offload": "model"}


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """`num_bytes` is the size on the disk, `needed_bytes` the memory of the loaded model.

    `free_bytes` is None if it is unknown. `alternatives` maps keys of the catalog to the memory
    that the model needs with them. `fault` says why the model cannot be served.
    """

    info: ModelInfo
    family: str = ""
    form: str = ""
    num_bytes: int = 0
    dtype: str = ""
    device: str = ""
    needed_bytes: int = 0
    free_bytes: int | None = None
    alternatives: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""

    def facts(self) -> dict[str, object]:
        """The fields as JSON values, without `info` but for its description."""
        left_out = ("info", "alternatives")
        own = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        return {"description": self.info.description, **own, "shortage": self.shortage}

    @property
    def shortage(self) -> str:
        """That the model does not fit into free memory, and what would; empty if it does."""
        free = self.free_bytes
        if free is None or self.needed_bytes <= free:
            return ""
        fitting = [f"{key} ({_gb(size)})" for key, size in self.alternatives.items() if size < free]
        keys = " or ".join(fitting)
        advice = f"it fits with {keys} in the catalog" if fitting else "free some memory"
        return (
            f"it needs {_gb(self.needed_bytes)} of memory, and {_gb(free)} of {self.device} are"
            f" free; {advice}"
        )


def summarize_bundled(model: Model, precision: str) -> ModelSummary:
    return ModelSummary(
        info=model.info,
        family=model.info.name,
        form="bundled",
        num_bytes=sum(file.stat().st_size for file in WEIGHTS.iterdir()),
        dtype=precision,
        device="cpu",
        needed_bytes=EmbeddedModel.num_bytes,
        free_bytes=memory.free_bytes(),
    )


def summarize_checkpoint(model: DiffusersModel) -> ModelSummary:
    loaded = model.weights_key
    checkpoint, config = loaded.checkpoint, loaded.config
    found = checkpoint.distillation
    return ModelSummary(
        info=model.info,
        family=", ".join([model.family.checkpoints, *([found.kind.name] if found else [])]),
        form="single file" if checkpoint.single_file else "directory",
        num_bytes=_size({*checkpoint.files()}),
        dtype=", ".join(filter(None, (config.dtype, config.quantization))),
        device=loaded.device,
        needed_bytes=loaded.num_bytes,
        free_bytes=_free_bytes(loaded.device),
        alternatives={
            f'{key} = "{value}"': loaded.estimate_bytes(**{key: value})
            for key, value in _SMALLER.items()
            if _accepted(loaded, key, value)
        },
    )


def _accepted(loaded: LoadedCheckpoint, key: str, value: str) -> bool:
    """Whether the catalog accepts the key beside the others of the checkpoint."""
    from daguerre.models import checkpoint_table

    changes: dict[str, Any] = {key: value}
    config = replace(loaded.config, **changes)
    options = {name: getattr(config, name, None) for name in checkpoint_table.KEYS}
    try:
        checkpoint_table.check_pipeline("", {name: one for name, one in options.items() if one})
        config.resolve(loaded.checkpoint)
    except SettingsError:
        return False
    return True


def _size(files: set[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _free_bytes(device: str) -> int | None:
    return memory.free_bytes() if device == "cpu" else memory.free_gpu_bytes(device)


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
