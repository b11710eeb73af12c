"""LoRAs of the catalog: its key `loras`. Loads no torch.

`lora_header` checks the files, `lora_fusion` adds them to a pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from daguerre.models.diffusers.component_files import WEIGHTS
from daguerre.validation import Table, Validator, check_tables, float_range, path_to, table_list

LIBRARY = "peft"
LORAS = table_list(16, '{ path = "style.safetensors", scale = 0.8 }')
_KEYS: Mapping[str, Validator] = {
    "path": path_to(f"a {WEIGHTS} file"),
    "scale": float_range(-10, 10),
}


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA of the catalog."""

    path: Path
    scale: float = 1.0

    @property
    def digest_name(self) -> str:
        """Name of the file in the digest of a checkpoint: it has all else that decides weights."""
        return f"lora {self.scale!r} {LIBRARY} {metadata.version(LIBRARY)}"


def parse(where: str, catalog_dir: Path, tables: Sequence[Table]) -> tuple[Lora, ...]:
    """Reads the key `loras`; `where` names its table in a `SettingsError`."""
    check_tables(f"{where}, loras", tables, _KEYS, required=("path",))
    return tuple(
        Lora(catalog_dir / os.path.expanduser(table["path"]), float(table.get("scale", 1)))
        for table in tables
    )
